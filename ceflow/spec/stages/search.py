"""The `search` stage."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ceflow.spec.base import LARGEST_COUNT, Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.notation import NetworkName, read_network
from ceflow.spec.stages.stage import MemberStageSpec, References
from ceflow.spec.stages.variance import Variance

if TYPE_CHECKING:
    from ceflow.spec.document import Document

LARGEST_BUDGET = 1e18
"""Largest budget, 10^18: a network has at most 10^12 members."""
MOST_FREE_WIDTHS = 6
"""Largest number of layers whose widths a search varies freely: its last step tries all 3^layers
neighbours."""


Amount = Annotated[float, Field(gt=0, le=LARGEST_BUDGET)]


class Budget(Spec):
    """Upper limits on the costs of the whole network."""

    parameters: Amount | None = None
    """Maximum number of parameters."""
    flops: Amount | None = None
    """Maximum FLOPs of a forward pass of one example."""
    macs: Amount | None = None
    """Maximum multiply-adds of a forward pass of one example, two FLOPs each; cannot be combined
    with `flops`."""
    latency: Amount | None = None
    """Maximum seconds of a forward pass of the timed batch, or in the seconds of the `latency`
    file."""

    def faults(self) -> list[Fault]:
        if not (self.parameters or self.flops or self.macs or self.latency):
            message = "a budget needs parameters, flops, macs or latency"
            help = "budget = {parameters = 5e6}"
            return [Fault("CE102", message, part="key", help=help)]
        if self.flops and self.macs:
            message, help = "flops and macs set the same limit: a MAC is two FLOPs", "leave one out"
            return [Fault("CE202", message, ("macs",), "key", help)]
        return []


def _one_or_several(value: Any) -> Any:
    several = value if isinstance(value, list | tuple) else [value]
    whole = (isinstance(each, int) and not isinstance(each, bool) for each in several)
    if several and all(whole) and all(1 <= each <= LARGEST_COUNT for each in several):
        return value if isinstance(value, int) else tuple(value)
    message = "must be a whole number from 1 to 10^12, or an array of one for each layer"
    raise PydanticCustomError("widths", message)


MemberWidths = Annotated[
    int | Sequence[int],
    BeforeValidator(_one_or_several),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": LARGEST_COUNT},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1, "maximum": LARGEST_COUNT},
                    "minItems": 1,
                },
            ]
        }
    ),
]
"""The widths of a member: one for all layers, or one for each."""


class Search(MemberStageSpec):
    """The optimal ensemble for a baseline: primal and dual (CE eq. 10 to 14, Algorithm 2)."""

    type: Literal["search"] = "search"
    """The optimally smooth (primal) and the optimally compact (dual) ensemble."""
    variance: str | None = None
    """An earlier variance stage whose alpha or measured points are used."""
    alpha: Annotated[float, Field(ge=1e-3, le=1e3)] | None = None
    """The constant alpha of CE eq. 9, in place of a variance stage."""
    using: Literal["law", "exact", "curve"] = "law"
    """Source of the variance of a member. `law`: exp(alpha S) - 1; `exact`: its moments in closed
    form, for relu or linear networks without bias; `curve`: the points measured by a variance
    stage, interpolated."""
    cost: Literal["parameters", "flops", "latency"] = "parameters"
    """The cost that the primal keeps fixed and the dual minimises (CE eq. 8 and 15). A
    [latency](stages.md#latency) is measured on this machine, or elsewhere."""
    latency: str | None = None
    """A CSV file with seconds by width, measured elsewhere, used in place of timings on this
    machine. Its path is relative to the document: see [latency](stages.md#latency)."""
    budget: Budget | None = None
    """Maximum costs of the primal, in place of those of the baseline: see
    [budget](stages.md#budget)."""
    space: Literal["ratio", "free"] = "ratio"
    """Widths to search. `ratio`: the baseline's widths times one common ratio; `free`: every width
    independently."""
    widths: MemberWidths | None = None
    """Widths of a member of both answers, in place of the optimal ones: one number for all layers,
    or an array of one for each. The answers are then at these widths on the curve."""
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Size of the near-optimal set: all candidates whose objective is within this fraction of the
    best."""
    compare: Annotated[Sequence[NetworkName], AfterValidator(tuple)] = ()
    """Other networks of the family to list with their costs, variance and efficiency, written
    members x width as in `"3x64d"`."""

    offers: ClassVar = ("primal", "dual")
    path_keys: ClassVar = ("latency",)

    def references(self) -> References:
        return {"variance": Variance}

    @property
    def timed(self) -> bool:
        """True if networks are compared or limited by their latency."""
        return self.cost == "latency" or bool(self.budget and self.budget.latency)

    def faults(self) -> list[Fault]:
        faults = [fault.below("budget") for fault in self.budget.faults()] if self.budget else []
        if self.latency is not None and not self.timed:
            message = "the latency file is not used: neither cost nor budget is a latency"
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
            message = "exact moments are known for relu and linear networks without bias only"
            yield Fault("CE203", message, ("using",), help='use using = "law" or "curve"')
        elif self.using == "curve":
            yield from self._curve_faults(document, model)
        if self.space == "free":
            yield from self._free_faults(model)
        yield from self._compare_faults(model)
        yield from self._width_faults(model)

    def _width_faults(self, model: Model) -> Iterator[Fault]:
        given = self.given_widths(model) or ()
        if self.widths is not None and len(given) != len(model.widths):
            message = f"{len(given)} widths are given, and the network has {model.width_count}"
            help = "give one width for all layers, or one for each"
            yield Fault("CE202", message, ("widths",), help=help)
        elif any(width % step for width, step in zip(given, model.width_steps, strict=False)):
            message = "a width cannot be split into the groups of its layer"
            help = f"give multiples of {', '.join(map(str, model.width_steps))}"
            yield Fault("CE202", message, ("widths",), help=help)

    def given_widths(self, model: Model) -> tuple[int, ...] | None:
        """Return the widths that the answers must have, one for each layer; None if none are."""
        if self.widths is None:
            return None
        several = (self.widths,) if isinstance(self.widths, int) else tuple(self.widths)
        if len(several) in (1, model.width_count) and len(several) < len(model.widths):
            return several * len(model.widths)
        return several

    def _curve_faults(self, document: "Document", model: Model) -> Iterator[Fault]:
        measured = Variance.expect(document.stages[self.variance or ""])
        ratios = measured.ratios_of(model)
        widths = {model.ratio_widths(ratio) for ratio in ratios}
        if len(widths) == 1:
            message = (
                "a curve needs two widths or more, and at every ratio of"
                f" stages.{self.variance} they are {', '.join(map(str, widths.pop()))}"
            )
            help = "give it ratios that are further apart, or the [model] greater widths"
            yield Fault("CE202", message, ("using",), help=help)

    def _free_faults(self, model: Model) -> Iterator[Fault]:
        message, layers = "", len(model.widths)
        if model.width_count < layers:
            message = f"a {model.type} has one width, {model.widths_key}"
        elif set(model.width_steps) != {1}:
            message = "grouped layers need widths that their groups divide"
        elif layers > MOST_FREE_WIDTHS:
            message = f"a free search is for at most {MOST_FREE_WIDTHS} layers, not {layers}"
        elif self.using == "curve":
            message = "a curve is measured along the ratio only"
        elif self.timed:
            message = "latency is measured along the ratio only"
        if message:
            yield Fault("CE202", message, ("space",), help='use space = "ratio"')

    def _compare_faults(self, model: Model) -> Iterator[Fault]:
        layers = model.width_count
        for index, name in enumerate(self.compare):
            widths = read_network(name)[1]
            message = help = ""
            if len(widths) not in (1, layers):
                message = f"{name!r} has {len(widths)} widths, the network {layers}"
                help = "give one width for all layers, or one for each"
            elif any(w % step for w, step in zip(cycle(widths), model.width_steps, strict=False)):
                message = f"{name!r} has a width that cannot be split into the groups of its layer"
                help = f"give multiples of {', '.join(map(str, model.width_steps))}"
            if message:
                yield Fault("CE202", message, ("compare", index), help=help)
