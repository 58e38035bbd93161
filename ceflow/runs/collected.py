"""The result of a `[collect]` table: a comparison between the runs of a sweep."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ceflow.runs.reading import read_as, why_unreadable
from ceflow.spec import Comparison
from ceflow.stages import Record, Values
from ceflow.store.digests import facts

if TYPE_CHECKING:
    import numpy as np

Number = int | float
Infinite = Literal["inf"]
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


class CollectedPoint(Record):
    """One run of the sweep."""

    run: str
    """The name of the run."""
    x: Number | Infinite | None
    """The swept number, which may be `"inf"`, or the result of a stage; null if there is none."""
    by: str = ""
    """Value of `by`, which labels the curve of this run."""
    given: Number | None = None
    """The number at `given`; null if there is no finite number."""
    y: Number | None
    """The result of the stage; null if there is no finite number."""
    stderr: Number | None = None
    """Standard error of y, if the stage reports one."""


class PairedDifference(Record):
    """The mean difference from the runs of `against`, each from the one with the same value of
    `over`.
    """

    mean: float
    """Mean of the differences: positive if the numbers are above those of `against`."""
    stderr: float | None = None
    """Standard error of the mean, by the scatter of the differences."""
    interval: tuple[float, float] | None = None
    """95 % confidence interval of the mean, by Student's distribution."""
    pairs: int
    """Number of differences."""


class CollectedMean(Record):
    """The mean of the runs that differ in `over` only."""

    x: Number | Infinite | None
    """The swept number, which may be `"inf"`; null if there is none."""
    by: str = ""
    """Value of `by`, which labels the curve."""
    given: Number | None = None
    """Mean of the numbers at `given`; null if a run has no finite one."""
    y: Number
    """Mean of the results of the runs that have one."""
    stderr: Number | None = None
    """Standard error of the mean, by the scatter of the runs; for one run that of its result."""
    runs: int
    """Number of runs in the mean."""
    missed: int = 0
    """Number of runs that have no number, and are not in the mean."""
    difference: PairedDifference | None = None
    """With `against`, the difference from its runs."""


class Fit(Record):
    """The power law `y = factor x^slope` of one curve."""

    by: str = ""
    """Value of `by`, which labels the curve."""
    slope: float
    """Exponent of the power law."""
    factor: float
    """Value of y at x = 1."""
    stderr: float | None
    """Standard error of the slope; null for two points without standard errors."""
    interval: tuple[float, float] | None
    """95 % confidence interval of the slope; null if `stderr` is null."""
    residuals: tuple[float, ...]
    """log y measured minus log y fitted, in the order of the points."""


class Correlation(Record):
    """The correlation of x and y in one curve, of their ranks or of their logarithms."""

    by: str = ""
    """Value of `by`, which labels the curve."""
    coefficient: float | None = None
    """The correlation, the partial one with `given`; null if it is undefined."""
    interval: tuple[float, float] | None = None
    """95 % confidence interval; null for a coefficient of 1 or -1, whose error is not known."""
    p_value: float | None = None
    """Probability of a coefficient as far from 0, if there is no correlation."""
    runs: int
    """Number of runs, or with `over` of means, that the coefficient is from."""
    undefined: str = ""
    """Reason why there is no coefficient."""
    permutations: int | None = None
    """Number of permutations that the p value counts, of a table of results."""
    resolution: float | None = None
    """Least p value that they can give."""


class CollectedPoints(Record):
    """One number of each run against another, and the power law or the correlation between them."""

    x: str
    """The swept path, or that of a result, as in the document."""
    y: str
    """Path of the result, as in the document."""
    points: list[CollectedPoint]
    """One point per run, in the order of the runs."""
    by: str = ""
    """Path whose values label the curves, as in the document."""
    over: str = ""
    """Path that the means are over, as in the document."""
    last: int | None = None
    """Number of last moments over which y is the mean, as in the document."""
    against: str = ""
    """Value that the others are compared with, as a label."""
    means: Sequence[CollectedMean] = ()
    """With `over`, the mean of the runs that differ in it only; fits are to them."""
    x_scale: str = "auto"
    """Scale of the x axis, as in the document."""
    y_scale: str = "auto"
    """Scale of the y axis, as in the document."""
    fits: Sequence[Fit] = ()
    """Power law of each curve, with `fit = "power"`."""
    given: str = ""
    """Path of the third number of partial correlations, as in the document."""
    correlations: Sequence[Correlation] = ()
    """Correlation in each curve, with `correlate`."""
    correlate: str = "spearman"
    """What is correlated, as in the document: ranks, or `logarithms`."""
    warnings: Sequence[str] = ()
    """Warnings: runs that failed or lack the number, curves without a power law, an activation
    outside the assumptions of theorem 1."""

    @property
    def shown(self) -> Sequence[CollectedPoint | CollectedMean]:
        """The means, or without `over` the points."""
        return self.means or self.points

    def columns(self) -> "dict[str, np.ndarray]":
        """Return the means, or without `over` the points, as columns; NaN where there is none."""
        return table_of([_flat(each) for each in self.shown])


