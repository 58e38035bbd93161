"""Stages: what is done with a network. How each is done is in `ceflow.stages`."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ceflow.spec.base import LARGEST, Count, NonNegative, Positive, Ratios, Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Ensemble, Mlp, Model

if TYPE_CHECKING:
    from ceflow.spec.document import Document


FEWEST_DRAWS = 16
"""Draws before a standard error is trusted to end the drawing: its own error is 18 % then."""

References = dict[str, type[Spec]]
"""Keys of a stage whose value names an earlier stage, and the kind of stage that must be."""


class StageSpec(Spec):
    """What every stage can be asked for."""

    model: str | None = None
    """The network to act on: a search's answer, as `"best.primal"`; by default the [model] of the
    document."""

    @property
    def answer(self) -> tuple[str, str] | None:
        """The search whose answer the stage acts on, and which of its answers."""
        if self.model is None:
            return None
        name, _, part = self.model.partition(".")
        return name, part

    def references(self) -> References:
        """The keys that name earlier stages."""
        return {}

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        """What is wrong with this stage in its document; `model` is the one it acts on."""
        yield from ()


class Kernel(StageSpec):
    """A kernel matrix over the training inputs."""

    type: Literal["kernel"] = "kernel"
    """A kernel matrix over the training inputs."""
    kind: Literal["ntk", "nngp"] = "ntk"
    """`ntk`: neural tangent kernel; `nngp`: covariance of the outputs at initialisation."""
    method: Literal["analytic", "empirical", "mean"] = "analytic"
    """`analytic`: the limit of infinite width; `empirical`: of networks drawn from the seed;
    `mean`: the neural mean kernel, the mean over such draws."""
    outputs: Literal["mean", "full"] = "mean"
    """`mean`: (N, N), the mean of K^aa over outputs a; `full`: (N, N, outputs, outputs)."""
    draws: Count | None = None
    """Networks drawn. `empirical` (1 by default): the first one's kernel is kept, the distance is
    over all. `mean` (100 by default, 10,000 with `error`): the most that are drawn."""
    error: Positive | None = None
    """For `mean`: draw until the standard error of the mean, relative in Frobenius norm, is no more
    than this."""
    reference: str | None = None
    """An earlier kernel stage to measure the distance from, relative in Frobenius norm."""
    tile: Count | None = None
    """Keep the kernel on disk, and compute it in square tiles of so many rows; for kernels larger
    than memory. An interrupted run goes on with the tiles that are missing."""
    spectrum: bool = False
    """Whether to compute the largest and the smallest eigenvalue and the condition number."""
    alignment: bool = False
    """Whether to compute the alignment of the kernel with the targets."""
    ridge: NonNegative | None = None
    """Kernel regression on the targets with this ridge, as a fraction of the mean of the kernel's
    diagonal; its errors on the training and the test examples."""

    @property
    def most_draws(self) -> int:
        """How many networks may be drawn."""
        if self.draws is not None or self.method != "mean":
            return self.draws or 1
        return 10_000 if self.error else 100

    def references(self) -> References:
        return {"reference": Kernel}

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        if document.data is None:
            yield Fault("CE202", "a kernel needs inputs", part="key", help="add a [data] table")
        if self.method == "analytic":
            yield from self._analytic_faults(model)
        else:
            yield from self._drawn_faults(model)
        if self.error is not None and self.method != "mean":
            message = "only a mean over draws has a standard error to ask for"
            yield Fault("CE202", message, ("error",), "key", 'use method = "mean"')
        if self.method == "mean" and self.draws == 1:
            message = "a mean with a standard error needs at least two draws"
            yield Fault("CE202", message, ("draws",), help="set draws to 2 or more")
        yield from self._shape_faults(document)
        yield from self._tile_faults()

    def _shape_faults(self, document: "Document") -> Iterator[Fault]:
        help = 'use outputs = "mean"'
        asked = ("spectrum", "reference", "alignment")
        found = [key for key in asked if getattr(self, key)]
        found += ["ridge"] if self.ridge is not None else []
        if self.outputs == "full" and found:
            key = found[0]
            yield Fault("CE202", f"{key} needs one number an entry", (key,), "key", help)
        reference = document.stages.get(self.reference or "")
        if isinstance(reference, Kernel) and reference.outputs == "full":
            message = f"the reference {self.reference!r} has more than one number an entry"
            yield Fault("CE202", message, ("reference",), help=f"{help} there")

    def _tile_faults(self) -> Iterator[Fault]:
        if self.tile is None:
            return
        if self.outputs == "full":
            message = "tiles hold one number an entry"
            yield Fault("CE202", message, ("tile",), "key", 'use outputs = "mean"')
        if self.method == "mean" or self.most_draws > 1:
            message = "tiles hold the kernel of one network, not of several draws"
            yield Fault("CE202", message, ("tile",), "key", "leave tile out, or draw one network")

    def _analytic_faults(self, model: Model) -> Iterator[Fault]:
        member = member_of(model)
        if not member.finite and any(width != math.inf for width in member.widths):
            yield Fault(
                "CE203",
                "a finite layer among infinite ones has no deterministic kernel",
                ("method",),
                help="make all widths inf, or all finite: then the limit of all is taken",
            )
        if self.most_draws > 1:
            yield Fault(
                "CE202",
                "an infinite-width kernel is not drawn",
                ("draws",),
                "key",
                'leave draws out, or use method = "empirical"',
            )
        if self.outputs == "full":
            yield Fault(
                "CE202",
                "an infinite-width kernel is the same for every output",
                ("outputs",),
                help='use outputs = "mean"',
            )

    def _drawn_faults(self, model: Model) -> Iterator[Fault]:
        if self.kind == "nngp":
            yield Fault(
                "CE203",
                "the NNGP kernel exists at infinite width only",
                ("kind",),
                help='use kind = "ntk", or method = "analytic"',
            )
        if not model.finite:
            yield Fault(
                "CE203",
                "a network with an infinite layer cannot be drawn",
                ("method",),
                help='use method = "analytic", or finite widths',
            )


class Variance(StageSpec):
    """The law of one NTK entry over widths, and alpha fitted to it (CE eq. 9, Algorithm 1)."""

    type: Literal["variance"] = "variance"
    """Moments of one NTK entry over widths, and alpha fitted to them."""
    ratios: Ratios = (0.05, 0.1, 0.2, 0.5, 1.0)
    """Widths to measure, as fractions of the model's."""
    draws: Annotated[int, Field(ge=100, le=LARGEST)] = 2000
    """Networks drawn at each width; the exact method needs none."""
    entries: Literal["diagonal", "off-diagonal"] = "diagonal"
    """`diagonal`: K(x, x); `off-diagonal`: K(x, x') for two independent inputs."""
    method: Literal["auto", "exact", "sample", "monte-carlo"] = "auto"
    """`exact`: closed form; `sample`: exact draws of K without drawing weights; `monte-carlo`: all
    weights are drawn; `auto`: exact where it applies, else monte-carlo."""

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        if not model.finite:
            yield Fault(
                "CE203",
                "at infinite width the NTK has no variance",
                part="key",
                help="give the [model] finite widths",
            )
        if self.method in ("exact", "sample") and not self.has_closed_form(model):
            yield Fault(
                "CE203",
                f"method {self.method!r} needs a relu or linear MLP without bias"
                " and entries = 'diagonal'",
                ("method",),
                help='use method = "monte-carlo"',
            )

    def has_closed_form(self, model: Model) -> bool:
        """Whether theory allows the moments of K without drawing weights."""
        return self.entries == "diagonal" and member_of(model).has_closed_moments


