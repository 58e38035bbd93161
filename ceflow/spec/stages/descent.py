"""Keys of stages that minimise a loss, in steps or in continuous time."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from ceflow.spec.base import Count, Positive, Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.stages.stage import StageSpec

if TYPE_CHECKING:
    from ceflow.spec.document import Document

Loss = Literal["mse", "cross-entropy"]
Reduction = Literal["sum", "mean", "mean-all"]

QUADRATIC = ("mse",)
"""Losses for which a flow under a constant kernel is linear, and so has a closed form."""

OF_CLASSES = ("cross-entropy",)
"""Losses that need classes as targets, and are one number for all outputs."""

OF_OUTPUTS = ("predictions",)
"""Recorded quantities that any engine knows, because they are of the outputs, not of the NTK."""

ALWAYS_RECORDED = (
    "train_loss",
    "test_loss",
    "train_accuracy",
    "test_accuracy",
    "train_stddev",
    "test_stddev",
)
"""Numbers that every flow and train stage records if it can: those of the test need test examples,
accuracies need classes, and standard deviations need a Gaussian process."""


def weight_of(reduction: Reduction, examples: int, outputs: int) -> float:
    """Return the factor of each of this many examples' losses in the loss of all of them.

    >>> [weight_of(each, 4, 10) for each in ("sum", "mean", "mean-all")]
    [1.0, 0.25, 0.025]
    """
    return 1.0 / {"sum": 1, "mean": examples, "mean-all": examples * outputs}[reduction]


class Stop(Spec):
    """Conditions for ending early."""

    train_loss: Positive
    """End at this training loss. A flow ends at the exact time; a training at the first recorded
    moment with a loss this low, the mean over its replicas."""


class Descent(StageSpec):
    """A stage that minimises a training loss."""

    loss: Loss = "mse"
    """Loss of one example. `mse`: 1/2 |F - y|^2; `cross-entropy`: cross-entropy of the softmax, or
    of the logistic function if there is one signed output."""
    reduction: Reduction = "sum"
    """How losses are added: `sum`: over examples, as in the papers; `mean`: averaged over examples;
    `mean-all`: averaged over examples and outputs, for `mse` only. Training steps reduce over the
    batch; recorded losses over all examples. With `mean`, a flow over n training examples takes n
    times as long, with `mean-all` and k outputs n k times."""
    width: Count = 10_000
    """Width n of the finite network sampled to initialise an infinitely wide bottleneck network;
    its decoder is what the engine `features` trains."""
    sampling: Literal["iid", "orthogonal", "quasi-random"] = "iid"
    """How the first-layer weights of both halves of that sampled network are drawn. `iid`:
    independently; `orthogonal`: in orthogonal blocks of as many rows as there are inputs, which
    reduces the noise of means over rows; `quasi-random`: by a scrambled Sobol' sequence, which
    reduces it much further if there are few inputs."""
    stop: Stop | None = None
    """Condition for ending early: see [stop](stages.md#stop)."""

    descends: ClassVar = True
    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Names of the columns that each word in `record` adds to the history. Arrays add no column."""

    def reads_data(self, model: Model) -> bool:
        return True

    @property
    def is_quadratic(self) -> bool:
        """Whether a flow under a constant kernel has a closed form for this stage's loss."""
        return self.loss in QUADRATIC

    def recorded(self) -> tuple[str, ...]:
        """List the quantities that the stage may record over time, the clock first.

        >>> from ceflow.spec import Flow
        >>> Flow(time=1.0, record=["alignment"]).recorded()[::7]
        ('time', 'alignment')
        """
        asked = (key for word in getattr(self, "record", ()) for key in self.columns.get(word, ()))
        return (self.clock, *ALWAYS_RECORDED, *asked)

    def points_faults(self, moments: str) -> Iterator[Fault]:
        """Yield a fault if both the number of moments and the moments themselves are set."""
        if getattr(self, moments) is not None and self.changes("points"):
            message = f"points and {moments} both say when to record"
            yield Fault("CE202", message, ("points",), "key", "leave one of them out")

    def loss_faults(self, document: "Document") -> Iterator[Fault]:
        """Yield a fault if there are no examples, no classes where the loss needs them, or a mean
        over outputs where the loss is one number.
        """
        if document.data is None:
            message = f"a {type(self).__name__.lower()} stage needs examples"
            yield Fault("CE202", message, part="key", help="add a [data] table")
        elif self.loss in OF_CLASSES and not document.data.has_classes:
            message = f"{self.loss} needs classes, and the targets are numbers"
            help = 'use loss = "mse", or targets = "one-hot" or "signed" in [data]'
            yield Fault("CE202", message, ("loss",), help=help)
        elif self.reduction == "mean-all" and self.loss in OF_CLASSES:
            message = f"mean-all averages over outputs, and {self.loss} is one number per example"
            yield Fault("CE202", message, ("reduction",), help='use reduction = "mean"')
