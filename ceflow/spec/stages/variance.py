"""The `variance` stage."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ceflow.spec.base import LARGEST_COUNT, Ratios, RelativeError
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.stages.stage import MemberStageSpec

if TYPE_CHECKING:
    from ceflow.spec.document import Document


USUAL_RATIOS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Ratios at which wide networks are measured by default."""
LEAST_WIDTH, LEAST_DRAWN_WIDTH = 8, 16
"""Widths of the narrowest layer that is measured by default. Networks narrower than 8 contradict
the law, which is one of wide networks; draws of networks narrower than 16 have heavy tails."""
LARGEST_LEAST_RATIO = 0.5
"""Largest value of the least default ratio, for networks that are as narrow as that themselves."""

InputsLaw = Literal["iid", "rectified", "data"]


class Variance(MemberStageSpec):
    """Moments of one NTK entry at several widths, and the alpha fitted to them (CE eq. 9, Algorithm
    1).
    """

    type: Literal["variance"] = "variance"
    """Moments of one NTK entry at several widths, and the alpha fitted to them."""

    finds_law: ClassVar = True
    ratios: Ratios | None = None
    """Widths to measure, as multiples of the network's widths up to 1,000, rounded, at least 1.
    Each ratio may be given once; ratios that round to the same widths are measured once. By
    default 0.05, 0.1, 0.2, 0.5 and 1; if 0.05 makes a layer narrower than 8, or than 16 where
    networks are drawn, five ratios in geometric progression from that of this width, or from 0.5 if
    that is less, to 1."""
    draws: Annotated[int, Field(ge=100, le=LARGEST_COUNT)] | None = None
    """Number of networks drawn at each width, 2,000 by default; with `error` the maximum, 1,000,000
    by default. The method `exact` draws none."""
    error: RelativeError | None = None
    """Draw until the relative standard error of log(E[K^2]/E[K]^2) is at most this at each width;
    at least 1,000 networks are drawn."""
    entries: Literal["diagonal", "off-diagonal"] = "diagonal"
    """Kernel entry to measure. `diagonal`: K(x, x); `off-diagonal`: K(x, x') for two inputs."""
    inputs_law: InputsLaw | None = None
    """Source of the inputs. `iid`: standard normal; `rectified`: the positive part of standard
    normal, as after a ReLU; both are scaled to |x|^2 = inputs. `data`: the first training example,
    for off-diagonal entries the first two. By default `rectified` for a `block`, a `resnext`, or
    an ensemble layer behind a ReLU, otherwise `iid`."""
    method: Literal["auto", "exact", "sample", "monte-carlo"] = "auto"
    """How the moments are found. `exact`: closed form; `sample`: exact draws of K without drawing
    all weights; `monte-carlo`: draws of all weights; `auto`: `exact` if it applies, otherwise
    `monte-carlo`."""

    def ratios_of(self, model: Model) -> tuple[float, ...]:
        """Return the ratios for this model: those set, or the default.

        >>> from ceflow.spec import Mlp
        >>> Variance().ratios_of(Mlp(widths=[64, 64])), Variance().ratios_of(Mlp(widths=[500]))
        ((0.125, 0.21, 0.354, 0.595, 1.0), (0.05, 0.1, 0.2, 0.5, 1.0))
        """
        if self.ratios is not None:
            return tuple(self.ratios)
        drawn = self.method in ("sample", "monte-carlo") or self.why_drawn(model)
        least = LEAST_DRAWN_WIDTH if drawn else LEAST_WIDTH
        low = min(least / min(model.widths), LARGEST_LEAST_RATIO)
        if low <= USUAL_RATIOS[0]:
            return USUAL_RATIOS
        count = len(USUAL_RATIOS)
        return tuple(round(low ** (1 - i / (count - 1)), 3) for i in range(count))

    def inputs_law_of(self, model: Model) -> InputsLaw:
        """Return the source of the inputs for this model: the one set, or the default."""
        return self.inputs_law or model.member.usual_inputs

    def reads_data(self, model: Model) -> bool:
        return self.inputs_law_of(model) == "data"

    @property
    def most_draws(self) -> int:
        """Maximum number of networks drawn at each width."""
        return self.draws or (1_000_000 if self.error else 2000)

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        if not model.has_members:
            message = "the variance of an NTK entry is fitted for networks without a bottleneck"
            yield Fault("CE203", message, part="key", help='use a model of type "mlp"')
            return
        if not model.is_finite:
            yield Fault(
                "CE203",
                "at infinite width the NTK has no variance",
                part="key",
                help="give the [model] finite widths",
            )
        yield from self._ratio_faults(model)
        reason = self.why_drawn(model)
        if self.method in ("exact", "sample") and reason:
            message = f"method {self.method!r} is not for {reason}"
            yield Fault("CE203", message, ("method",), help='use method = "monte-carlo"')
        if self.method == "exact" and self.error is not None:
            message = "exact moments have no statistical error"
            yield Fault("CE202", message, ("error",), "key", 'leave it out, or method = "sample"')
        if self.inputs_law == "data":
            yield from self._data_faults(document, model)

    def _ratio_faults(self, model: Model) -> Iterator[Fault]:
        ratios = list(self.ratios or ())
        for index, ratio in enumerate(ratios):
            if ratio in ratios[:index]:
                message = f"the ratio {ratio:g} is given twice"
                yield Fault("CE104", message, ("ratios", index), help="give each once")
            if model.is_finite and max(model.ratio_widths(ratio)) > LARGEST_COUNT:
                message = f"at the ratio {ratio:g} a width is above 10^12"
                yield Fault("CE104", message, ("ratios", index), help="lower it")
        rounded = {model.ratio_widths(ratio) for ratio in ratios} if model.is_finite else set()
        if 1 == len(rounded) < len(set(ratios)):
            message = f"at every ratio the widths are {', '.join(map(str, rounded.pop()))}"
            help = "give ratios that are further apart, or the [model] greater widths"
            yield Fault("CE202", message, ("ratios",), help=help)

    def _data_faults(self, document: "Document", model: Model) -> Iterator[Fault]:
        if document.data is None:
            message, help = "there are no data to take an input from", "add a [data] table"
            yield Fault("CE202", message, ("inputs_law",), help=help)
        elif self.entries == "off-diagonal" and document.data.train_count == 1:
            message = "an off-diagonal entry needs two training examples; the data have one"
            help = 'raise data.train, or use entries = "diagonal"'
            yield Fault("CE202", message, ("entries",), help=help)
        if reason := model.why_no_examples:
            message = f"{reason}, not on examples of the data"
            help = f'use inputs_law = "{model.member.usual_inputs}"'
            yield Fault("CE202", message, ("inputs_law",), help=help)

    def why_drawn(self, model: Model) -> str | None:
        """Say why all weights must be drawn to find the law of K; None if theory gives it."""
        if self.entries == "off-diagonal":
            return "off-diagonal entries"
        return model.member.why_drawn
