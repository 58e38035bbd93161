"""Networks of any layers."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ceflow.spec.base import LARGEST_COUNT, Count, KeyPath, VarianceValue
from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.models.layers import (
    MOST_LAYERS,
    ActivationLayer,
    AttentionLayer,
    BatchNormLayer,
    ConvolutionLayer,
    DenseLayer,
    EnsembleLayer,
    GlobalAverageLayer,
    Layers,
    LayerSpec,
    ResidualLayer,
    Shape,
    each,
    ends_in_batch_norm,
    shape_text,
    through,
)
from ceflow.spec.models.limits import require_outputs
from ceflow.spec.models.model import End, ModelSpec, NoLimit

if TYPE_CHECKING:
    from ceflow.spec.models.focus import Focus
    from ceflow.spec.models.mlp import Mlp

Weighted = DenseLayer | ConvolutionLayer | AttentionLayer
"""Layers that may give the variances of their weights and biases."""
OPEN_ENDS = (DenseLayer, ConvolutionLayer)
"""Layers that can leave their number of outputs to the data."""


def _inputs(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_count, value)):
        return tuple(value)
    if _is_count(value):
        return value
    raise PydanticCustomError("inputs", "must be a number, or [channels, height, width]")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_COUNT


Inputs = Annotated[
    int | tuple[int, int, int],
    BeforeValidator(_inputs),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": LARGEST_COUNT},
                {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
            ]
        }
    ),
]
"""A number of inputs, or channels, height and width."""


class Network(ModelSpec):
    """A network of any layers, one after another.

    >>> net = Network(inputs=4, layers=[{"type": "dense", "units": 8}, "relu", {"type": "dense"}])
    >>> net.ends(2), net.sized(outputs=2).layers[-1].units
    (2, 2)
    """

    type: Literal["network"] = "network"
    """A network of any layers."""
    layers: Layers
    """The [layers](models.md#layers), first to last: tables with a `type`, or names, such as
    `"relu"`."""
    inputs: Inputs | None = None
    """Number of inputs, or channels, height and width; by default those of the data."""
    outputs: Count | None = None
    """Number of outputs; by default that of the last layer, or of the data if the last layer leaves
    it out."""
    weight_variance: VarianceValue = 2.0
    """Weight variance c of every layer that does not give its own: it computes sqrt(c/fan-in) W h
    with W iid standard normal."""
    bias_variance: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    """Variance of the biases of every layer that does not give its own; 0 means no biases."""
    parameterisation: Literal["ntk", "standard"] = "ntk"
    """Whether the scale of weights is an explicit factor (`ntk`) or that of the initial weights
    (`standard`, where biases start with variance `bias_variance`/fan-in). Kernels at infinite
    width are those of `ntk`."""
    zero_init_residual: bool = False
    """Whether each `batch-norm` that ends the body of a `residual` starts at scale 0, so that the
    residual connection is its shortcut at the start (Goyal et al. 2017, arXiv:1706.02677, section
    5.1)."""

    multiplicity: ClassVar = 1

    @property
    def has_members(self) -> bool:
        return False

    @property
    def has_one_activation(self) -> bool:
        return False

    @property
    def widths_key(self) -> str:
        return "layers"

    @property
    def every(self) -> Iterator[tuple[KeyPath, LayerSpec]]:
        """All layers, with those inside others, each with its path."""
        return each(self.layers, "layers")

    @property
    def is_open(self) -> bool:
        """True if the last layer with weights leaves its number of outputs to the data."""
        last = self._last
        return last is not None and self.layers[last].width is None

    @property
    def ends_in_weights(self) -> bool:
        """True if the network's outputs are those of a layer with weights, or its averages."""
        return self._last is not None

    @property
    def _last(self) -> int | None:
        """Index of the last layer with weights, if the network's outputs are its outputs."""
        last = len(self.layers) - 1
        if isinstance(self.layers[last], GlobalAverageLayer) and last:
            last -= 1
        layer = self.layers[last]
        if not isinstance(layer, OPEN_ENDS) or layer.repeat > 1:
            return None
        return None if isinstance(layer, ConvolutionLayer) and layer.groups != 1 else last

    def law_of(self, layer: Weighted) -> tuple[float, float]:
        """Return the variances of a layer's weights and biases."""
        bias = self.bias_variance if layer.bias_variance is None else layer.bias_variance
        return layer.weight_variance or self.weight_variance, bias

    @property
    def takes_images(self) -> bool:
        """True if the first layer that depends on the shape takes images."""
        return next(_takes_images(self.layers), False)

    @property
    def is_standard(self) -> bool:
        return self.parameterisation == "standard"

    @property
    def has_batch_norm(self) -> bool:
        """True if a layer's outputs depend on the other examples of a batch."""
        return any(isinstance(layer, BatchNormLayer) for _, layer in self.every)

    @property
    def widths(self) -> tuple[float, ...]:
        """Widths of all layers with weights except the last one, in the order written."""
        last = self._last
        hidden = [
            width
            for path, layer in self.every
            if (width := layer.width) is not None and path != ("layers", last)
        ]
        return tuple(hidden)

    @property
    def activations(self) -> frozenset[str]:
        return frozenset(
            layer.name for _, layer in self.every if isinstance(layer, ActivationLayer)
        )

    @property
    def member(self) -> Any:
        raise TypeError("a network repeats nothing: a stage chooses a layer by focused")

    def focused(self, at: str | None) -> "Focus":
        """Choose the ensemble layer at a path, or the only one; without any, the whole network.

        Raises `SpecError` if there are several and no path, no layer at the path, or nothing to
        repeat. Paths of the faults are relative to the stage.
        """
        from ceflow.spec.models.focus import focus  # which knows this class

        return focus(self, at)

    def focused_in(self, ensemble: Any) -> Any:
        """Return what a stage acts on that acts on an ensemble of these networks."""
        from ceflow.spec.models.ensemble import NetworkEnsemble  # which knows this class

        return NetworkEnsemble.of(ensemble)

    @property
    def as_mlp(self) -> "Mlp | None":
        """The mlp that has the layers of the network; None if there is none."""
        from ceflow.spec.models.members import known_mlp  # which knows this class

        return known_mlp(self)

    @property
    def limit(self) -> Self:
        """The network with all layers infinitely wide, except the last; kernels do not depend on
        the numbers of members, so that an ensemble of several has two.
        """
        last = self._last
        layers = [
            layer if index == last else _infinite(layer) for index, layer in enumerate(self.layers)
        ]
        return self.replaced({"layers": tuple(layers)})

    @property
    def why_no_limit(self) -> NoLimit | None:
        try:
            require_outputs(self.layers, "layers")
        except SpecError as error:
            fault = error.faults[0]
            help = fault.help or 'use method = "empirical", or leave it out'
            return NoLimit(fault.message, help, fault.path)
        return super().why_no_limit

    def with_members(self, widths: Sequence[float], multiplicity: int) -> Any:
        raise TypeError("a network has no family of ensembles")

    def at_width(self, width: int) -> Self:
        """Return a copy with this width in every infinitely wide layer, without validation."""
        return self.replaced({"layers": tuple(_at_width(layer, width) for layer in self.layers)})

    def part_with(self, end: End) -> tuple[KeyPath, Self]:
        return (), self

    def sized(self, **sizes: Any) -> Self:
        """Return a copy with these inputs and outputs; an open last layer has as many outputs."""
        changed = {**sizes}
        if sizes.get("outputs") is not None and self.is_open:
            changed["layers"] = self._closed(sizes["outputs"])
        return self.replaced(changed)

    def ends(self, outputs: int | None = None) -> Shape:
        """Return the shape of the outputs; an open last layer has `outputs` of them.

        Raises `SpecError` if a layer does not fit, or the inputs are not known.
        """
        if self.inputs is None:
            raise SpecError(Fault("CE204", "the number of inputs is not known"))
        layers = self._closed(outputs) if self.is_open and outputs is not None else self.layers
        return through(layers, self.inputs, "layers")

    def _closed(self, outputs: int) -> tuple[LayerSpec, ...]:
        last = self._last
        assert last is not None, "open"
        return tuple(
            layer.replaced({layer.width_key: outputs})
            if index == last and layer.width_key
            else layer
            for index, layer in enumerate(self.layers)
        )

    def own_size(self, end: End) -> int | None:
        if end == "inputs" or self.is_open or self.inputs is None:
            return None
        found = self.ends()
        if isinstance(found, tuple) or found == math.inf:
            raise SpecError(self._no_end(found))
        return int(found)

    def misfit(self, end: End, image: bool) -> tuple[KeyPath, str]:
        if end == "outputs" and not self.is_open and self.outputs is None:
            last = self._last
            layer = () if last is None else (last, self.layers[last].width_key or "")
            help = "give the last layer as many, or let it leave its number out"
            return ("layers", *layer), help
        return super().misfit(end, image)

    def smaller(self, cost: str) -> str:
        return "fewer layers, or a smaller image"

    def faults(self) -> list[Fault]:
        if sum(layer.count for layer in self.layers) > MOST_LAYERS:
            message = f"a network of more than {MOST_LAYERS:,} layers"
            return [Fault("CE104", message, ("layers",), help="repeat fewer of them")]
        faults = [self._no_norm_last()] if self.zero_init_residual and not self._zeroed else []
        if self.inputs is None:
            return faults
        return faults + self._misfits()

    @property
    def _zeroed(self) -> bool:
        """True if a `batch-norm` ends the body of a `residual`."""
        every = (layer for _, layer in self.every if isinstance(layer, ResidualLayer))
        return any(ends_in_batch_norm(layer.body) for layer in every)

    def _no_norm_last(self) -> Fault:
        message = 'no body of a residual ends in "batch-norm", whose scale could start at 0'
        help = 'leave it out, or end a body in "batch-norm", or in {type = "scale", initial = 0}'
        return Fault("CE202", message, ("zero_init_residual",), "key", help)

    def _misfits(self) -> list[Fault]:
        """Find the faults of layers that do not fit the inputs, each other or the outputs."""
        try:
            end = self.ends(self.outputs or 1)
        except SpecError as error:
            return [*error.faults]
        if isinstance(end, tuple) or end == math.inf:
            return [self._no_end(end)]
        if self.outputs is not None and end != self.outputs:
            message = f"the layers end in {shape_text(end)}, and outputs = {self.outputs}"
            return [Fault("CE204", message, ("outputs",), help="leave outputs out")]
        return []

    def _no_end(self, end: Shape) -> Fault:
        """Make the fault of a network that ends in an image, or in infinitely many units."""
        last = ("layers", len(self.layers) - 1)
        if end == math.inf:
            help = "give the last layer a number of units"
            return Fault("CE203", "a network with infinitely many outputs", last, help=help)
        message = f"the network ends in {shape_text(end)}, not in a vector of outputs"
        help = 'end it in "global-average" or "flatten", and a dense layer'
        return Fault("CE204", message, last, help=help)


def _takes_images(layers: Sequence[LayerSpec]) -> Iterator[bool]:
    """Yield whether each layer takes images, for layers that take one kind of shape only."""
    for layer in layers:
        if layer.is_spatial or isinstance(layer, DenseLayer):
            yield layer.is_spatial
        for _, inner in layer.inner:
            yield from _takes_images(inner)


def _infinite(layer: LayerSpec) -> LayerSpec:
    """Make a layer and those inside it infinitely wide; ensembles keep one member, or two."""
    changed: dict[str, Any] = {key: tuple(map(_infinite, layers)) for key, layers in layer.inner}
    if layer.width_key and layer.width is not None:
        changed[layer.width_key] = math.inf
    if isinstance(layer, EnsembleLayer):
        changed["multiplicity"] = min(layer.multiplicity, 2)  # one is not correlated with others
    return layer.replaced(changed) if changed else layer


def _at_width(layer: LayerSpec, width: int) -> LayerSpec:
    """Give a layer and those inside it this width if they are infinitely wide."""
    changed: dict[str, Any] = {
        key: tuple(_at_width(each, width) for each in layers) for key, layers in layer.inner
    }
    if layer.width_key and layer.width == math.inf:
        changed[layer.width_key] = width
    return layer.replaced(changed) if changed else layer