def _flat(point: CollectedPoint | CollectedMean) -> Values:
    """Return the fields of a point or a mean, with its difference as `difference`,
    `difference_stderr` and `pairs`.
    """
    fields = point.table()
    if (found := fields.pop("difference", None)) is None:
        return fields
    error = {"difference_stderr": found["stderr"]} if "stderr" in found else {}
    return fields | {"difference": found["mean"], **error, "pairs": found["pairs"]}


class TableRow(Record):
    """A line of a table of results, and what is computed of its network."""

    line: int
    """Number of the line in the file."""
    network: str
    """Name of the network, such as `8x64d`."""
    said: dict[str, Number | str]
    """The cells of the line, by column; empty ones are left out."""
    parameters: int
    """Parameters of the network."""
    flops: int
    """FLOPs of a forward pass of one example."""
    fan_in_sum: float
    """S, the sum of 1/fan-in over the layers that add variance (CE eq. 9)."""
    variance: float | None = None
    """(exp(alpha S) - 1)/m (CE eq. 11), if alpha is known; null if it overflows."""
    x_rank: float | None
    """Rank of x among the lines of its group, from 1; equal numbers share their mean rank."""
    y_rank: float | None
    """Rank of y, likewise."""


class JointCorrelation(Record):
    """The mean of the correlations of several groups."""

    coefficient: float
    """Mean over the groups that have a correlation."""
    groups: int
    """Number of these groups."""
    p_value: float
    """Share of the permutations of y within each group whose mean is as far from 0."""
    permutations: int
    """Number of permutations counted, the given order included."""
    resolution: float
    """Least p value that they can give."""


class CollectedTable(CollectedPoints):
    """Networks of a table of results, against what is computed of them. A point is a line."""

    file: str
    """Path of the file."""
    sha256: str
    """Its hash when it was read."""
    alpha: float | None = None
    """The alpha of the variances, unless the file has a column of it."""
    rows: list[TableRow]
    """The lines that were asked for."""
    joint: JointCorrelation | None = None
    """Mean of the correlations, if several groups have one."""

    @property
    def is_current(self) -> bool:
        """True unless the file has changed since; a file that is gone has not."""
        try:
            return facts(Path(self.file))["sha256"] == self.sha256
        except OSError:
            return True

    def columns(self) -> "dict[str, np.ndarray]":
        """Return the lines as columns: their cells, and what is computed."""
        rows = (dict(each.items()) for each in self.rows)
        return table_of([row.pop("said") | row for row in rows])


class OfRun(Record):
    """A finding about one quantity, in one run or in the mean of several runs."""

    run: str
    """The name of the run; empty in a document without a sweep."""
    of: str = ""
    """Path of the quantity, if y names several."""
    by: str = ""
    """Value of `by`, which labels the curve."""

    @property
    def run_label(self) -> str:
        """Name that tells the run from others: the value of `by`, if there is one."""
        return self.by if "by" in self else self.run

    @property
    def subject(self) -> Values:
        """The run, the quantity and the value of `by`, as far as they are set."""
        return {key: self[key] for key in ("run", "of", "by") if key in self}


class CollectedCurve(OfRun):
    """One quantity of one run over another."""

    x: list[Number]
    """Values of the x quantity at each moment; resampled with `smooth`."""
    y: list[Number]
    """Values of the y quantity at the same moments; with `over` their mean over runs."""
    stderr: Sequence[Number] = ()
    """With `over` and several runs, the standard error of the mean at each moment."""
    runs: int = 1
    """Number of runs in the mean."""


