"""The result of a `search` stage."""

from typing import ClassVar

from ceflow.search import LimitName
from ceflow.spec import Document, Model, network_name
from ceflow.stages.result import Record, Result, Values


class FoundNetwork(Record):
    """A whole network that a search reports."""

    widths: list[int]
    """Hidden widths of one member; for a resnext those of one group of a block."""
    multiplicity: int
    """Number of members or groups, a whole number."""
    parameters: int
    """Parameters of the whole network, with a whole number of members."""
    flops: int
    """FLOPs of a forward pass of one example, with a whole number of members."""
    seconds: float | None = None
    """Seconds of a forward pass of one batch, if the cost or the budget is a latency; null for
    widths that a file of latencies does not cover. With `cost = "latency"` the `efficiency` in
    `rounded` and in `compare` uses these."""
    spread: float | None = None
    """Half the interquartile range of the repeats divided by their median, if the seconds were
    measured."""

    @property
    def macs(self) -> float:
        """Multiply-adds of a forward pass of one example, two FLOPs each."""
        return self.flops / 2

    def spent(self, limit: LimitName) -> float | None:
        """Return the cost in the unit of a limit; None if unknown."""
        return self.seconds if limit == "latency" else getattr(self, limit)


class Baseline(FoundNetwork):
    """The network from which the search starts."""

    fan_in_sum: float
    """S, the sum of 1/fan-in over the layers that add variance (CE eq. 9)."""
    efficiency: float
    """Cost of the baseline divided by itself: 1."""
    variance: float
    """Var(K)/E[K]^2 (CE eq. 11)."""


class Rounded(Record):
    """Efficiency and variance after rounding the multiplicity to a whole number."""

    efficiency: float
    """Cost of the whole baseline divided by that of the whole network."""
    variance: float
    """Var(K)/E[K]^2 of the whole network."""


class Answer(FoundNetwork):
    """An optimal network: on the curve with a real multiplicity, and with a whole number of
    members.

    The costs are those of the network with a whole number of members.
    """

    multiplicity_exact: float
    """The real multiplicity on the curve (CE eq. 12 and 14)."""
    efficiency: float
    """Cost of the baseline divided by that of the network, on the curve (CE eq. 8 and 15): 1 for
    the primal without a budget."""
    variance: float
    """Var(K)/E[K]^2 on the curve (CE eq. 11): for the dual the baseline's."""
    rounded: Rounded
    """Efficiency and variance with a whole number of members, which the report shows as well."""
    model: Values
    """The network as a `[model]` table."""

    @property
    def network(self) -> Model:
        """The network as a model that later stages can act on."""
        return Document.model_validate({"model": self.model}).model


class Compared(FoundNetwork):
    """A network listed in `compare`, with its numbers for a whole number of members."""

    name: str
    """Name of the network, such as `37x10d`."""
    efficiency: float | None
    """Cost of the whole baseline divided by that of the whole network; null if a latency is
    unknown."""
    variance: float | None
    """Var(K)/E[K]^2 of the whole network; null if it lies outside the curve of the variance
    stage."""


Shown = Baseline | Answer | Compared


class Duality(Record):
    """Whether the two problems, solved separately, give the same widths."""

    primal_widths: list[int]
    """Widths with the least variance at the baseline's cost."""
    dual_widths: list[int]
    """Widths with the least cost at the baseline's variance."""
    gap: float
    """1 minus the dual's efficiency times the primal's variance divided by the baseline's
    variance."""
    holds: bool
    """Whether the gap is 0 up to rounding."""


class NearOptimal(Record):
    """A candidate whose objective is near the best; costs and variance are those of its primal."""

    widths: list[int]
    """Hidden widths of one member."""
    primal_multiplicity: int
    """Whole number of members at the baseline's cost, or within the budget."""
    dual_multiplicity: int
    """Whole number of members at the baseline's variance."""
    objective_ratio: float
    """Primal objective divided by the best one: on the curve, or with a budget for whole
    members."""
    parameters: int
    """Parameters of the whole primal network."""
    flops: int
    """FLOPs of a forward pass of one example through the whole primal network."""
    variance: float
    """Var(K)/E[K]^2 of the whole primal network."""


