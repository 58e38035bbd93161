"""Networks that are a module of the user's, bound to a name when the document is compiled."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Never, Self

from pydantic import Field, PrivateAttr

from ceflow.spec.base import Count, KeyPath
from ceflow.spec.models.model import End, ModelSpec, NoLimit
from ceflow.spec.models.network import Inputs

Binding = Callable[[Any], Any]
"""A function from an external model with known inputs to its layer, of the compiler."""


class External(ModelSpec):
    """A network that is a module of the user's.

    The document gives its name alone, and never names code to run. A name is bound to a function
    that makes the module by `ceflow.run(document, modules={"mine": make})`, or on the command line
    by `--module mine=package.module:make`.

    >>> External(name="mine").widths
    ()
    """

    type: Literal["external"] = "external"
    """A module of your own."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=100)]
    """Name that is bound to a function `make`: `make(key)` returns an Equinox module, with weights
    drawn from the key, which takes one example and returns a vector of outputs."""
    width: Count | None = None
    """Width that the function is called with: `make(key, width)`. By default it is called with the
    key alone."""
    inputs: Inputs | None = None
    """Shape of the example that the module takes: a number of inputs, or channels, height and
    width. By default the number of inputs of the data."""
    outputs: Count | None = None
    """Number of outputs; by default that of the module."""
    weights: Annotated[str, Field(min_length=1)] | None = None
    """File of weights that `equinox.tree_serialise_leaves` wrote for such a module. Numbers are
    rounded to the document's precision. The path is relative to the document. By default weights
    are drawn."""

    has_members: ClassVar = False
    has_one_activation: ClassVar = False
    widths_key: ClassVar = "width"
    path_keys: ClassVar = ("weights",)
    multiplicity: ClassVar = 1

    _binding: Binding | None = PrivateAttr(None)

    @property
    def binding(self) -> Binding | None:
        """What the name is bound to, or None."""
        return self._binding

    def bound(self, binding: Binding) -> Self:
        """Return a copy whose name is bound."""
        copy = self.replaced({})
        copy._binding = binding
        return copy

    @property
    def module_name(self) -> str:
        return self.name

    @property
    def has_weights(self) -> bool:
        return self.weights is not None

    @property
    def takes_images(self) -> bool:
        return isinstance(self.inputs, tuple)

    @property
    def widths(self) -> tuple[int, ...]:
        return () if self.width is None else (self.width,)

    @property
    def activations(self) -> frozenset[str]:
        """The names of its activations, none of which are known."""
        return frozenset()

    @property
    def member(self) -> Never:
        raise TypeError("a module of the user's repeats nothing")

    @property
    def why_no_limit(self) -> NoLimit:
        return NoLimit(
            "a module of your own has no known limit of infinite width",
            'use method = "empirical" or "mean"',
        )

    def with_members(self, widths: Any, multiplicity: int) -> Never:
        raise TypeError("a module of the user's has no family of ensembles")

    def part_with(self, end: End) -> tuple[KeyPath, Self]:
        return (), self

    def sized(self, **sizes: Any) -> Self:
        return self.replaced(sizes)

    def own_size(self, end: End) -> int | None:
        if end == "inputs" or self.inputs is None or self.binding is None:
            return None
        return int(self.binding(self.replaced({"weights": None})).outputs)

    def misfit(self, end: End, image: bool) -> tuple[str, str]:
        if end == "outputs" and self.outputs is None:
            return "name", "let the module return as many numbers"
        return super().misfit(end, image)

    def smaller(self, cost: str) -> str:
        return "a smaller module"
