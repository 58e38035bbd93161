"""The `train` stage."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from ceflow.spec.base import FORM_TAG_PREFIX, LARGEST_COUNT, Count, Natural, Positive, Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.stages.flow import Flow
from ceflow.spec.stages.recipe import Recipe
from ceflow.spec.stages.stage import width_faults

if TYPE_CHECKING:
    from ceflow.spec.document import Document

Engine = Literal["parameters", "linearised", "features", "history", "kernel"]
Recorded = Literal["drift", "alignment", "spectrum", "top-5", "embedding", "predictions"]

FINITE_ENGINES = ("parameters", "linearised")
"""Engines that train the weights of a finite network."""

OF_FINITE = ("alignment", "spectrum", "top-5")
"""Recorded quantities of finite networks alone."""


class LearningRates(Spec):
    """Learning rates as a table: a fraction of the largest stable rate, or one rate for
    each half.
    """

    relative: Positive | None = None
    """Fraction of the largest stable rate at the start, which is computed."""
    encoder: Positive | None = None
    """Learning rate of the encoder's weights."""
    decoder: Positive | None = None
    """Learning rate of the decoder's weights."""

    def faults(self) -> list[Fault]:
        given = [key for key in type(self).model_fields if getattr(self, key) is not None]
        if given in (["relative"], ["encoder", "decoder"]):
            return []
        help = "{relative = 0.3}, or {encoder = 0.1, decoder = 0.2}"
        if "relative" in given:
            message = f"relative sets the rate of both halves, and {given[1]} that of one"
            return [Fault("CE202", message, (given[1],), "key", help)]
        message = "a learning rate needs relative, or encoder and decoder"
        return [Fault("CE102", message, part="key", help=help)]


def _form(value: Any) -> str:
    return FORM_TAG_PREFIX + ("rates" if isinstance(value, dict | LearningRates) else "number")


LearningRate = Annotated[
    Annotated[Positive, Tag(FORM_TAG_PREFIX + "number")]
    | Annotated[LearningRates, Tag(FORM_TAG_PREFIX + "rates")],
    Discriminator(_form),
]

Epochs = Annotated[float, Field(gt=0, le=LARGEST_COUNT)]
Moments = Annotated[Sequence[Natural], AfterValidator(tuple), Field(min_length=1)]


