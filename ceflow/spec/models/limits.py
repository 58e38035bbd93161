"""Which networks of layers have a kernel at infinite width.

The recursion over layers needs Gaussian values where an activation acts. Trees of layers that are
built in Python are checked by the same rules in `ceflow.kernels.infinite.gaussian`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from ceflow.spec.base import KeyPath
from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.models.layers import (
    ActivationLayer,
    AttentionLayer,
    BatchNormLayer,
    ConvolutionLayer,
    DenseLayer,
    DropoutLayer,
    EnsembleLayer,
    FlattenLayer,
    GlobalAverageLayer,
    LayerNormLayer,
    LayerSpec,
    MaxPoolLayer,
    PositionEmbeddingLayer,
    ResidualLayer,
    ScaleLayer,
    SequenceLayer,
    TokenMixingLayer,
    below,
    is_depthwise,
)

OF_NO_LIMIT = (BatchNormLayer, MaxPoolLayer, AttentionLayer, TokenMixingLayer)
"""Layers that have no kernel at infinite width here."""


OF_MEMBERS = "they share what is not behind weights of their own, or means of activations"
"""Why the kernel of a sum of members depends on their number."""


Channels = Literal["inputs", "groups", "alike"]


class Values(NamedTuple):
    """The law of the values after a layer at infinite width, as far as it is known."""

    gaussian: bool = False
    """True if they are Gaussian; the inputs of a network are not."""
    centred: bool = False
    """True if their mean over the channels is 0."""
    scaled: bool = False
    """True if each channel was scaled by a parameter of its own after the last weights."""
    normalised: bool = False
    """True if a layer norm acted after the last weights."""
    channels: Channels = "alike"
    """Whether the channels are those of the inputs, finitely many; or infinitely many, in groups of
    different laws; or infinitely many of the same law."""
    vector: bool = False
    """True if they are known to be a vector, which flattening does not change."""
    apart: bool = False
    """True if those of two members of an ensemble are uncorrelated, given their inputs: weights of
    each member acted on them, and no activation after these."""

    def weighted(self, groups: bool = False) -> "Values":
        """Return the values after weights that mix all channels, or those of each group."""
        if not groups or self.channels == "alike":
            return Values(True, True, apart=True)
        return Values(False, True, channels="groups", apart=True)

    def filtered(self) -> "Values":
        """Return the values after weights of each channel: Gaussian only if those are given."""
        own = {"scaled": self.scaled, "normalised": self.normalised, "channels": self.channels}
        return Values(False, True, **own, apart=True)

    def activated(self) -> "Values":
        """Return the values after an activation."""
        return Values(channels=self.channels, vector=self.vector)

    def flattened(self) -> "Values":
        """Return the values of all positions as one vector, whose laws differ by position; those of
        a vector are unchanged.
        """
        if self.vector:
            return self
        channels = _least(self.channels, "groups")
        return self._replace(gaussian=False, channels=channels, vector=True)

    def added(self, straight: "Values") -> "Values":
        """Return the values of a sum with those of an uncorrelated shortcut."""
        return Values(
            self.gaussian and straight.gaussian,
            self.centred and straight.centred,
            self.scaled or straight.scaled,
            self.normalised or straight.normalised,
            _least(self.channels, straight.channels),
            self.vector or straight.vector,
            self.apart and straight.apart,
        )


def _least(*channels: Channels) -> Channels:
    return min(channels, key=get_args(Channels).index)


INPUTS = Values(channels="inputs")


def require_limit(layers: Sequence[LayerSpec], values: Values, *path: str | int) -> Values:
    """Return what is known of the values after some layers.

    Raises `SpecError`, at the layer below `path` that has no kernel at infinite width.
    """
    for index, layer in enumerate(layers):
        with below(*path, index):
            for _ in range(min(layer.repeat, 2)):  # a second time, it acts on its own outputs
                values = _after(layer, values)
    return values


def _after(layer: LayerSpec, values: Values) -> Values:
    match layer:
        case DenseLayer():
            return values.weighted()._replace(vector=True)
        case ConvolutionLayer(groups="depthwise"):
            if layer.channels is None and values.channels == "inputs":
                message = "this depthwise convolution has only as many channels as the inputs, and"
                help = "give it channels, or put a convolution of kernel 1 before it"
                raise _none(f"{message} the kernel at infinite width depends on its weights", help)
            return values.filtered()
        case ConvolutionLayer():
            return values.weighted(layer.groups != 1)
        case ActivationLayer():
            _require_before_activation(layer, values)
            return values.activated()
        case FlattenLayer():
            return values.flattened()
        case GlobalAverageLayer():
            return values._replace(vector=True)
        case ScaleLayer() | PositionEmbeddingLayer():
            if values.channels == "inputs":
                message = f"{layer.type} acts on inputs, whose channels are finitely many"
                raise _none(message, "put a dense layer or a convolution before it")
            return values._replace(scaled=values.scaled or isinstance(layer, ScaleLayer))
        case LayerNormLayer():
            if not values.centred:
                message = "this layer norm acts on values whose mean at infinite width is not known"
                raise _none(message, "put a dense layer or a convolution before it")
            return values._replace(scaled=layer.affine or values.scaled, normalised=True)
        case ResidualLayer():
            return _after_residual(layer, values)
        case SequenceLayer():
            return require_limit(layer.layers, values, "layers")
        case EnsembleLayer(layers=layers, multiplicity=1):
            return require_limit(layers, values, "layers")
        case EnsembleLayer():
            after = require_limit(layer.layers, values._replace(apart=False), "layers")
            if not after.apart:
                message = f"the members are correlated at infinite width: {OF_MEMBERS}"
                raise _none(message, "end each member in a dense layer or a convolution")
            return after
        case _ if isinstance(layer, OF_NO_LIMIT) or layer.is_added:
            kind = type(layer).model_fields["type"].default
            raise _none(f"{kind} has no kernel at infinite width here", "")
        case _:  # linear
            return values


def require_outputs(layers: Sequence[LayerSpec], *path: str | int) -> None:
    """Raise `SpecError` unless all outputs of a network have the same kernel at infinite width."""
    values = require_limit(layers, INPUTS, *path)
    last = (*path, len(layers) - 1)
    help = "end the network in a dense layer, or in a convolution and global-average"
    if not values.gaussian:
        raise _none("the outputs of the network are not Gaussian at infinite width", help, last)
    if values.normalised:
        raise _none("a layer norm acts on the outputs, which are finitely many", help, last)
    if values.scaled:
        raise _none("a scale acts on the outputs, which are finitely many", help, last)


def _require_before_activation(layer: ActivationLayer, values: Values) -> None:
    if not values.gaussian:
        message = f"{layer.name} acts on values that are not Gaussian at infinite width"
        raise _none(message, "put a dense layer or a convolution before it")
    if values.scaled:
        message = f"{layer.name} acts on channels that were scaled one by one, so that the NTK at"
        help = (
            "put a dense layer or a convolution between (or set affine = false in a layer norm),"
            " and leave out scale"
        )
        raise _none(f"{message} infinite width does not factorise", help)


def _after_residual(layer: ResidualLayer, values: Values) -> Values:
    body = require_limit(layer.body, values, "body")
    shortcut = layer.shortcut or ()
    straight = require_limit(shortcut, values, "shortcut")
    if not _ends_in_weights(layer.body) and not _ends_in_weights(shortcut):
        message = "neither branch ends in weights of its own: at infinite width they are correlated"
        raise _none(message, "end the body or the shortcut in a dense layer or a convolution")
    if body.channels != "inputs" and straight.channels == "inputs":
        message = "the shortcut has only as many channels as the inputs, so that the kernel at"
        help = "give it a shortcut of a dense layer, or of a convolution of kernel 1"
        raise _none(f"{message} infinite width depends on the weights", help)
    return body.added(straight)


def _ends_in_weights(layers: Sequence[LayerSpec]) -> bool:
    match layers[-1] if layers else None:
        case ScaleLayer() | DropoutLayer():
            return _ends_in_weights(layers[:-1])
        case DenseLayer() | ConvolutionLayer() as layer:
            return not is_depthwise(layer)
        case EnsembleLayer(layers=inner) | SequenceLayer(layers=inner):
            return _ends_in_weights(inner)
        case ResidualLayer(body=body, shortcut=shortcut):
            return _ends_in_weights(body) and _ends_in_weights(shortcut or ())
        case _:
            return False


def _none(message: str, help: str, path: KeyPath = ()) -> SpecError:
    return SpecError(Fault("CE203", message, path, "key", help))
