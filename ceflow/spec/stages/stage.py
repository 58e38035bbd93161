"""The keys and checks that every stage has."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ceflow.spec.base import KeyPath, Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model, NoLimit

if TYPE_CHECKING:
    from ceflow.spec.document import Document


References = dict[str, type[Spec]]
"""Keys of a stage that name an earlier stage, and the kind that this stage must be."""


class StageSpec(Spec):
    """The keys that every stage has."""

    model: str | None = None
    """The network to act on (for a search: the baseline): the answer of an earlier search, such as
    `"best.primal"`; by default `[model]`. No search finds a bottleneck."""

    offers: ClassVar[tuple[str, ...]] = ()
    """Names of the models that this stage finds and later stages can act on."""
    path_keys: ClassVar[tuple[str, ...]] = ()
    """Keys whose value is a file path."""
    descends: ClassVar[bool] = False
    """True if the stage minimises a training loss."""
    trains: ClassVar[bool] = False
    """True if the stage trains a network, whose weights are kept if it has any."""
    finds_law: ClassVar[bool] = False
    """True if the stage finds the law of a variance, that a search or a table can use."""
    clock: ClassVar[str] = ""
    """Quantity that counts the moments of the stage; `time` if it is continuous, "" if there are no
    moments."""

    @property
    def is_limit(self) -> bool:
        """True if the result is the same for every width."""
        return False

    def acts_on(self, model: Model) -> Any:
        """Return the model, with what the stage acts on chosen. Raises `SpecError` if it cannot."""
        return model

    def reads_data(self, model: Model) -> bool:
        """Tell whether the stage uses the document's examples."""
        return False

    def streams_data(self, model: Model) -> bool:
        """Tell whether the stage can read examples as it needs them, so that they need not fit into
        memory.
        """
        return False

    def recorded(self) -> tuple[str, ...]:
        """List the quantities that the stage may record over time, the clock first.

        It is empty for a stage without moments.
        """
        return ()

    @property
    def answer(self) -> tuple[str, str] | None:
        """The search that found the model of this stage, and the name of the answer, or None."""
        if self.model is None:
            return None
        name, _, part = self.model.partition(".")
        return name, part

    def references(self) -> References:
        """List the keys that name earlier stages."""
        return {}

    @property
    def needed(self) -> set[str]:
        """Names of the earlier stages that this stage refers to."""
        named = {getattr(self, key) for key in self.references()} - {None}
        return named | ({self.answer[0]} if self.answer else set())

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        """Find the faults of this stage in its document; `model` is the network it acts on."""
        yield from ()

    def implementation(self) -> Any:
        """Return the `ceflow.stages.Stage` of a kind that a plugin adds."""
        raise TypeError(f"no stage is registered for the kind {type(self).__name__}")


class MemberStageSpec(StageSpec):
    """The keys of a stage about the members of an ensemble."""

    at: str | None = None
    """The ensemble layer to act on, in a [network](models.md#network) that has several: its path
    below the model, such as `"layers.2.body.1"`. By default the only one; a network without one is
    its own member, once."""

    def acts_on(self, model: Model) -> Any:
        return model.focused(self.at)


def width_faults(model: Model, width: int) -> Iterator[Fault]:
    """Find what is wrong with the width of a network sampled in place of an infinitely wide one."""
    size = max((each.size for each in model.bottlenecks), default=0)
    if model.is_wide_bottleneck and size > width:
        message = f"a bottleneck of {size} units in a sampled network of {width}"
        yield Fault("CE202", message, ("width",), help="give a width far above the size")


def one_network_fault(key: str) -> Fault:
    """Make the fault of a key that asks for several draws of a network whose weights are given."""
    message = "the weights of the model are read from a file, so that there is one network"
    return Fault("CE202", message, (key,), help=f"leave {key} out, or the weights of the [model]")


def no_limit_fault(reason: NoLimit, key: KeyPath) -> Fault:
    """Make the fault of a kernel that does not exist at infinite width: at the layer that has none,
    or else at a key of the stage.
    """
    if reason.path:
        path = ("model", *reason.path)
        return Fault("CE203", reason.message, path, "key", reason.help, absolute=True)
    return Fault("CE203", reason.message, key, help=reason.help)
