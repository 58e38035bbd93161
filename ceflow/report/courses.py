"""What stages tell from moment to moment."""

from ceflow.stages import Values
from ceflow.store import RunDirectory


def with_course(directory: RunDirectory, name: str, values: Values) -> Values:
    """A stage's results, and as `course` the lines of its metrics, if it has any."""
    course = directory.read_metrics(name)
    return values | {"course": course} if course else values
