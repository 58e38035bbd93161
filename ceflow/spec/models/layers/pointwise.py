"""Layers that leave every value in its place: activations, norms, scales, embeddings, dropout."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ceflow.spec.base import VarianceValue
from ceflow.spec.models.activations import Activation
from ceflow.spec.models.layers.base import LayerSpec, Shape


class ActivationLayer(LayerSpec):
    """A nonlinearity; its name alone stands for it."""

    type: Literal["activation"] = "activation"
    """A nonlinearity on each value; `"relu"` is short for `{type = "activation", name =
    "relu"}`."""
    name: Activation
    """The activation function."""


class BatchNormLayer(LayerSpec):
    """Normalisation of each channel over a batch and all positions, then a scale and a shift."""

    type: Literal["batch-norm"] = "batch-norm"
    """Batch normalisation; outside training its running statistics are used, which start at mean 0
    and variance 1. It has no kernel at infinite width."""


class LayerNormLayer(LayerSpec):
    """Normalisation of each example by itself."""

    type: Literal["layer-norm"] = "layer-norm"
    """Layer normalisation: each example by its own mean and variance."""
    axes: Literal["all", "channels"] = "all"
    """What the mean and the variance are taken over: all channels and positions, or the channels
    at each position. The units of a vector are channels."""
    affine: bool = True
    """Whether each channel has a learned scale and shift, which start at 1 and 0. They add
    `S + 1` to the NTK at infinite width, where S is the covariance after the layer."""
    epsilon: Annotated[float, Field(ge=1e-12, le=1)] = 1e-5
    """Number added to the variance."""


class ScaleLayer(LayerSpec):
    """A learned factor of each channel."""

    type: Literal["scale"] = "scale"
    """A learned factor for each channel; the units of a vector are channels. It adds `S` to the NTK
    at infinite width, where S is the covariance before the layer."""
    initial: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Initial value of all factors."""


class PositionEmbeddingLayer(LayerSpec):
    """A learned vector for each position of an image, added to it."""

    type: Literal["position-embedding"] = "position-embedding"
    """A learned vector over the channels, added at each position; without it, `attention` does not
    know where positions are. At infinite width it adds its variance to S and T at equal
    positions."""
    variance: VarianceValue = 1.0
    """Variance of the initial vectors."""

    is_spatial: ClassVar = True

    def once(self, shape: Shape) -> Shape:
        return self.image(shape)


class DropoutLayer(LayerSpec):
    """Random zeros in training."""

    type: Literal["dropout"] = "dropout"
    """Dropout: in training, a random part of the values is 0 and the rest is scaled up. Elsewhere
    it does nothing."""
    rate: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Probability that a value is dropped."""
