"""Comparisons between the runs of a sweep."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ceflow.spec.base import Count, Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.paths import (
    ERRORS,
    history_path,
    is_axis_value,
    recorded_by,
    same_label,
    same_value,
    value_label,
)
from ceflow.spec.stages import Search
from ceflow.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from ceflow.spec.document import Document
    from ceflow.spec.sweep import Sweep

Scale = Literal["auto", "linear", "log"]
Correlate = Literal["none", "spearman", "logarithms"]


def _one_or_several(value: Any) -> Any:
    several = value if isinstance(value, list | tuple) else [value]
    if several and all(isinstance(each, str) for each in several):
        return value if isinstance(value, str) else tuple(value)
    example = '"stages.NAME.KEY"'
    raise PydanticCustomError("paths", f"must be a path, as {example}, or an array of paths")


Paths = Annotated[
    str | Sequence[str],
    BeforeValidator(_one_or_several),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]

Values = Annotated[
    Sequence[Annotated[float, Field(allow_inf_nan=False)]],
    AfterValidator(tuple),
    Field(min_length=1),
]

HISTORY_KEYS = ("view", "smooth", "level", "at")
"""Keys that are allowed only when quantities over time (histories) are collected."""


class Axes(Spec):
    """The axes of a comparison, and what relates them."""

    x_scale: Scale = "auto"
    """Scale of the x axis. `auto`: `log` if all values are above 0 and spread evenly in logarithms,
    or over a factor of 100; else `linear`."""
    y_scale: Scale = "auto"
    """Scale of the y axis, likewise."""
    fit: Literal["none", "power"] = "none"
    """`power`: y = factor x^slope, by least squares of log y on log x."""
    correlate: Correlate = "none"
    """`spearman`: the [rank correlation](sweeps.md#rank-correlations) of x and y, for each value of
    `by`; `logarithms`: the linear correlation of log x and log y."""


class Collect(Axes):
    """A comparison of the runs of a sweep: one number per run against another, or histories of the
    stages of each run.
    """

    x: str
    """A swept path such as `"model.multiplicity"`, whose values are numbers; an array of equal
    numbers counts as that number. With `correlate` also a number in the results of a stage. For
    [histories](sweeps.md#histories): a quantity that a stage records over time, such as
    `"stages.train.step"`."""
    y: Paths
    """`"stages.NAME.KEY"`: a number in the results of a stage. For histories: a quantity that the
    stage of x records over time, or an array of quantities, also of
    [other stages](sweeps.md#several-stages-in-one-figure)."""
    by: str | None = None
    """Another swept path: each of its values gets its own curve and fit. For histories: the path
    whose values label the runs' curves."""
    over: str | None = None
    """A third swept path, such as `"seed"`, whose runs are averaged: each point, or each moment of
    a history, is their mean with its standard error."""
    given: str | None = None
    """With `correlate`, a swept path or a number in the results of a stage, such as
    `"stages.best.primal.parameters"`: the correlation is the partial one, given this number."""
    last: Count | None = None
    """y is the mean over this many last moments that its stage records, in place of the number at
    the end: with a moment each epoch, `last = 10` is the mean of the last ten epochs."""
    view: Literal["curves", "heatmap"] = "curves"
    """Histories only: `curves` over common axes, or a `heatmap` with one row per run, x to the
    right and y as the colour."""
    smooth: Count | None = None
    """Histories only: resample y at evenly spaced x over the range of all runs, then take a moving
    average of x and y over this many points (BN appendix D.4)."""
    level: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Histories only: add a table of the first x at which each run reaches this y."""
    at: Values | None = None
    """Histories only: add a [table of y at these x](sweeps.md#at-equal-training-loss), such as
    `[0.1, 0.01]` of a training loss."""
    against: str | int | float | Sequence[int | float | str] | None = None
    """With `over`, a value of `by`, or without `by` of x: the other values are
    [compared with it](sweeps.md#paired-comparisons) by the differences between runs that have the
    same value of `over`."""

    @property
    def quantities(self) -> tuple[str, ...]:
        """The paths at y: one, or of histories several."""
        return (self.y,) if isinstance(self.y, str) else tuple(self.y)

    @property
    def result(self) -> tuple[str, ...]:
        """Path of y in the results: the stage, then the keys."""
        return tuple(self.quantities[0].split(".")[1:])

    @property
    def paths(self) -> list[tuple[str, str]]:
        """Paths of the numbers of each run, each with the key that names it."""
        every = (("x", self.x), *(("y", path) for path in self.quantities), ("given", self.given))
        return [(key, path) for key, path in every if path is not None]

    def paths_of_stages(self, document: "Document") -> list[tuple[str, str]]:
        """List those of the paths that lead to numbers that stages find or record."""
        swept = document.sweep.paths if document.sweep else ()
        return [
            (key, path)
            for key, path in self.paths
            if key == "y" or (path.startswith("stages.") and path not in swept)
        ]

    def of_histories(self, document: "Document") -> bool:
        """Tell whether x and y are quantities recorded over time."""
        return self.correlate == "none" and "x" in dict(self.paths_of_stages(document))

    def faults_in(self, document: "Document") -> list[Fault]:
        """List the faults of this comparison in its document."""
        if document.sweep is None and not self.of_histories(document):
            message = "there is nothing to collect without a sweep"
            return [Fault("CE202", message, part="key", help="add a [sweep] table")]
        faults = [*self._swept_faults(document), *self._stage_faults(document)]
        faults += [] if faults else self._against_faults(document)
        faults = faults or list(self._measured_faults(document))
        if self.of_histories(document):
            return faults or list(self._recorded_faults(document)) or list(self._history_faults())
        faults += [*self._number_faults(), *self._fit_faults(document)]
        faults += [] if faults else self._last_faults(document)
        return [*faults, *self._correlation_faults(document)]

    def _swept_faults(self, document: "Document") -> Iterator[Fault]:
        swept = list(document.sweep.paths) if document.sweep else []
        elsewhere = dict(self.paths_of_stages(document))
        for key in ("x", "given", "by", "over"):
            path = getattr(self, key)
            if path is not None and path not in swept and key not in elsewhere:
                message = f"{path!r} is not swept"
                yield Fault("CE201", message, (key,), help=did_you_mean(path, swept))
        if self.over in swept:
            told = f"stages.{history_path(self.x)[0]}.widths" if self._is_fixed(document) else None
            others = [path for path in swept if path not in (self.over, told)]
            yield from self._over_faults(document.sweep, others)
        values = document.sweep.paths.get(self.x, ()) if document.sweep else ()
        if values and not any(map(is_axis_value, values)):
            message = f"no value of {self.x} in the sweep is a number, or a list of one repeated"
            yield Fault("CE104", message, ("x",), help="name a swept path of numbers")
        for key in ("x", "by"):
            path = getattr(self, key)
            if document.sweep and (pair := same_label(document.sweep.paths.get(path, ()))):
                message = (
                    f"{pair[0]} and {pair[1]} of {path} are both written {value_label(pair[0])}"
                )
                help = "name another swept path, or sweep over lists whose entries differ"
                yield Fault("CE202", message, (key,), help=help)

    def _against_faults(self, document: "Document") -> Iterator[Fault]:
        """Find a comparison with what is not swept, or without runs that share a value."""
        if self.against is None:
            return
        path = self.by or self.x
        values = document.sweep.paths.get(path) if document.sweep else None
        if self.over is None:
            message = "against compares runs that have the same value of over, and there is none"
            yield Fault(
                "CE202", message, ("against",), "key", 'add over = "seed", and sweep over it'
            )
        elif values is None:
            message = "against is a value of by, and there is none"
            yield Fault("CE202", message, ("against",), "key", "name a swept path at by")
        elif not any(same_value(self.against, value) for value in values):
            message = f"{value_label(self.against)} is not among the swept values of {path}"
            help = f"one of {', '.join(map(value_label, values))}"
            yield Fault("CE201", message, ("against",), help=help)

    def _over_faults(self, sweep: "Sweep | None", others: Sequence[str]) -> Iterator[Fault]:
        """Find paths that would be averaged over unasked, or are axes too."""
        if self.over in (self.x, self.by, self.given):
            message = f"{self.over} is averaged over, and named again"
            yield Fault("CE202", message, ("over",), "key", "leave it out in one place")
        named = (self.x, self.by, self.given)
        for path in others:
            if path not in named and not (sweep and sweep.follows(path, named)):
                message = f"{path} is swept too, and its runs would be averaged"
                yield Fault("CE202", message, ("over",), help=f'name it: by = "{path}"')

    def _stage_faults(self, document: "Document") -> Iterator[Fault]:
        names = list(document.stages)
        for key, path in self.paths_of_stages(document):
            root, *rest = path.split(".")
            if root != "stages" or len(rest) < 2:
                help = f'as "stages.{names[0] if names else "NAME"}.KEY"'
                yield Fault("CE104", f"{key} must name a number of a stage", (key,), help=help)
            elif rest[0] not in names:
                help = did_you_mean(rest[0], names) or "there is none"
                yield Fault("CE201", f"{rest[0]!r} is no stage", (key,), help=help)

    def _measured_faults(self, document: "Document") -> Iterator[Fault]:
        """Find quantities that need test examples or class labels, if the data have none."""
        swept = document.sweep.paths if document.sweep else ()
        if document.data is None or any(path.startswith("data") for path in swept):
            return
        for key, path in self.paths_of_stages(document):
            number = path.rpartition(".")[2]
            if number.startswith("test_") and getattr(document.data, "test", 0) == 0:
                help = "set data.test" if hasattr(document.data, "test") else "use other data"
                yield Fault("CE202", f"there are no test examples for {number}", (key,), help=help)
            elif ERRORS.get(number, number).endswith("accuracy") and not document.data.has_classes:
                message = f"{number} needs class labels, and the targets are numbers"
                yield Fault("CE202", message, (key,), help="collect a loss")

    def _fit_faults(self, document: "Document") -> Iterator[Fault]:
        values = document.sweep.paths.get(self.x, ()) if document.sweep else ()
        if self.fit == "power" and 0 < len({repr(value) for value in values}) < 2:
            message = f"a power law needs two values of {self.x}, and the sweep has one"
            yield Fault("CE202", message, ("fit",), "key", "sweep over more, or leave fit out")

    def _correlation_faults(self, document: "Document") -> Iterator[Fault]:
        """Find a `given` without a correlation or named twice, and means over an x that differs
        between their runs.
        """
        if self.given is not None and self.correlate == "none":
            message = "given is the third number of a partial correlation, and there is none"
            yield Fault("CE202", message, ("given",), "key", 'add correlate = "spearman"')
        elif self.given is not None and self.given in (self.x, *self.quantities, self.by):
            message = f"{self.given} is given, and named again"
            yield Fault("CE202", message, ("given",), "key", "leave it out in one place")
        drawn = "x" in dict(self.paths_of_stages(document)) and not self._is_fixed(document)
        if self.over is not None and drawn:
            message = f"{self.x} differs between the runs that are averaged over {self.over}"
            yield Fault("CE202", message, ("over",), "key", "leave over out, or let x be swept")

    def _is_fixed(self, document: "Document") -> bool:
        """Tell whether x is of a search whose variances are not drawn: the same for every seed, and
        another for other widths.
        """
        if self.over != "seed" or not self.x.startswith("stages.") or self.x.count(".") < 2:
            return False
        stage = document.stages.get(history_path(self.x)[0])
        swept = document.sweep.paths if document.sweep else ()
        if stage is None or not stage.offers:
            return False
        return Search.expect(stage).variance is None and self.x not in swept

    def _recorded_faults(self, document: "Document") -> Iterator[Fault]:
        """Find quantities that are not recorded over time, starting with x.

        An unknown x may also be a misspelt swept path.
        """
        swept = document.sweep.paths if document.sweep else ()
        stage, x = history_path(self.x)
        known, judged = recorded_by(document, stage), f"stages.{stage}.record" not in swept
        settings = [history_path(path)[1] for path in swept if path.startswith(f"stages.{stage}.")]
        named = dict.fromkeys(history_path(path)[0] for path in self.quantities)
        if not known:
            message = f"the stage {stage!r} records nothing over time"
            help = did_you_mean(x, settings) or "name a flow or a train stage"
            yield Fault("CE202", message, ("x",), help=help)
        elif judged and x not in known:
            message = f"{stage!r} does not record {x!r}"
            yield Fault("CE201", message, ("x",), help=did_you_mean(x, [*known, *settings]))
        elif stage not in named:
            others = " and ".join(map(repr, named))
            message = f"x is recorded by the stage {stage!r}, y by {others}"
            yield Fault("CE202", message, ("y",), help=f'as "stages.{stage}.KEY"')
        else:
            yield from self._quantity_faults(document, x)

    def _quantity_faults(self, document: "Document", x: str) -> Iterator[Fault]:
        """Find quantities at y that their stages do not record, or not over x."""
        swept = document.sweep.paths if document.sweep else ()
        for path in self.quantities:
            stage, y = history_path(path)
            known = recorded_by(document, stage)
            if f"stages.{stage}.record" in swept:
                continue
            if x not in known:
                message = f"{stage!r} does not record {x!r}, which is x"
                help = f"name stages that record {x!r}"
                yield Fault("CE202", message, ("y",), help=help)
            elif y not in known:
                message = f"{stage!r} does not record {y!r}"
                yield Fault("CE201", message, ("y",), help=did_you_mean(y, known))

    def _history_faults(self) -> Iterator[Fault]:
        twice = [path for path in set(self.quantities) if self.quantities.count(path) > 1]
        for path in sorted(twice):
            yield Fault("CE202", f"y names {path} twice", ("y",), help="leave one of them out")
        if self.fit != "none":
            message = "a power law is fitted to one number per run, not to histories"
            yield Fault("CE202", message, ("fit",), "key", "leave fit out, or let x be swept")
        if self.last is not None:
            message = "last makes one number per run, and histories are collected"
            yield Fault("CE202", message, ("last",), "key", "leave last out, or let x be swept")
        for key in ("level", "at"):
            if self.smooth and getattr(self, key) is not None:
                message = f"smooth and {key} exclude each other: {key} is of the recorded values"
                yield Fault("CE202", message, ("smooth",), "key", "leave one of them out")
        if self.against is not None and self.at is None and self.level is None:
            message = "against compares numbers, and these are whole histories"
            help = "add at or level, which make numbers of them"
            yield Fault("CE202", message, ("against",), "key", help)

    def _last_faults(self, document: "Document") -> Iterator[Fault]:
        """Find a mean over moments of what its stage does not record."""
        if self.last is None:
            return
        stage, key = history_path(self.quantities[0])
        known = recorded_by(document, stage)
        if not known:
            message = f"the stage {stage!r} records nothing over time"
            yield Fault("CE202", message, ("last",), "key", "name a flow or a train stage at y")
        elif key not in known:
            message = f"{stage!r} does not record {key!r} over time"
            yield Fault("CE201", message, ("y",), help=did_you_mean(key, known))

    def _number_faults(self) -> Iterator[Fault]:
        if len(self.quantities) > 1:
            message = "several quantities at y are for histories only, and x is one number per run"
            yield Fault("CE202", message, ("y",), help="collect each of them in a table of its own")
        for key in HISTORY_KEYS:
            if self.changes(key):
                message = f"{key} is for histories only, and x is one number per run"
                help = 'let x be a quantity that a stage records, as "stages.train.step"'
                yield Fault("CE202", message, (key,), "key", help)