class Train(Recipe):
    """Stochastic gradient descent: of the weights of a finite network, or in function space of an
    infinitely wide network with bottlenecks (BN eq. 42 to 44).
    """

    type: Literal["train"] = "train"
    """Stochastic gradient descent in discrete steps."""
    engine: Engine | None = None
    """What is trained. Of a finite network, `parameters`: its weights; `linearised`: the weights of
    the network linearised around its initial weights. Of an infinitely wide network with a
    bottleneck, `features`: a wide finite decoder, at constant time per step; `history`: exact
    kernels over all earlier steps, at a time per step that grows; `kernel`: the fixed NTK, if the
    bottleneck is infinite. Defaults: `parameters` for a finite network; `kernel` for an infinite
    bottleneck; otherwise `features`."""
    steps: Count | None = None
    """Number of steps; set this or `epochs`."""
    epochs: Epochs | None = None
    """Number of passes over the training examples, rounded to whole steps, at least one; set this
    or `steps`."""
    batch: Count | None = None
    """Number of examples per step; by default all."""
    learning_rate: LearningRate = LearningRates(relative=0.3)
    """Learning rate: a number; or [a table](stages.md#learning_rate) with a fraction of the largest
    stable rate at the start, `{relative = 0.3}`, or in function space with one rate for each half,
    `{encoder = 0.1, decoder = 0.2}`."""
    points: Count = 50
    """Number of evenly spaced moments after the start at which quantities are recorded, at most one
    per step."""
    moments: Moments | None = None
    """Numbers of steps after which quantities are recorded, in increasing order, in place of evenly
    spaced ones. The start and the end are always recorded."""
    record: Annotated[Sequence[Recorded], AfterValidator(tuple)] = ()
    """Quantities to record in addition to losses and accuracies: the `drift` of the NTK from the
    start, its `alignment` with the targets, and its largest and smallest eigenvalue (`spectrum`);
    the `top-5` accuracy; the `embedding`, the values of all examples in the bottleneck, and of a
    chain in all bottlenecks, side by side; and the outputs on all examples (`predictions`)."""

    OF_NTK: ClassVar = ("drift", "alignment", "spectrum")
    """Recorded quantities of the NTK."""

    trains: ClassVar = True
    clock: ClassVar = "step"
    columns: ClassVar = {
        "drift": ("drift", "drift_relative"),
        "alignment": ("alignment",),
        "spectrum": ("eigenvalue_max", "eigenvalue_min"),
        "top-5": ("train_top5", "test_top5"),
    }

    @property
    def halves(self) -> tuple[float, float] | None:
        """Learning rates of encoder and decoder; None if they are not set separately."""
        given = self.learning_rate
        if not isinstance(given, LearningRates) or given.encoder is None or given.decoder is None:
            return None
        return given.encoder, given.decoder

    def engine_of(self, model: Model) -> Engine:
        """Return the engine for this model: the one set, or the default."""
        if self.engine is not None:
            return self.engine
        if model.is_finite:
            return "parameters"
        return "features" if model.is_wide_bottleneck else "kernel"

    def streams_data(self, model: Model) -> bool:
        return model.is_finite and self.batch is not None

    def steps_of(self, examples: int) -> int:
        """Return the number of steps for this number of training examples."""
        if self.steps is not None:
            return self.steps
        return max(1, round((self.epochs or 1) * examples / (self.batch or examples)))

    def moments_of(self, steps: int) -> list[int]:
        """List the numbers of steps after which quantities are recorded, start and end included."""
        if self.moments is not None:
            return sorted({0, *self.moments, steps})
        last = self.moments_in(steps) - 1
        return [steps * i // last for i in range(last + 1)]

    def moments_in(self, steps: int) -> int:
        """Count the recorded moments, without listing them."""
        if self.moments is not None:
            return len({0, *self.moments, steps})
        return min(self.points, steps) + 1

    def is_low(self, line: Mapping[str, Any]) -> bool:
        """Tell whether the training loss of a recorded moment is as low as `stop` asks for."""
        loss = line["train_loss"]
        return self.stop is not None and loss is not None and loss <= self.stop.train_loss

    def faults(self) -> list[Fault]:
        faults = []
        if self.steps is None and self.epochs is None:
            message = "neither steps nor epochs is set"
            faults.append(Fault("CE102", message, part="key", help="add steps, or epochs"))
        if self.steps is not None and self.epochs is not None:
            message, help = "steps and epochs both say how long to train", "leave one of them out"
            faults.append(Fault("CE202", message, ("epochs",), "key", help))
        if self.moments and list(self.moments) != sorted(set(self.moments)):
            faults.append(Fault("CE104", "moments must increase", ("moments",), help="sort them"))
        if isinstance(self.learning_rate, LearningRates):
            faults += [fault.below("learning_rate") for fault in self.learning_rate.faults()]
        return [*faults, *self.own_faults()]

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        yield from self.loss_faults(document)
        yield from self.points_faults("moments")
        if model.is_finite:
            yield from self.recipe_faults(document, model)
            yield from self._finite_faults(model)
        elif model.bottlenecks:
            yield from self._engine_faults(model)
            yield from self._function_faults(model)
        else:
            message = (
                "a train stage needs a finite network, or a bottleneck between infinitely wide ones"
            )
            yield Fault("CE203", message, part="key", help=self._instead(document, model))
            return
        yield from self._length_faults(document)

    def _instead(self, document: "Document", model: Model) -> str:
        """Say what to do with an infinitely wide network that has no bottleneck."""
        flow = Flow(time=1.0, loss=self.loss, model=self.model)
        wrong = [f.help for f in flow.faults_in(document, model) if f.code == "CE203"]
        first = f"{wrong[0]}, and " if wrong else ""
        return f"{first}use a flow stage, or finite widths"

    def _finite_faults(self, model: Model) -> Iterator[Fault]:
        """Find what does not go with a finite network."""
        engine = self.engine_of(model)
        if engine not in FINITE_ENGINES:
            message = f"the engine {engine!r} is for infinitely wide halves about a bottleneck"
            yield Fault("CE203", message, ("engine",), help='use engine = "parameters"')
        for key in () if model.bottlenecks else ("width", "sampling"):  # a sweep may go over it
            if self.changes(key):
                message = f"{key} is for infinitely wide networks with a bottleneck only"
                yield Fault("CE202", message, (key,), "key", "leave it out")
        if "embedding" in self.record:
            message = "the values in a bottleneck are recorded between infinitely wide halves only"
            yield Fault("CE202", message, ("record",), help='leave "embedding" out')
        yield from self._rate_faults(model)
        if engine == "linearised":
            yield from self._linearised_faults(model)

    def _rate_faults(self, model: Model) -> Iterator[Fault]:
        if self.halves is not None:
            message = "the rates of encoder and decoder are for infinitely wide halves"
            help = "give one number, or {relative = 0.3}"
            yield Fault("CE202", message, ("learning_rate",), help=help)
        if not isinstance(self.learning_rate, LearningRates) or self.halves is not None:
            return
        help = f"set learning_rate to a number, as {0.1 if self.optimizer == 'sgd' else 0.001}"
        if self.optimizer != "sgd":
            message = f"the largest stable rate is known for sgd, and not for {self.optimizer}"
            yield Fault("CE202", message, ("learning_rate",), help=help)
        elif model.has_batch_norm:
            message = "the largest stable rate is not known for batch normalisation"
            yield Fault("CE202", message, ("learning_rate",), help=help)

    def _linearised_faults(self, model: Model) -> Iterator[Fault]:
        if model.has_batch_norm:
            message = "a network with batch normalisation has no linearisation by example"
            yield Fault("CE203", message, ("engine",), help='use engine = "parameters"')
        if self.compute is not None:
            message = "a linearised network is computed in the precision of the document"
            yield Fault("CE202", message, ("compute",), "key", "leave it out")
        moving = [f'"{word}"' for word in self.record if word in self.OF_NTK]
        if moving:
            message = "record records a changing NTK, and under the engine 'linearised' it is fixed"
            yield Fault("CE202", message, ("record",), help='use engine = "parameters"')

    def _function_faults(self, model: Model) -> Iterator[Fault]:
        """Find what does not go with a training in function space."""
        yield from width_faults(model, self.width)
        yield from self.unused_faults("and this one is trained in function space")
        of_finite = [word for word in self.record if word in OF_FINITE]
        if of_finite:
            message = f"{of_finite[0]} is recorded for finite networks only"
            yield Fault("CE202", message, ("record",), help="leave it out")

    def _engine_faults(self, model: Model) -> Iterator[Fault]:
        engine = self.engine_of(model)
        if engine in FINITE_ENGINES:
            message = "an infinitely wide network has no weights to train"
            help = "leave engine out, or use finite widths"
            yield Fault("CE203", message, ("engine",), help=help)
        elif (engine == "kernel") == model.is_wide_bottleneck:
            known = '"features" or "history"' if model.is_wide_bottleneck else '"kernel"'
            sizes = " and ".join(str(bottleneck.size) for bottleneck in model.bottlenecks)
            message = f"the engine {engine!r} is not for a bottleneck of size {sizes}"
            yield Fault("CE203", message, ("engine",), help=f"use engine = {known}")
        if engine == "kernel" and "embedding" in self.record and len(model.bottlenecks) == 1:
            message = "an infinite bottleneck has no values to record"
            yield Fault("CE202", message, ("record",), help='leave "embedding" out')
        if self.halves is not None and len(model.bottlenecks) > 1:
            message = "a chain has segments, and not one encoder and one decoder"
            help = "give one number, or {relative = 0.3}"
            yield Fault("CE202", message, ("learning_rate",), help=help)

    def _length_faults(self, document: "Document") -> Iterator[Fault]:
        train = document.data and document.data.train_count
        if self.batch and train is not None and self.batch > train:
            message = f"a batch of {self.batch} examples out of {train}"
            yield Fault("CE202", message, ("batch",), help=f"set batch to {train} or less")
        if self.epochs and train and self.epochs * train / (self.batch or train) < 0.5:
            message = f"{self.epochs:g} epochs of {train} examples are less than half a step"
            yield Fault("CE202", message, ("epochs",), help="train for longer")
        steps = self.steps_of(train) if self.epochs and train else self.steps
        yield from self.schedule_faults(steps)
        if self.moments and steps and max(self.moments) > steps:
            message = f"moments go beyond the last step, {steps}"
            help = "train for longer, or leave those out"
            yield Fault("CE202", message, ("moments",), help=help)
