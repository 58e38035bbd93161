"""Layers that leave every value in its place: activations, norms, scales, embeddings, dropout."""

from dataclasses import dataclass

from ceflow.compiler.nodes.base import Image, Layer, Shape, channels, units


@dataclass(frozen=True)
class Activation(Layer):
    """A nonlinearity on each coordinate; its FLOPs are not counted."""

    name: str
    inputs: Shape

    parameters = 0
    flops = 0

    @property
    def suffix(self) -> str:
        return self.name

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalisation of each channel over a batch and its positions, then a scale and a shift."""

    inputs: Shape
    initial: float = 1.0
    """Initial value of the scales; the shifts start at 0."""

    flops = 0

    @property
    def parameters(self) -> float:
        return 2 * channels(self.inputs)

    @property
    def title(self) -> str:
        return "batch-norm" + ("" if self.initial == 1 else f" from {self.initial:g}")

    @property
    def suffix(self) -> str:
        return self.title

    @property
    def starts_normal(self) -> bool:
        return False

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalisation of each example over its channels, and over all positions or at each of them,
    then a scale and a shift of each channel.
    """

    inputs: Shape
    by_position: bool = False
    """True if each position is normalised by itself."""
    affine: bool = True
    """True if each channel has a scale and a shift, which start at 1 and 0."""
    epsilon: float = 1e-5
    """Number added to the variance."""

    flops = 0

    @property
    def parameters(self) -> float:
        return 2 * channels(self.inputs) if self.affine else 0

    @property
    def title(self) -> str:
        return "layer-norm"

    @property
    def suffix(self) -> str:
        return self.title

    @property
    def starts_normal(self) -> bool:
        return not self.affine

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class Scale(Layer):
    """A factor of each channel; all start at `initial`."""

    inputs: Shape
    initial: float

    flops = 0

    @property
    def parameters(self) -> float:
        return channels(self.inputs)

    @property
    def starts_normal(self) -> bool:
        return False

    @property
    def suffix(self) -> str:
        return "scale"

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class PositionEmbedding(Layer):
    """A vector for each position of an image, added to its channels there."""

    inputs: Image
    variance: float
    """Variance of the initial vectors."""
    standard: bool = False
    """True if the scale is in the initial vectors, not an explicit factor."""

    flops = 0

    @property
    def parameters(self) -> float:
        return units(self.inputs)

    @property
    def starts_normal(self) -> bool:
        return not self.standard

    @property
    def title(self) -> str:
        return "position-embedding"

    @property
    def suffix(self) -> str:
        return self.title

    @property
    def outputs(self) -> Image:
        return self.inputs


@dataclass(frozen=True)
class Dropout(Layer):
    """Zeros in place of a random part of the values, in training; otherwise the identity."""

    inputs: Shape
    rate: float

    parameters = 0
    flops = 0

    @property
    def suffix(self) -> str:
        return f"dropout {self.rate:g}"

    @property
    def outputs(self) -> Shape:
        return self.inputs
