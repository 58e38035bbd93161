"""The result of each `[collect]` table: what a sweep's runs show together."""

from collections.abc import Sequence
from typing import Any

from ceflow.runs.reading import read_as, why_unreadable
from ceflow.stages import Record, Values

Number = int | float


class CollectedPoint(Record):
    """One run of the sweep."""

    run: str
    """The name of the run."""
    x: Number | None
    """The swept number; null where there is no finite one."""
    by: str = ""
    """The value of `by`, which names its curve."""
    y: Number | None
    """What its stage found; null where there is no finite number."""
    stderr: Number | None = None
    """The standard error of y, where the stage finds one."""


class Fit(Record):
    """The power law `y = factor x^slope` of one curve."""

    by: str = ""
    """The value of `by`, which names the curve."""
    slope: float
    """The power."""
    factor: float
    """What y is at x = 1."""
    stderr: float | None
    """Of the slope; null where two points without errors of their own leave nothing to judge by."""
    interval: tuple[float, float] | None
    """The 95 % interval of the slope; null where `stderr` is."""
    residuals: tuple[float, ...]
    """log y measured minus fitted, in the order of the points."""


class CollectedPoints(Record):
    """One number of each run against another, and the power law between them."""

    x: str
    """As in the document: the path that is swept."""
    y: str
    """As in the document: the path of the result."""
    points: list[CollectedPoint]
    """In the order of the runs."""
    fits: Sequence[Fit] = ()
    """With `fit = "power"`, the law of each curve, that of `by`."""
    warnings: Sequence[str] = ()
    """Sentences: runs that failed or are without the number, curves without a law, an activation
    that theorem 1 is not about."""


class CollectedCurve(Record):
    """The curve that one run recorded."""

    run: str
    """The name of the run."""
    by: str = ""
    """The value of `by`, which names it."""
    x: list[Number]
    """At each moment the quantity that it runs over; with `smooth` what was resampled."""
    y: list[Number]
    """The quantity recorded there, as many of it."""

    @property
    def label(self) -> str:
        return self.by if "by" in self else self.run


class Reached(Record):
    """The place where the curve of one run came to the level."""

    run: str
    """The name of the run."""
    by: str = ""
    """The value of `by`, which names its curve."""
    x: Number | None
    """The first x at which y comes to the level; null where it never does."""
    last: Number | None = None
    """The last x of a curve that never comes there."""

    @property
    def label(self) -> str:
        return self.by if "by" in self else self.run


class CollectedCurves(Record):
    """The histories of all runs beside each other."""

    x: str
    """As in the document: the quantity that histories run over."""
    y: str
    """As in the document: the quantity recorded."""
    view: str
    """As in the document, `curves` or `heatmap`: how they are drawn."""
    by: str = ""
    """As in the document, where it is given: the path that names the curves."""
    level: Number | None = None
    """As in the document, where it is given."""
    reached: Sequence[Reached] = ()
    """With `level`, where each curve comes to it."""
    curves: list[CollectedCurve]
    """In the order of `by`."""
    warnings: Sequence[str] = ()
    """Sentences: runs that did not record both quantities, or too little to be smoothed."""


Collected = CollectedPoints | CollectedCurves


def read_collected(results: Values) -> tuple[dict[str, Collected], dict[str, str]]:
    """Give the fields of what `results.json` says of each `[collect]` table.

    Of those that are not what this version can read, say why.
    """
    known, lost = {}, {}
    for name, table in results.get("collect", {}).items():
        kind = CollectedCurves if "curves" in table else CollectedPoints
        if why := why_unreadable(kind, table):
            lost[name] = why
        else:
            known[name] = read_as(kind, table)
    return known, lost


def given(**fields: Any) -> Values:
    """Leave out the fields that have nothing to say, such as warnings where there are none."""
    return {key: value for key, value in fields.items() if value not in (None, [])}
