"""Comparisons of networks whose results stand in a table, such as published accuracies."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Discriminator, Field, Tag

from ceflow.spec.base import FORM_TAG_PREFIX
from ceflow.spec.collect import Axes, Collect, Paths
from ceflow.spec.diagnostics import Fault
from ceflow.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from ceflow.spec.document import Document

ADDED = ("parameters", "flops", "fan_in_sum", "variance")
"""Columns that are computed for each network of a table."""
MOST_PERMUTATIONS = 1_000_000
"""Largest number of permutations of a test."""

Cells = Annotated[Sequence[str | float], AfterValidator(tuple), Field(min_length=1)]


class CollectTable(Axes):
    """A comparison of networks whose results are given in a CSV file, such as published test
    errors: their parameters, FLOPs, S and variance are computed.
    """

    table: str
    """Path of a CSV file with a line for each network, relative to the document: see
    [tables of results](sweeps.md#tables-of-results)."""
    x: str
    """A column of numbers: one of the file, `parameters`, `flops`, `fan_in_sum` or `variance`."""
    y: str
    """Another column of numbers, such as `error`."""
    by: Paths | None = None
    """A column, or an array of columns: each of its values, or each combination of them, is a group
    with its own curve, fit and correlation."""
    over: str | None = None
    """A column, such as `seed`, whose lines are averaged: each point is the mean over the lines of
    one network, with its standard error."""
    given: str | None = None
    """With `correlate`, a third column of numbers, such as `parameters`: the correlation is the
    partial one, given this number."""
    where: dict[str, Cells] = Field(default_factory=dict)
    """Lines to use: those whose cells in these columns are among the values, as
    `{depth = [20, 56]}`. By default all."""
    alpha: Annotated[float, Field(ge=1e-3, le=1e3)] | None = None
    """The constant alpha of CE eq. 9, by which `variance` is (exp(alpha S) - 1)/m. A column `alpha`
    of the file takes precedence."""
    variance: str | None = None
    """A variance stage whose alpha is used, in place of `alpha`."""
    permutations: Annotated[int, Field(ge=100, le=MOST_PERMUTATIONS)] = 10_000
    """Number of permutations by which the p values of correlations are found; if there are fewer in
    all, all of them are tried."""

    told_by: ClassVar = "table"

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns whose values are told apart."""
        return () if self.by is None else (self.by,) if isinstance(self.by, str) else tuple(self.by)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The columns that are named, each with the key that names it."""
        named = [("x", self.x), ("y", self.y), ("given", self.given), ("over", self.over)]
        named += [("by", column) for column in self.groups]
        named += [("where", column) for column in self.where]
        return [(key, column) for key, column in named if column is not None]

    @property
    def uses_variance(self) -> bool:
        """True if the variance of the networks is compared."""
        return "variance" in (self.x, self.y, self.given)

    def of_histories(self, document: "Document") -> bool:
        """Tell whether quantities over time are collected, which no table has."""
        return False

    def faults_in(self, document: "Document") -> list[Fault]:
        """List the faults of this comparison in its document."""
        return [
            *self._document_faults(document),
            *self._name_faults(),
            *self._alpha_faults(document),
        ]

    def _document_faults(self, document: "Document") -> Iterator[Fault]:
        if document.sweep is not None:
            message = "a table is collected once, and not over a sweep"
            help = "collect it in a document of its own, without [sweep]"
            yield Fault("CE202", message, ("table",), "key", help)
        if not document.model.has_members:
            message = "the networks of a table are of a family of ensembles, and this model is not"
            yield Fault(
                "CE203", message, ("table",), "key", 'use a model of type "resnext" or "mlp"'
            )

    def _name_faults(self) -> Iterator[Fault]:
        named: dict[str, str] = {}
        for key, column in self.columns:
            first = named.setdefault(column, key)
            if first != key and key != "where" and first != "where":
                message = f"{column} is named at {first}, and at {key} again"
                yield Fault("CE202", message, (key,), help="leave it out in one place")
        if self.given is not None and self.correlate == "none":
            message = "given is the third number of a partial correlation, and there is none"
            yield Fault("CE202", message, ("given",), "key", 'add correlate = "spearman"')
        if self.correlate == "none" and self.changes("permutations"):
            message = "permutations are for the p values of correlations, and there are none"
            yield Fault("CE202", message, ("permutations",), "key", 'add correlate = "spearman"')

    def _alpha_faults(self, document: "Document") -> Iterator[Fault]:
        stages = {name for name, stage in document.stages.items() if stage.finds_law}
        if self.alpha is not None and self.variance is not None:
            message, help = "variance and alpha exclude each other", "leave one of them out"
            yield Fault("CE202", message, ("alpha",), "key", help)
        elif self.variance is not None and self.variance not in stages:
            help = did_you_mean(self.variance, sorted(stages)) or "there is none"
            yield Fault(
                "CE201", f"{self.variance!r} is not a variance stage", ("variance",), help=help
            )


def _form(value: Any) -> str:
    is_table = "table" in value if isinstance(value, dict) else isinstance(value, CollectTable)
    return FORM_TAG_PREFIX + ("table" if is_table else "runs")


Comparison = Annotated[
    Annotated[Collect, Tag(FORM_TAG_PREFIX + "runs")]
    | Annotated[CollectTable, Tag(FORM_TAG_PREFIX + "table")],
    Discriminator(_form),
]
"""An entry of [collect]: of runs, or with the key `table` of the results in a table."""
