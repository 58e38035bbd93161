"""The plan of a begun run, from its directory alone."""

from ceflow.compiler import Plan, plan_with
from ceflow.compiler.modules import Recorded, recorded
from ceflow.data import Extent
from ceflow.runs.record import read_document, read_results, read_state
from ceflow.spec import Examined, Fault, SpecError, examined, stack
from ceflow.spec.text import read
from ceflow.stages import Values
from ceflow.store import Damaged, RunDirectory


def reopen(directory: RunDirectory) -> Plan:
    """Build the plan of a begun run from its directory alone.

    Raises `SpecError` if there is no run, or its files are damaged.
    """
    path = directory.path
    if not directory.exists:
        raise SpecError(Fault("CE501", f"{path} is not a run directory: it has no run.json"))
    try:
        state = read_state(directory)
        read_results(directory)
        return plan_with(_document_of(directory, state), _extent_of(state), _modules_of(state))
    except Damaged as damage:
        help = f"run its document again with --out {path}: the damaged stages are run again"
        raise SpecError(Fault("CE501", str(damage), help=help)) from None


def _extent_of(state: Values) -> Extent | None:
    """Read the sizes of the data from the state of a run."""
    noted = state.get("data")
    if noted is None:
        return None
    image = noted.get("image")
    sizes = [noted.get(key) for key in ("inputs", "outputs", "train", "test")]
    left_out = noted.get("left_out", 0)
    if not all(isinstance(size, int) and size >= 0 for size in [*sizes, *(image or ()), left_out]):
        raise Damaged("run.json is damaged: it does not have the sizes of the data")
    return Extent(*sizes, image=image and tuple(image), left_out=left_out)


def _modules_of(state: Values) -> Recorded:
    """Read the facts of the user's modules from the state of a run."""
    try:
        return recorded(state.get("modules", ()))
    except ValueError:
        raise Damaged("run.json is damaged: it does not have the facts of the modules") from None


def _document_of(directory: RunDirectory, state: Values) -> Examined:
    """Read the resolved document of a run."""
    read_document(directory, "resolved.toml", state)
    path = directory.path / "resolved.toml"
    try:
        return examined(stack(read(path)))
    except SpecError as error:
        raise Damaged(f"{path} is damaged: {error.faults[0].message}") from None
