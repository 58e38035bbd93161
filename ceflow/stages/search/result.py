"""The result of a `search` stage."""

from typing import ClassVar

from ceflow.search import LimitName
from ceflow.spec import Document, Model
from ceflow.stages.result import Record, Result, Values


class Network(Record):
    """A whole network that the search is about."""

    widths: list[int]
    """Hidden widths of one member; of a resnext those of a block's group."""
    multiplicity: int
    """Number of members or groups, whole."""
    parameters: int
    """Of the whole network, in whole members."""
    flops: int
    """Of one example forward through the whole network, in whole members."""
    seconds: float | None = None
    """Of a batch forward, where the cost or the budget is a latency; by a file of latencies null
    beyond its widths. With `cost = "latency"` the `efficiency` in `rounded` and in `compare` is by
    these."""
    spread: float | None = None
    """Half of the range of the middle half of the repeats over their median; where the seconds were
    measured."""

    @property
    def macs(self) -> float:
        """Multiply-adds of one example forward, two FLOPs each."""
        return self.flops / 2

    def spent(self, limit: LimitName) -> float | None:
        """Tell what it costs in the unit of a limit; None where that is not known."""
        return self.seconds if limit == "latency" else getattr(self, limit)


class Baseline(Network):
    """The network that was searched around."""

    fan_in_sum: float
    """S, the sum of 1/fan-in over the layers that add variance (CE eq. 9)."""
    efficiency: float
    """Its cost over its own: 1."""
    variance: float
    """Var(K)/E[K]^2 (CE eq. 11)."""


class Rounded(Record):
    """What an answer is worth as it is emitted, in whole members."""

    efficiency: float
    """The whole baseline's cost over the whole network's."""
    variance: float
    """Var(K)/E[K]^2 of the whole network."""


class Answer(Network):
    """A network at the best widths: on the curve with a real multiplicity, and in whole members.

    The counts are of the network as it is emitted, in whole members.
    """

    multiplicity_exact: float
    """The real multiplicity on the curve (CE eq. 12 and 14)."""
    efficiency: float
    """On the curve, the baseline's cost over the network's (CE eq. 8 and 15): 1 of the primal
    without a budget."""
    variance: float
    """On the curve, Var(K)/E[K]^2 (CE eq. 11): of the dual the baseline's."""
    rounded: Rounded
    """What the whole network is worth with its whole number of members, as the report shows beside
    that."""
    model: Values
    """The network as a `[model]` table."""

    @property
    def network(self) -> Model:
        """The network as a model, which later stages can act on."""
        return Document.model_validate({"model": self.model}).model


class Compared(Network):
    """A network that the stage names, with its own numbers in whole members."""

    name: str
    """As in `37x10d`."""
    efficiency: float | None
    """The baseline's cost over its own, of whole networks; null where a latency is not known."""
    variance: float | None
    """Var(K)/E[K]^2 of the whole network; null where the curve of a variance stage does not
    reach."""


Shown = Baseline | Answer | Compared


class Duality(Record):
    """Whether both problems, solved apart, end at the same widths."""

    primal_widths: list[int]
    """Of the least variance at the baseline's cost."""
    dual_widths: list[int]
    """Of the least cost at the baseline's variance."""
    gap: float
    """1 less the dual's efficiency times the primal's variance over the baseline's."""
    holds: bool
    """Whether the gap is 0 but for rounding."""


class NearOptimal(Record):
    """A candidate whose objective is near the best; counts and variance are of its primal."""

    widths: list[int]
    """Hidden widths of one member."""
    primal_multiplicity: int
    """Whole members at the baseline's cost, or within the budget."""
    dual_multiplicity: int
    """Whole members at the baseline's variance."""
    objective_ratio: float
    """Its primal objective over the best: on the curve; with a budget of whole members."""
    parameters: int
    """Of the whole primal network."""
    flops: int
    """Of one example forward through the whole primal network."""
    variance: float
    """Var(K)/E[K]^2 of the whole primal network."""


class CurvePoint(Record):
    """A candidate on the curves of CE figure 3, in real numbers of members."""

    widths: list[int]
    """Hidden widths of one member."""
    primal_multiplicity: float
    """The real number of members at the baseline's cost (CE eq. 12), or within the budget."""
    dual_multiplicity: float
    """The real number of members at the baseline's variance (CE eq. 14)."""
    variance: float | None
    """The primal's objective, at the baseline's cost or within the budget (CE eq. 11); null where
    no part of a member is within it."""
    efficiency: float
    """The dual's objective, at the baseline's variance (CE eq. 8 and 15)."""


class Timed(Record):
    """A network that was timed; the latencies of others are interpolated between such."""

    widths: list[int]
    """Hidden widths of one member."""
    multiplicity: int
    """Members or groups."""
    seconds: float
    """Of a batch forward."""
    spread: float | None = None
    """Half of the range of the middle half of the repeats over their median; where they were
    measured."""
    repeats: int | None = None
    """Calls that were timed; where they were measured."""


class Latencies(Record):
    """The times between which those of candidates are interpolated."""

    file: str | None = None
    """The name of the file that has them; where they are not of this machine."""
    batch: int | None = None
    """Examples that were sent forward at once; where they were measured."""
    precision: str | None = None
    """Of the numbers; where they were measured."""
    points: list[Timed]
    """The networks that were timed."""


class SearchResult(Result):
    """The optimally smooth and compact ensembles around a baseline (CE Algorithm 2)."""

    alpha: float | None
    """The alpha used; null where the variance is not by the law."""
    using: str
    """How the variance is known, as in the document: `law`, `exact` or `curve`."""
    cost: str
    """What the primal holds fixed, as in the document: `parameters`, `flops` or `latency`."""
    space: str
    """Which widths are candidates, as in the document: `ratio` or `free`."""
    budget: dict[LimitName, float] | None
    """The limits that the document gives; null without a budget."""
    baseline: Baseline
    """The network that was searched around."""
    primal: Answer
    """The optimally smooth network: the least variance at the baseline's cost, or within the
    budget."""
    dual: Answer
    """The optimally compact network: the least cost at the baseline's variance."""
    duality: Duality
    """Whether both problems, solved apart, end at the same widths."""
    near_optimal: list[NearOptimal]
    """The candidates within `tolerance` of the best, the narrowest first."""
    compare: list[Compared]
    """The networks that the stage names."""
    ROWS: ClassVar[str] = "curve"
    curve: list[CurvePoint]
    """All candidates, the narrowest first."""
    latency: Latencies | None = None
    """What times are by, where the cost or the budget is a latency."""
    widths_interval: list[list[int]] | None
    """The primal's widths at both ends of the interval of a fitted alpha, the lowest first; null
    where no alpha was fitted, or it has no interval."""

    @property
    def shown(self) -> list[tuple[str, Shown]]:
        """All networks that the search is about, each with its part."""
        answers = [("baseline", self.baseline), ("primal", self.primal), ("dual", self.dual)]
        return [*answers, *(("compare", network) for network in self.compare)]

    def models(self) -> dict[str, Model]:
        return {"primal": self.primal.network, "dual": self.dual.network}