class Reached(OfRun):
    """The place where a curve reaches the level."""

    x: Number | None
    """First x at which y reaches the level; with `over` the mean of the runs that reach it; null if
    none does."""
    stderr: Number | None = None
    """With `over`, the standard error of that mean, if two runs or more reach the level."""
    missed: int = 0
    """With `over`, the number of runs that do not reach the level, and are not in the mean."""
    runs: int = 1
    """With `over`, the number of runs."""
    last: Number | None = None
    """Last x of a curve that never reaches the level."""
    difference: PairedDifference | None = None
    """With `against`, the difference of x from its runs."""


class ValueAt(OfRun):
    """The value of a curve at a given x."""

    x: Number
    """The x, as in the document."""
    y: Number | None
    """Value there, interpolated linearly in the order of x; with `over` the mean of the runs that
    have one; null if none has, as their x do not reach it."""
    stderr: Number | None = None
    """With `over`, the standard error of that mean, if two runs or more have a value."""
    missed: int = 0
    """With `over`, the number of runs that have no value, and are not in the mean."""
    runs: int = 1
    """With `over`, the number of runs."""
    difference: PairedDifference | None = None
    """With `against`, the difference of y from its runs."""


class CollectedCurves(Record):
    """Histories of all runs and of one or several of their stages, for comparison."""

    x: str
    """Quantity on the x axis, as in the document."""
    y: str | Sequence[str]
    """Quantity on the y axis, or several, as in the document."""
    over: str = ""
    """Path that is averaged over, as in the document."""
    x_scale: str = "auto"
    """Scale of the x axis, as in the document."""
    y_scale: str = "auto"
    """Scale of the y axis, as in the document."""
    view: str
    """How the curves are drawn, as in the document: `curves` or `heatmap`."""
    by: str = ""
    """Path whose values label the curves, as in the document."""
    level: Number | None = None
    """Level to reach, as in the document."""
    reached: Sequence[Reached] = ()
    """With `level`, where each curve reaches it."""
    at: Sequence[ValueAt] = ()
    """With `at`, the value of each curve at each of its x."""
    against: str = ""
    """Value that the others are compared with, as a label."""
    curves: list[CollectedCurve]
    """One curve per quantity and run, or with `over` per mean of runs, in the order of the
    quantities and of `by`."""
    warnings: Sequence[str] = ()
    """Warnings: runs that did not record both quantities, or too few moments to be smoothed."""

    def columns(self) -> "dict[str, np.ndarray]":
        """Return the moments of all curves as columns, with the run and the `by` of each."""
        rows: list[Values] = []
        for curve in self.curves:
            columns = {key: curve[key] for key in ("x", "y", "stderr") if curve.get(key)}
            moments = zip(*columns.values(), strict=True)
            rows += [curve.subject | dict(zip(columns, each, strict=True)) for each in moments]
        return table_of(rows)


Collected = CollectedPoints | CollectedTable | CollectedCurves


def table_of(rows: list[Values]) -> "dict[str, np.ndarray]":
    """Return rows as columns with all keys of the rows; NaN where a row has none, or null."""
    import numpy as np

    keys = dict.fromkeys(key for row in rows for key in row)
    filled = {
        key: [math.inf if v == "inf" else math.nan if v is None else v for v in column]
        for key in keys
        if (column := [row.get(key) for row in rows])
    }
    return {key: np.array(column) for key, column in filled.items()}


KINDS = {"curves": CollectedCurves, "rows": CollectedTable}
"""Kinds of tables by a key that only they have."""


def read_collected(results: Values) -> tuple[dict[str, Collected], dict[str, str]]:
    """Read the `[collect]` tables of `results.json`.

    Returns the tables, and for each one that this version cannot read the reason.
    """
    known, lost = {}, {}
    for name, table in results.get("collect", {}).items():
        kind = next((kind for key, kind in KINDS.items() if key in table), CollectedPoints)
        if why := why_unreadable(kind, table):
            lost[name] = why
        else:
            known[name] = read_as(kind, table)
    return known, lost


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> Iterable[tuple[Key, list[Item]]]:
    """Gather items of equal keys, in the order of the first of each.

    >>> dict(grouped([3, 4, 5], lambda number: number % 2))
    {1: [3, 5], 0: [4]}
    """
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups.items()


def scales(asked: Comparison) -> Values:
    """Return the scales that the document asks for."""
    return {key: getattr(asked, key) for key in ("x_scale", "y_scale") if asked.changes(key)}


def filled(**fields: Any) -> Values:
    """Return the fields that are neither None nor an empty list."""
    return {key: value for key, value in fields.items() if value not in (None, [])}
