"""The questions that a model answers, so that stages ask it and do not test its type."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

from ceflow.spec.base import KeyPath, Spec
from ceflow.spec.models.activations import KINKED

End = Literal["inputs", "outputs"]


class _Answers(Protocol):
    """The answers of each kind for itself: a key of the document in some, a property in others."""

    @property
    def widths(self) -> Sequence[float]: ...

    @property
    def activations(self) -> frozenset[str]: ...

    def part_with(self, end: End) -> tuple[KeyPath, Any]: ...


class ModelSpec(Spec):
    """The questions that every kind of model answers.

    A kind answers by what stands here, and besides by

    - `widths`: of its hidden layers, or of those of what it repeats;
    - `member` and `multiplicity`: what it repeats, and how often; the model itself, once, where it
      is no ensemble;
    - `with_members(widths, multiplicity)`: the network of its family with others, not judged;
    - `activations`: the names of those in it;
    - `part_with(end)`: the part that says the number of `inputs` or `outputs`, and where it stands;
    - `sized(inputs=..., outputs=...)`: the model with those numbers as given.
    """

    has_members: ClassVar[bool] = True
    """True where it is one of a family of ensembles, of members of any widths and number."""
    is_dense: ClassVar[bool] = False
    """True where what it repeats has dense layers only: its kernel is drawn without weights."""
    has_bottleneck: ClassVar[bool] = False
    """True where one narrow layer stands between two networks."""
    has_batch_norm: ClassVar[bool] = False
    """True where a layer's outputs depend on the other examples of a batch."""
    takes_images: ClassVar[bool] = False
    """True where an example must be an image of the data, channels first, not a row of numbers."""
    widths_key: ClassVar[str] = "widths"
    """Where the document says its widths, below [model]."""

    @property
    def is_finite(self: _Answers) -> bool:
        """True where no layer is infinitely wide."""
        return math.inf not in self.widths

    @property
    def is_mixed(self: _Answers) -> bool:
        """True where some layers are infinitely wide and others are not."""
        return _is_mixed(self.widths)

    @property
    def is_wide_bottleneck(self) -> bool:
        """True where infinitely wide networks stand on both sides of a finite bottleneck."""
        return False

    @property
    def kinks(self: _Answers) -> frozenset[str]:
        """Those of its activations that are not analytic."""
        return self.activations & KINKED

    @property
    def fan_in_sum(self: _Answers) -> float:
        """S of the law Var(K) ~ exp(alpha S) - 1 (CE eq. 2), of what is repeated.

        Of an MLP the sum of 1/n over the hidden widths, of a block that of 1/fan-in over all of its
        layers (CE section 4.2).
        """
        return math.fsum(1 / width for width in self.widths)

    def ratio_widths(self: _Answers, ratio: float) -> tuple[int, ...]:
        """Multiply the hidden widths by a ratio, rounded, and at least 1 (CE Algorithm 1)."""
        return tuple(max(1, round(ratio * width)) for width in self.widths)

    @property
    def width_count(self: _Answers) -> int:
        """The number of widths of a member that can be chosen, each by itself."""
        return len(self.widths)

    @property
    def why_no_limit(self: _Answers) -> tuple[str, str] | None:
        """A reason why weights decide its kernel even at infinite width, and what to do.

        None where they do not.
        """
        if not _is_mixed(self.widths):
            return None
        message = "a finite layer among infinite ones has no deterministic kernel"
        return message, "make all widths inf, or all finite: then the limit of all is taken"

    def size_of(self: _Answers, end: End) -> Any:
        """Give the number of inputs or outputs, as far as the document says it."""
        return getattr(self.part_with(end)[1], end)

    @property
    def single(self) -> Any:
        """The network of one member, whose mean kernel is that of all (CE eq. 5)."""
        return self

    @property
    def limit(self) -> Any:
        """The same with one member and all layers infinitely wide, but for a bottleneck."""
        return self

    @property
    def parts(self) -> Mapping[str, Any]:
        """Models one behind the other that it consists of, by name; none where it is one piece."""
        return {}

    def default_size(self, end: End) -> int | tuple[int, int, int] | None:
        """Give the number of inputs or outputs where neither document nor data say one."""
        return None

    def misfit(self, end: End, image: bool) -> tuple[str, str]:
        """Name the key to change where the data have another number at an end, and what to do.

        `image` says whether they have images.
        """
        return end, f"leave {end} out: it comes from the data"

    def smaller(self, cost: str) -> str:
        """Say what would make it smaller, where a search has made its widths smallest.

        `cost` is the one that is to be smaller, as "flops".
        """
        return "fewer layers or inputs"


def _is_mixed(widths: Sequence[float]) -> bool:
    return len({width == math.inf for width in widths}) > 1
