"""The properties that every model has, so that stages need not test its type."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from ceflow.spec.base import KeyPath, Spec
from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.models.activations import KINKED, WITHOUT_DUAL

End = Literal["inputs", "outputs"]

NO_DUAL = "the activation {} has kinks, and its plugin computes no dual, which the kernel needs"


class NoLimit(NamedTuple):
    """Why a model has no kernel at infinite width that does not depend on the weights."""

    message: str
    help: str
    """What to do."""
    path: KeyPath = ()
    """Path of the layer that has none, below the model."""


class _Answers(Protocol):
    """The properties that each kind defines itself, as a key of the document or as a property."""

    @property
    def widths(self) -> Sequence[float]: ...

    @property
    def width_steps(self) -> tuple[int, ...]: ...

    @property
    def activations(self) -> frozenset[str]: ...

    def part_with(self, end: End) -> tuple[KeyPath, Any]: ...


class ModelSpec(Spec):
    """The properties that every kind of model has.

    A kind overrides the defaults here where they are wrong for it, and must itself define

    - `widths`: widths of its hidden layers, or of those of the network that it repeats;
    - `member` and `multiplicity`: the network that it repeats, and how often; a model that is no
      ensemble is its own member, once;
    - `with_members(widths, multiplicity)`: the network of its family with these, not validated;
    - `activations`: the names of its activations;
    - `part_with(end)`: the part that sets the number of `inputs` or `outputs`, and its key path;
    - `sized(inputs=..., outputs=...)`: the model with these numbers.
    """

    path_keys: ClassVar[tuple[str, ...]] = ()
    """Keys whose value is a file path."""

    @property
    def has_members(self) -> bool:
        """True if the model belongs to a family of ensembles with any member widths and
        multiplicity.
        """
        return True

    @property
    def is_dense(self) -> bool:
        """True if the member is an mlp, whose kernel can be drawn without weights."""
        return False

    @property
    def has_one_activation(self) -> bool:
        """True if a single key sets all activations."""
        return True

    @property
    def widths_key(self) -> str:
        """Key path of the widths below [model]."""
        return "widths"

    @property
    def module_name(self) -> str | None:
        """Name of the user's module that the model is, or None."""
        return None

    @property
    def module_path(self) -> KeyPath:
        """Path of the key that names the user's module; empty if there is none."""
        return ()

    @property
    def has_weights(self) -> bool:
        """True if the weights are read from a file, so that none are drawn."""
        return False

    @property
    def is_standard(self) -> bool:
        """True if the scale of weights is in their initial values, and not an explicit factor."""
        return False

    @property
    def has_batch_norm(self) -> bool:
        """True if a layer's outputs depend on the other examples of a batch."""
        return False

    @property
    def members_start_at_zero(self) -> bool:
        """True if a scale that starts at 0 takes the members out of the network at the start."""
        return False

    @property
    def takes_images(self) -> bool:
        """True if an example must be an image, channels first, and not a vector."""
        return False

    @property
    def is_finite(self: _Answers) -> bool:
        """True if no layer is infinitely wide."""
        return math.inf not in self.widths

    @property
    def is_mixed(self: _Answers) -> bool:
        """True if some layers are infinitely wide and others are not."""
        return _is_mixed(self.widths)

    @property
    def bottlenecks(self) -> tuple[Any, ...]:
        """The narrow layers of the model in sequence, each as a `Bottleneck` of the networks before
        and after it; empty if it has none.
        """
        return ()

    @property
    def is_wide_bottleneck(self) -> bool:
        """True if the model has finite bottlenecks, and all its networks are infinitely wide."""
        return False

    @property
    def kinks(self: _Answers) -> frozenset[str]:
        """The activations of the model that are not analytic."""
        return self.activations & KINKED

    @property
    def fan_in_sum(self: _Answers) -> float:
        """Sum S over one member, in the law Var(K) ~ exp(alpha S) - 1 (CE eq. 2).

        For an MLP it is the sum of 1/n over the hidden widths, for a block the sum of 1/fan-in over
        all its layers (CE section 4.2).
        """
        return math.fsum(1 / width for width in self.widths)

    @property
    def width_steps(self: _Answers) -> tuple[int, ...]:
        """Number that must divide each width: of its groups, for a grouped layer."""
        return (1,) * len(self.widths)

    def ratio_widths(self: _Answers, ratio: float) -> tuple[int, ...]:
        """Multiply the hidden widths by a ratio; round, to at least 1 (CE Algorithm 1).

        Widths that must have a divisor are rounded to its multiples.
        """
        pairs = zip(self.widths, self.width_steps, strict=True)
        return tuple(max(step, step * round(ratio * width / step)) for width, step in pairs)

    @property
    def width_count(self: _Answers) -> int:
        """Number of widths of a member that can be chosen independently."""
        return len(self.widths)

    @property
    def why_no_limit(self: _Answers) -> NoLimit | None:
        """Reason why the infinite-width kernel still depends on the weights; None if it does
        not.
        """
        if unknown := self.activations & WITHOUT_DUAL:
            return NoLimit(
                NO_DUAL.format(min(unknown)), 'use method = "empirical", or leave it out'
            )
        if not _is_mixed(self.widths):
            return None
        message = "a finite layer among infinite ones has no deterministic kernel"
        return NoLimit(
            message, "make all widths inf, or all finite: then the limit of all is taken"
        )

    def size_of(self: _Answers, end: End) -> Any:
        """Return the number of inputs or outputs that the document sets, or None."""
        return getattr(self.part_with(end)[1], end)

    def focused(self, at: str | None) -> Any:
        """Return the model, with the ensemble layer at a path chosen as the one to repeat.

        Raises `SpecError` for a path, unless the model has layers.
        """
        if at is not None:
            message = f"a model of type {getattr(self, 'type')!r} has no layers to name"  # noqa: B009
            raise SpecError(Fault("CE202", message, ("at",), "key", "leave it out"))
        return self

    @property
    def whole(self) -> Any:
        """The model as a document says it, with no layer chosen."""
        return self

    @property
    def place(self) -> str | None:
        """Path of the ensemble layer that was chosen; None if the whole model is the ensemble."""
        return None

    @property
    def entry(self) -> Any:
        """The network of which an entry of the NTK is drawn or computed, for a member."""
        return self

    @property
    def why_no_examples(self) -> str | None:
        """A sentence that names the inputs of the member; None if they are those of the model."""
        return None

    @property
    def single(self) -> Any:
        """One member, whose mean kernel is that of the ensemble (CE eq. 5)."""
        return self

    @property
    def limit(self) -> Any:
        """One member with all layers infinitely wide, except a bottleneck."""
        return self

    @property
    def parts(self) -> Mapping[KeyPath, Any]:
        """Models in sequence that this one consists of, by their key paths below it; empty if it is
        one piece.
        """
        return {}

    def own_size(self, end: End) -> int | None:
        """Return the number of inputs or outputs that the layers determine; None if none does.

        The inputs are known. Raises `SpecError` if layers do not fit.
        """
        return None

    def default_size(self, end: End) -> int | tuple[int, int, int] | None:
        """Return the number of inputs or outputs for when neither document nor data set one."""
        return None

    def misfit(self, end: End, image: bool) -> tuple[KeyPath, str]:
        """Return the path of the key to change if the data have another size at one end, and what
        to do.

        `image` is True if the data are images.
        """
        return (end,), f"leave {end} out: it comes from the data"

    def smaller(self, cost: str) -> str:
        """Say how to make the model smaller if a search already uses the smallest widths.

        `cost` is the cost to reduce, such as "flops".
        """
        return "fewer layers or inputs"


def _is_mixed(widths: Sequence[float]) -> bool:
    return len({width == math.inf for width in widths}) > 1
