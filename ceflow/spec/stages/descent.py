"""The keys of stages that lower a loss, in steps or in continuous time."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from ceflow.spec.base import Count, Positive, Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.stages.stage import StageSpec

if TYPE_CHECKING:
    from ceflow.spec.document import Document

ELSEWHERE = "leave this stage out: `ceflow export` writes the network, to be trained by other tools"
"""What to do with a network that is not trained here."""


Loss = Literal["mse", "cross-entropy"]

QUADRATIC = ("mse",)
"""Losses under which a flow by a constant kernel is linear, and so has a closed form."""

OF_CLASSES = ("cross-entropy",)
"""Losses whose targets are classes."""

MEASURED = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "test_stddev")
"""By stages that record anything: of test examples where there are some, accuracies where there
are classes, a standard deviation where there is a Gaussian process."""

RECORDED = {
    "drift": ("drift", "drift_stderr", "drift_relative"),
    "alignment": ("alignment",),
    "spectrum": ("eigenvalue_max", "eigenvalue_min"),
}
"""Numbers that come of a word in `record`."""


class Stop(Spec):
    """The conditions to end early."""

    train_loss: Positive
    """At this training loss. A flow finds the moment when it is reached; a training ends at the
    first of its moments at which it is."""


class Descent(StageSpec):
    """A stage that lowers a training loss."""

    loss: Loss = "mse"
    """`mse`: L = 1/2 |F - y|^2; `cross-entropy`: that of the softmax, with one signed output the
    logistic."""
    reduction: Literal["sum", "mean"] = "sum"
    """Of the loss over the examples; in a training over those of a batch, and of the losses
    recorded over all examples. The papers' is a sum: with `mean` a flow takes as many times as long
    as there are training examples."""
    width: Count = 10_000
    """Of an infinitely wide network with a bottleneck: width n of the network that is drawn for its
    initial functions, and whose decoder moves under the engine `features`."""
    sampling: Literal["iid", "orthogonal", "quasi-random"] = "iid"
    """How the first weights of that network's halves are drawn: `iid`, independently; `orthogonal`,
    so many rows at a time as there are inputs, with less noise in means over them; `quasi-random`,
    by a scrambled Sobol' sequence, with much less where there are few inputs."""
    stop: Stop | None = None
    """When to end early: see [stop](stages.md#stop)."""

    descends: ClassVar = True

    def reads_data(self, model: Model) -> bool:
        return True

    @property
    def is_quadratic(self) -> bool:
        """Whether its loss gives a flow by a constant kernel a closed form."""
        return self.loss in QUADRATIC

    def recorded(self) -> tuple[str, ...]:
        """
        >>> from ceflow.spec import Flow
        >>> Flow(time=1.0, record=["alignment"]).recorded()[::6]
        ('time', 'alignment')
        """
        asked = (key for word in getattr(self, "record", ()) for key in RECORDED.get(word, ()))
        return (self.clock, *MEASURED, *asked)

    def points_faults(self, moments: str) -> Iterator[Fault]:
        """Find the fault of saying how many moments there are, and, by another key, which."""
        if getattr(self, moments) is not None and self.changes("points"):
            message = f"points and {moments} both say when to record"
            yield Fault("CE202", message, ("points",), "key", "leave one of them out")

    def loss_faults(self, document: "Document") -> Iterator[Fault]:
        """Find what is wrong with the data or the loss."""
        if document.data is None:
            message = f"a {type(self).__name__.lower()} stage needs examples"
            yield Fault("CE202", message, part="key", help="add a [data] table")
        elif self.loss in OF_CLASSES and not document.data.has_classes:
            message = f"{self.loss} needs classes, and the targets are numbers"
            help = 'use loss = "mse", or targets = "one-hot" or "signed" in [data]'
            yield Fault("CE202", message, ("loss",), help=help)
