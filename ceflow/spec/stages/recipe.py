"""Keys of the training of finite networks: optimiser, schedule, and what surrounds them."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from ceflow.spec.base import FORM_TAG_PREFIX, LARGEST_COUNT, Count, Positive, Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.stages.descent import Descent
from ceflow.spec.stages.stage import one_network_fault

if TYPE_CHECKING:
    from ceflow.spec.document import Document

Fraction = Annotated[float, Field(ge=0, lt=1)]
"""A number from 0 to below 1."""
Moment = Annotated[float, Field(gt=0, lt=1)]
Moments = Annotated[Sequence[Moment], AfterValidator(tuple), Field(min_length=1)]
Betas = Annotated[Sequence[Fraction], AfterValidator(tuple), Field(min_length=2, max_length=2)]
Warmup = Annotated[float, Field(ge=0, le=LARGEST_COUNT)]


class Drops(Spec):
    """A schedule that multiplies the learning rate by a factor at some moments."""

    at: Moments
    """Moments as fractions of the training, in increasing order."""
    factor: Positive = 0.1
    """Factor at each of them."""

    def faults(self) -> list[Fault]:
        if list(self.at) == sorted(set(self.at)):
            return []
        return [Fault("CE104", "at must increase", ("at",), help="sort the moments")]


def _form(value: Any) -> str:
    return FORM_TAG_PREFIX + ("drops" if isinstance(value, dict | Drops) else "name")


ScheduleName = Literal["constant", "cosine"]
Schedule = Annotated[
    Annotated[ScheduleName, Tag(FORM_TAG_PREFIX + "name")]
    | Annotated[Drops, Tag(FORM_TAG_PREFIX + "drops")],
    Discriminator(_form),
]


class Recipe(Descent):
    """The keys that a training of a finite network has; one in function space has none of them."""

    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """Rule of the steps. `sgd`: gradient descent, with `momentum` if it is set; `adam`, `adamw`:
    Adam with the decay rates `betas`: see [optimisers](stages.md#optimisers)."""
    momentum: Fraction = 0.0
    """Momentum m of `sgd`: v <- m v + g, and the step is -rate v."""
    nesterov: bool = False
    """Whether the step is -rate (g + m v), the momentum of Nesterov."""
    betas: Betas = (0.9, 0.999)
    """Decay rates of the mean and the mean square of the gradient in `adam` and `adamw`."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Weight decay w: `sgd` and `adam` add w theta to the gradient, `adamw` adds rate w theta to
    the step."""
    decay: Literal["all", "weights"] = "all"
    """Parameters that decay: all, or the weights of layers alone, without biases, learned scales
    and normalisations."""
    schedule: Schedule = "constant"
    """Learning rate over the training: `"constant"`; `"cosine"`, which falls to 0; or
    [a table of drops](stages.md#schedule), as `{at = [0.5, 0.75], factor = 0.1}`."""
    warmup: Warmup = 0
    """Length of the warm-up, in which the learning rate rises in proportion to the number of steps:
    below 1 a fraction of the training, otherwise a number of steps."""
    clip: Positive | None = None
    """Largest norm of a gradient, over all parameters; a larger one is scaled down to it."""
    average: Fraction | None = None
    """Decay a of a moving average of the weights, `a average + (1 - a) weights` after each step; if
    it is set, the average is what is evaluated and kept."""
    label_smoothing: Fraction = 0.0
    """Smoothing s of one-hot targets y of K classes in the steps: (1 - s) y + s/K. Recorded losses
    are of the targets as they are."""
    replicas: Count = 1
    """Number of independent networks to train, each with its own order of the examples; recorded
    numbers are means over them."""
    compute: Literal["bfloat16"] | None = None
    """Type in which outputs and gradients are computed, by default that of `precision`; weights,
    optimiser and losses keep that of `precision`."""

    OF_OPTIMISERS: ClassVar = {
        "momentum": ("sgd",),
        "nesterov": ("sgd",),
        "betas": ("adam", "adamw"),
    }
    """Keys that some optimisers lack."""

    def warmup_steps(self, steps: int) -> int:
        """Return the number of steps of the warm-up.

        >>> from ceflow.spec import Train
        >>> [Train(steps=50, warmup=length).warmup_steps(50) for length in (0, 0.1, 7)]
        [0, 5, 7]
        """
        return round(self.warmup * steps if self.warmup < 1 else self.warmup)

    def drop_steps(self, steps: int) -> tuple[int, ...]:
        """Return the numbers of steps after which the learning rate drops."""
        at = self.schedule.at if isinstance(self.schedule, Drops) else ()
        return tuple(round(moment * steps) for moment in at)

    def recipe_faults(self, document: "Document", model: Model) -> Iterator[Fault]:
        """Find the faults of these keys for a finite network."""
        for key, kinds in self.OF_OPTIMISERS.items():
            if self.changes(key) and self.optimizer not in kinds:
                known = " or ".join(f'"{kind}"' for kind in kinds)
                message = f"the optimizer {self.optimizer!r} has no {key}"
                help = f"leave it out, or use optimizer = {known}"
                yield Fault("CE202", message, (key,), "key", help)
        if self.nesterov and self.optimizer == "sgd" and not self.momentum:
            message = "nesterov changes the momentum, and there is none"
            yield Fault(
                "CE202", message, ("nesterov",), "key", "set momentum = 0.9, or leave it out"
            )
        if self.changes("decay") and not self.weight_decay:
            message = "decay says what decays, and nothing does"
            yield Fault("CE202", message, ("decay",), "key", "set weight_decay, or leave it out")
        if self.label_smoothing:
            yield from self._smoothing_faults(document)
        if model.has_weights and self.replicas > 1:
            yield one_network_fault("replicas")

    def own_faults(self) -> Iterator[Fault]:
        """Find the faults that these keys have by themselves."""
        if isinstance(self.schedule, Drops):
            yield from (fault.below("schedule") for fault in self.schedule.faults())
        if self.warmup >= 1 and self.warmup != int(self.warmup):
            message = f"warmup = {self.warmup:g} is neither a fraction nor a number of steps"
            help = "give a number below 1, or a whole number"
            yield Fault("CE104", message, ("warmup",), help=help)

    def schedule_faults(self, steps: int | None) -> Iterator[Fault]:
        """Find the faults of the schedule in a training of this many steps, if that is known."""
        warmup = None if steps is None else self.warmup_steps(steps)
        if steps and warmup and warmup >= steps:
            message = f"a warm-up of {warmup} steps in a training of {steps}"
            yield Fault("CE202", message, ("warmup",), help="train for longer, or warm up for less")
        if steps and isinstance(self.schedule, Drops) and not self.schedule.faults():
            drops = self.drop_steps(steps)
            if any(a >= b for a, b in itertools.pairwise((0, *drops, steps))):
                at = ", ".join(map(str, drops))
                message = f"drops after {at} of {steps} steps: there must be steps between them"
                help = "train for longer, or drop less often"
                yield Fault("CE202", message, ("schedule",), help=help)

    def unused_faults(self, why: str) -> Iterator[Fault]:
        """Yield a fault for each of these keys that is set, where none has a meaning."""
        for key in Recipe.__annotations__:
            if key in type(self).model_fields and self.changes(key):
                message = f"{key} is for finite networks, {why}"
                yield Fault("CE202", message, (key,), "key", "leave it out")

    def _smoothing_faults(self, document: "Document") -> Iterator[Fault]:
        if self.loss != "cross-entropy":
            message = "label_smoothing is for the cross-entropy"
            help = 'use loss = "cross-entropy", or leave it out'
            yield Fault("CE202", message, ("label_smoothing",), "key", help)
        elif document.data and not document.data.has_one_hot:
            message = "label_smoothing is for one-hot targets"
            help = 'use targets = "one-hot" in [data], or leave it out'
            yield Fault("CE202", message, ("label_smoothing",), "key", help)
