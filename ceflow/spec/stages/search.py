"""The `search` stage."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from ceflow.spec.base import Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.notation import NetworkName, read_network
from ceflow.spec.stages.stage import References, StageSpec
from ceflow.spec.stages.variance import Variance

if TYPE_CHECKING:
    from ceflow.spec.document import Document

MOST = 1e18
"""The largest budget: of what 10^12 members could use, which is the most that a network has."""
MOST_FREE = 6
"""Layers whose widths a search varies freely: the last step tries all neighbours, 3^layers."""


Amount = Annotated[float, Field(gt=0, le=MOST)]


class Budget(Spec):
    """The most that the whole network may cost."""

    parameters: Amount | None = None
    """Parameters of the whole network."""
    flops: Amount | None = None
    """FLOPs of one example forward."""
    macs: Amount | None = None
    """Multiply-adds of one example forward, two FLOPs each; not beside `flops`."""
    latency: Amount | None = None
    """Seconds of a forward pass of the batch that is timed, or as the file of `latency` has
    them."""

    def faults(self) -> list[Fault]:
        if not (self.parameters or self.flops or self.macs or self.latency):
            message = "a budget needs parameters, flops, macs or latency"
            help = "budget = {parameters = 5e6}"
            return [Fault("CE102", message, part="key", help=help)]
        if self.flops and self.macs:
            message, help = "flops and macs are one limit, a MAC being two FLOPs", "leave one out"
            return [Fault("CE202", message, ("macs",), "key", help)]
        return []


class Search(StageSpec):
    """The optimal ensemble for a baseline: primal and dual (CE eq. 10 to 14, Algorithm 2)."""

    type: Literal["search"] = "search"
    """The optimally smooth (primal) and the optimally compact (dual) ensemble."""
    variance: str | None = None
    """An earlier variance stage whose alpha, or measured points, to use."""
    alpha: Annotated[float, Field(ge=1e-3, le=1e3)] | None = None
    """The constant of CE eq. 9, in place of a variance stage."""
    using: Literal["law", "exact", "curve"] = "law"
    """Where the variance of a member comes from. `law`: exp(alpha S) - 1; `exact`: its moments in
    closed form, of relu or linear networks without bias; `curve`: what a variance stage measured,
    and between its points."""
    cost: Literal["parameters", "flops", "latency"] = "parameters"
    """What the primal keeps and the dual makes small (CE eq. 8 and 15); a
    [latency](stages.md#latency) is measured on this machine, or elsewhere."""
    latency: str | None = None
    """A CSV file of seconds by width, measured elsewhere, in place of this machine's; its path is
    relative to the document: see [latency](stages.md#latency)."""
    budget: Budget | None = None
    """What the primal may cost at most, in place of what the baseline costs: see
    [budget](stages.md#budget)."""
    space: Literal["ratio", "free"] = "ratio"
    """`ratio`: the baseline's widths times a ratio; `free`: every width by itself."""
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.02
    """The near-optimal set holds the candidates whose objective is within this fraction of the
    best."""
    compare: Annotated[Sequence[NetworkName], AfterValidator(tuple)] = ()
    """Other networks of the family, to be listed with their counts, variance and efficiency, as
    `"3x64d"`: members x width."""

    offers: ClassVar = ("primal", "dual")
    path_keys: ClassVar = ("latency",)

    def references(self) -> References:
        return {"variance": Variance}

    @property
    def timed(self) -> bool:
        """True where networks are compared or limited by how long they take."""
        return self.cost == "latency" or bool(self.budget and self.budget.latency)

    def faults(self) -> list[Fault]:
        faults = [fault.below("budget") for fault in self.budget.faults()] if self.budget else []
        if self.latency is not None and not self.timed:
            message = "a file of latencies is of no use where neither cost nor budget is one"
            help = 'cost = "latency", or budget = {latency = 0.01}'
            faults.append(Fault("CE202", message, ("latency",), "key", help))
        return faults + {"law": self._law, "exact": self._exact, "curve": self._curve}[self.using]()

    def _law(self) -> list[Fault]:
        given = self._given()
        if len(given) == 1:
            return []
        help = 'variance = "a variance stage", or alpha = 3.4'
        if given:
            return [
                Fault("CE202", "variance and alpha exclude each other", ("alpha",), "key", help)
            ]
        return [Fault("CE102", "a search needs alpha", part="key", help=help)]

    def _exact(self) -> list[Fault]:
        message, help = "exact moments need no alpha", "leave it out"
        return [Fault("CE202", message, (key,), "key", help) for key in self._given()]

    def _curve(self) -> list[Fault]:
        if self.alpha is not None:
            message, help = "a curve needs no alpha", "leave it out"
            return [Fault("CE202", message, ("alpha",), "key", help)]
        if self.variance is None:
            message, help = "a curve needs a variance stage", 'variance = "a variance stage"'
            return [Fault("CE102", message, part="key", help=help)]
        return []

    def _given(self) -> list[str]:
        return [key for key in ("variance", "alpha") if getattr(self, key) is not None]

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        if not model.has_members:
            message = "optimal ensembles are found for networks without a bottleneck"
            yield Fault("CE203", message, part="key", help='use a model of type "mlp"')
            return
        if not model.is_finite:
            yield Fault(
                "CE203",
                "a baseline with an infinite layer has no cost to match",
                part="key",
                help="give the [model] finite widths",
            )
        elif self.using == "exact" and not model.member.has_closed_moments:
            message = "exact moments are known of relu and linear networks without bias only"
            yield Fault("CE203", message, ("using",), help='use using = "law" or "curve"')
        if self.space == "free":
            yield from self._free_faults(model)
        yield from self._compare_faults(model)

    def _free_faults(self, model: Model) -> Iterator[Fault]:
        message, layers = "", len(model.widths)
        if model.width_count < layers:
            message = f"a {model.type} has one width, {model.widths_key}"
        elif layers > MOST_FREE:
            message = f"a free search is for at most {MOST_FREE} layers, not {layers}"
        elif self.using == "curve":
            message = "a curve is measured along the ratio only"
        elif self.timed:
            message = "latency is measured along the ratio only"
        if message:
            yield Fault("CE202", message, ("space",), help='use space = "ratio"')

    def _compare_faults(self, model: Model) -> Iterator[Fault]:
        layers = model.width_count
        for index, name in enumerate(self.compare):
            widths = len(read_network(name)[1])
            if widths not in (1, layers):
                message = f"{name!r} has {widths} widths, the network {layers}"
                help = "give one width for all layers, or one for each"
                yield Fault("CE202", message, ("compare", index), help=help)
