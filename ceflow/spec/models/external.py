"""Networks that are a module of the user's, bound to a name when the document is compiled."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from ceflow.spec.base import Count, KeyPath
from ceflow.spec.diagnostics import Fault, SpecError
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

    path_keys: ClassVar = ("weights",)
    multiplicity: ClassVar = 1

    _binding: Binding | None = PrivateAttr(None)

    @property
    def has_members(self) -> bool:
        return False

    @property
    def has_one_activation(self) -> bool:
        return False

    @property
    def widths_key(self) -> str:
        return "width"

    @property
    def binding(self) -> Binding | None:
        """The function or the record that the name is bound to; None if it is not bound."""
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
    def module_path(self) -> KeyPath:
        return ("name",)

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
    def member(self) -> Any:
        raise TypeError("a module of the user's repeats nothing")

    @property
    def why_no_limit(self) -> NoLimit:
        return NoLimit(
            "a module of your own has no known limit of infinite width",
            'use method = "empirical" or "mean"',
        )

    def with_members(self, widths: Sequence[float], multiplicity: int) -> Any:
        raise TypeError("a module of the user's has no family of ensembles")

    def focused(self, at: str | None) -> Any:
        """Return the family of modules of all widths. Raises `SpecError` if there is none."""
        super().focused(at)
        if self.width is None:
            message = "a module without a width is one of no family of other widths"
            help = "give the [model] a width, and bind its name to a function make(key, width)"
            raise SpecError(Fault("CE203", message, part="key", help=help))
        if self.weights is not None:
            message = "the weights of the model are read from a file, so that none are drawn"
            help = "leave the weights of the [model] out"
            raise SpecError(Fault("CE203", message, part="key", help=help))
        family = ExternalFamily.model_construct(**dict(self))
        family._binding = self._binding
        return family

    def focused_in(self, ensemble: Any) -> Any:
        """Return what a stage acts on that acts on an ensemble of these modules: an ensemble in the
        family of all widths.
        """
        return ensemble.replaced({"member": self.focused(None)})

    def part_with(self, end: End) -> tuple[KeyPath, Self]:
        return (), self

    def sized(self, **sizes: Any) -> Self:
        return self.replaced(sizes)

    def own_size(self, end: End) -> int | None:
        if end == "inputs" or self.inputs is None or self.binding is None:
            return None
        return int(self.binding(self.replaced({"weights": None})).outputs)

    def misfit(self, end: End, image: bool) -> tuple[KeyPath, str]:
        if end == "outputs" and self.outputs is None:
            return ("name",), "let the module return as many numbers"
        return super().misfit(end, image)

    def smaller(self, cost: str) -> str:
        return "a smaller module"


class ExternalFamily(External):
    """The modules that a function makes at all widths, of which this is one."""

    has_closed_moments: ClassVar = False
    usual_inputs: ClassVar[Literal["iid"]] = "iid"
    why_drawn: ClassVar = "a module of your own"

    @property
    def has_members(self) -> bool:
        return True

    @property
    def member(self) -> Self:
        return self

    @property
    def entry(self) -> Self:
        return self

    def with_widths(self, widths: Sequence[float]) -> Self:
        """Return the module of another width, without validation."""
        return self.replaced({"width": int(widths[0])})

    def with_members(self, widths: Sequence[float], multiplicity: int) -> Any:
        from ceflow.spec.models.ensemble import Ensemble  # which knows this class

        member = self.with_widths(widths)
        return Ensemble.model_construct(multiplicity=multiplicity, member=member)

    def sized(self, **sizes: Any) -> Self:
        """Return the same: inputs and outputs are those of the module."""
        return self
