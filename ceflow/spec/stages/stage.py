"""The keys and checks that every stage has."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from ceflow.spec.base import Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Bottleneck, Model

if TYPE_CHECKING:
    from ceflow.spec.document import Document


References = dict[str, type[Spec]]
"""Keys of a stage whose value names an earlier stage, and the kind of stage that must be."""


class StageSpec(Spec):
    """The keys that every stage has."""

    model: str | None = None
    """The network to act on, of a search the baseline: an earlier search's answer, as
    `"best.primal"`; by default `[model]`. No search finds a bottleneck."""

    offers: ClassVar[tuple[str, ...]] = ()
    """Names of the models that later stages can act on."""
    path_keys: ClassVar[tuple[str, ...]] = ()
    """Keys whose value is the path of a file."""
    descends: ClassVar[bool] = False
    """True where it lowers a training loss."""
    clock: ClassVar[str] = ""
    """What its moments are counted by: `time` where that is continuous; "" where it has none."""

    @property
    def is_limit(self) -> bool:
        """True where what it finds is the same at every width."""
        return False

    def reads_data(self, model: Model) -> bool:
        """Tell whether it reads the document's examples."""
        return False

    def recorded(self) -> tuple[str, ...]:
        """List the numbers that it may record, what it counts moments by first.

        They are recorded from moment to moment; there are none of a stage without moments.
        """
        return ()

    @property
    def answer(self) -> tuple[str, str] | None:
        """The search whose answer the stage acts on, and which of its answers."""
        if self.model is None:
            return None
        name, _, part = self.model.partition(".")
        return name, part

    def references(self) -> References:
        """List the keys that name earlier stages."""
        return {}

    @property
    def needed(self) -> set[str]:
        """The earlier stages that it refers to."""
        named = {getattr(self, key) for key in self.references()} - {None}
        return named | ({self.answer[0]} if self.answer else set())

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        """Find what is wrong with it in its document; `model` is the one it acts on."""
        yield from ()


def width_faults(model: Model, width: int) -> Iterator[Fault]:
    """Find what is wrong with the width of a network sampled for an infinitely wide one."""
    if model.is_wide_bottleneck and (size := Bottleneck.expect(model).size) > width:
        message = f"a bottleneck of {size} units in a sampled network of {width}"
        yield Fault("CE202", message, ("width",), help="give a width far above the size")