class Search(StageSpec):
    """The optimal ensemble for a baseline: primal and dual (CE eq. 10 to 14, Algorithm 2)."""

    type: Literal["search"] = "search"
    """The optimally smooth (primal) and optimally compact (dual) ensembles."""
    variance: str | None = None
    """An earlier variance stage whose alpha to use."""
    alpha: Positive | None = None
    """The constant of CE eq. 9, in place of a variance stage."""
    cost: Literal["parameters", "flops"] = "parameters"
    """What the primal holds fixed and the dual makes small (CE eq. 8 and 15)."""
    tolerance: NonNegative = 0.02
    """Members of the near-optimal set have an objective within this fraction of the best."""

    def references(self) -> References:
        return {"variance": Variance}

    def faults(self) -> list[Fault]:
        given = [key for key in ("variance", "alpha") if getattr(self, key) is not None]
        if len(given) == 1:
            return []
        help = 'variance = "a variance stage", or alpha = 3.4'
        if given:
            return [
                Fault("CE202", "variance and alpha exclude each other", ("alpha",), "key", help)
            ]
        return [Fault("CE102", "a search needs alpha", part="key", help=help)]

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        if not model.finite:
            yield Fault(
                "CE203",
                "a baseline with an infinite layer has no cost to match",
                part="key",
                help="give the [model] finite widths",
            )

    offers: ClassVar = ("primal", "dual")
    """Names of the models that later stages can act on."""


Stage = Annotated[Kernel | Variance | Search, Field(discriminator="type")]


def member_of(model: Model) -> Mlp:
    """The network that is repeated: the member of an ensemble, else the model itself."""
    return model.member if isinstance(model, Ensemble) else model