class CurvePoint(Record):
    """A candidate on the curves of CE figure 3, with a real number of members."""

    widths: list[int]
    """Hidden widths of one member."""
    primal_multiplicity: float
    """Real number of members at the baseline's cost (CE eq. 12), or within the budget."""
    dual_multiplicity: float
    """Real number of members at the baseline's variance (CE eq. 14)."""
    variance: float | None
    """Objective of the primal, at the baseline's cost or within the budget (CE eq. 11); null if no
    fraction of a member is within the budget."""
    efficiency: float
    """Objective of the dual, at the baseline's variance (CE eq. 8 and 15)."""


class Timed(Record):
    """A network whose latency was measured; those of other networks are interpolated."""

    widths: list[int]
    """Hidden widths of one member."""
    multiplicity: int
    """Number of members or groups."""
    seconds: float
    """Seconds of a forward pass of one batch."""
    spread: float | None = None
    """Half the interquartile range of the repeats divided by their median, if they were measured
    here."""
    repeats: int | None = None
    """Number of timed calls, if they were measured here."""


class Latencies(Record):
    """The measured latencies, from which those of candidates are interpolated."""

    file: str | None = None
    """Name of the latency file, if the latencies were not measured here."""
    batch: int | None = None
    """Number of examples in the timed batch, if it was timed here."""
    precision: str | None = None
    """Precision of the arrays in the timed calls, if they were timed here."""
    shared: float = 0.0
    """Seconds of the layers that members share, as told from the baseline with twice its members; 0
    if they share none. Those of a file are found from a width that it has twice."""
    points: list[Timed]
    """The networks whose latency was measured."""


class SearchResult(Result):
    """The optimally smooth and compact ensembles around a baseline (CE Algorithm 2)."""

    alpha: float | None
    """The alpha used; null if the variance does not come from the law."""
    using: str
    """Source of the variance, as in the document: `law`, `exact` or `curve`."""
    cost: str
    """Cost that the primal keeps fixed, as in the document: `parameters`, `flops` or `latency`."""
    widths: list[int] | None = None
    """Widths that the document gives to the answers, in place of the optimal ones."""
    space: str
    """Widths that were searched, as in the document: `ratio` or `free`."""
    budget: dict[LimitName, float] | None
    """The limits set in the document; null without a budget."""
    baseline: Baseline
    """The network from which the search starts."""
    primal: Answer
    """The optimally smooth network: the least variance at the baseline's cost, or within the
    budget."""
    dual: Answer
    """The optimally compact network: the least cost at the baseline's variance."""
    duality: Duality
    """Whether the two problems, solved separately, give the same widths."""
    near_optimal: list[NearOptimal]
    """The candidates within `tolerance` of the best, narrowest first."""
    left_out: int = 0
    """Number of further candidates within `tolerance` of the best on the curve that no whole number
    of members comes near to."""
    refused: int = 0
    """Number of candidates tried and left out because a layer that a plugin adds does not take
    their widths."""
    compare: list[Compared]
    """The networks listed in `compare`."""
    ROWS: ClassVar[str] = "curve"
    curve: list[CurvePoint]
    """All candidates, narrowest first."""
    latency: Latencies | None = None
    """The latencies used, if the cost or the budget is a latency."""
    widths_interval: list[list[int]] | None
    """Widths of the primal at both ends of the confidence interval of a fitted alpha, lowest alpha
    first; null if no alpha was fitted or it has no interval."""

    @property
    def shown(self) -> list[tuple[str, Shown]]:
        """All networks that the search reports, each with its role."""
        answers = [("baseline", self.baseline), ("primal", self.primal), ("dual", self.dual)]
        return [*answers, *(("compare", network) for network in self.compare)]

    def headline(self) -> str:
        answers = {"primal": self.primal, "dual": self.dual}.items()
        return ", ".join(f"{part} {network_name(a.multiplicity, a.widths)}" for part, a in answers)

    def models(self) -> dict[str, Model]:
        return {"primal": self.primal.network, "dual": self.dual.network}
