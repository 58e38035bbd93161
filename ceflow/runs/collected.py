"""What a sweep's runs show together: the fields of each `[collect]` table's result."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ceflow.stages import Record, Values
from ceflow.store import Damaged, RunDirectory

Number = int | float


class Point(Record):
    """One run of the sweep."""

    run: str
    """The name of the run."""
    x: Number | None
    """The swept number; null where it is no finite one."""
    by: str = ""
    """The swept value that names its curve."""
    y: Number | None
    """What its stage found; null where that is no finite number."""
    stderr: Number | None = None
    """The standard error of y, where the stage tells it."""


class Fit(Record):
    """The power law `y = factor x^slope` of one curve."""

    by: str = ""
    """The swept value that names the curve."""
    slope: float
    factor: float
    stderr: float | None
    """Of the slope; null where two points without errors of their own leave nothing to judge by."""
    interval: tuple[float, float] | None
    """The 95 % interval of the slope."""
    residuals: tuple[float, ...]
    """log y measured minus fitted, in the order of the points."""


class CollectedPoints(Record):
    """One number of each run against another, and the power law between them."""

    x: str
    """The path in the document that is swept."""
    y: str
    """The path of the result."""
    points: list[Point]
    """In the order of the runs."""
    fits: Sequence[Fit] = ()
    """With `fit = "power"`, that of each curve of several x."""
    warnings: Sequence[str] = ()
    """Sentences that a reader of the numbers should know."""


class CollectedCurve(Record):
    """The curve that one run recorded."""

    run: str
    """The name of the run."""
    by: str = ""
    """The swept value that names it."""
    x: list[Number]
    y: list[Number]

    @property
    def label(self) -> str:
        return self.by if "by" in self else self.run


class Reached(Record):
    """The place where the curve of one run came to the level."""

    run: str
    """The name of the run."""
    by: str = ""
    """The swept value that names it."""
    x: Number | None
    """The first x at which y is at the level; null where it never is."""
    last: Number | None = None
    """How far the curve went that never came to it."""

    @property
    def label(self) -> str:
        return self.by if "by" in self else self.run


class CollectedCurves(Record):
    """The histories of all runs beside each other."""

    x: str
    """The quantity they run over."""
    y: str
    """The quantity recorded."""
    view: str
    """How they are drawn, `curves` or `heatmap`."""
    by: str = ""
    """The path in the document that names the curves."""
    level: Number | None = None
    """The y whose first x was asked for."""
    reached: Sequence[Reached] = ()
    """With a `level`, where each curve came to it."""
    curves: list[CollectedCurve]
    """In the order of `by`."""
    warnings: Sequence[str] = ()
    """Sentences that a reader of the curves should know."""


Collected = CollectedPoints | CollectedCurves
_ALL: TypeAdapter[dict[str, Collected]] = TypeAdapter(dict[str, Collected])


def read_collected(directory: RunDirectory, found: dict[str, Any]) -> dict[str, Collected]:
    """Give the fields of what `results.json` says of each `[collect]` table.

    Raises `Damaged` where it is not what this version writes.
    """
    try:
        return _ALL.validate_python(found.get("collect", {}))
    except ValidationError:
        path = directory.path / "results.json"
        said = "what it says of [collect] is not what this version of ceflow writes"
        raise Damaged(f"{path}: {said}") from None


def given(**fields: Any) -> Values:
    """Leave out the fields that have nothing to say, such as warnings where there are none."""
    return {key: value for key, value in fields.items() if value not in (None, [])}
