"""Models: what a network is. Its meaning (shapes, costs, modules) is in `ceflow.compiler`."""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ceflow.spec.base import (
    Count,
    Counts,
    Image,
    Spec,
    Steps,
    Variance,
    Width,
    Widths,
)
from ceflow.spec.diagnostics import Fault

Activation = Literal[
    "relu",
    "leaky-relu",
    "abs",
    "linear",
    "erf",
    "gelu",
    "sin",
    "cos",
    "tanh",
    "softplus",
    "silu",
]
"""A leaky ReLU has slope 0.01 below 0; gelu is the exact one, x Phi(x)."""

KINKED = ("relu", "leaky-relu", "abs")
"""Activations that are not analytic."""

PIECEWISE_LINEAR = (*KINKED, "linear")
"""Activations of one slope below 0 and one above: a decoder's kernels have closed forms."""

CLOSED_MOMENTS = ("relu", "linear")
"""Activations whose NTK has moments in closed form (`ceflow.variance.exact`)."""


class Mlp(Spec):
    """A fully connected network in NTK parameterisation (CE eq. 3), without bias by default."""

    type: Literal["mlp"] = "mlp"
    """A fully connected network. A member, an encoder and a decoder need not say so."""
    widths: Widths
    """Widths of the hidden layers, first to last; `inf` is a width."""
    inputs: Count | None = None
    """Number of inputs; from the data where there is data."""
    outputs: Count | None = None
    """Number of outputs; from the data where there is data."""
    activation: Activation = "relu"
    """Applied after every hidden layer, not after the output layer."""
    weight_variance: Variance = 2.0
    """c of the hidden layers: each computes sqrt(c/fan-in) W h, W iid standard normal."""
    last_variance: Variance = 1.0
    """The same of the output layer."""
    bias_variance: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    """Variance of the biases of all layers, the output layer included; at 0 there are none."""

    @property
    def has_closed_moments(self) -> bool:
        """True where theory gives the moments of an NTK entry without drawing weights."""
        return self.finite and self.activation in CLOSED_MOMENTS and not self.bias_variance

    @property
    def finite(self) -> bool:
        """True where no layer is infinitely wide."""
        return all(width != math.inf for width in self.widths)


class Ensemble(Spec):
    """A collegial ensemble: the sum of independent members over sqrt(multiplicity) (CE eq. 4)."""

    type: Literal["ensemble"] = "ensemble"
    """A collegial ensemble."""
    multiplicity: Count
    """Number of members, m."""
    member: Mlp
    """The network that every member is, an [mlp](models.md#mlp) with weights of its own; `inputs`
    and `outputs` stand here."""

    @property
    def finite(self) -> bool:
        """True where no layer is infinitely wide."""
        return self.member.finite


class Block(Spec):
    """The residual path of a ResNeXt block: 1x1, grouped 3x3 and 1x1 (CE section 4.2).

    It acts on the patch of 3x3 positions that one output position sees. A skip without weights
    has no part in the NTK, and is no part of the block.
    """

    type: Literal["block"] = "block"
    """The residual path of a ResNeXt block."""
    channels: Count = 256
    """Channels in, c_in; and channels out where `outputs` does not say otherwise."""
    widths: Annotated[Counts, Field(min_length=2, max_length=2)]
    """Channels of one group behind the 1x1 and behind the 3x3 convolution, n_1 and n_2."""
    cardinality: Count = 1
    """Number of groups, m: independent paths, their outputs summed over sqrt(m)."""
    projection: bool = False
    """Whether the skip is a 1x1 convolution with weights of its own, and part of the block."""
    outputs: Count | None = None
    """Channels out; from the data where there is data, else as many as `channels`."""
    activation: Activation = "relu"
    """Applied after the 1x1 and after the 3x3 convolution, not after the last."""
    weight_variance: Variance = 2.0
    """c of the first two convolutions: each computes sqrt(c/fan-in) W * h."""
    last_variance: Variance = 1.0
    """c_out: the same of the last one, and of the projection."""

    finite: ClassVar = True
    bias_variance: ClassVar = 0.0

    @property
    def inputs(self) -> tuple[int, int, int]:
        """The patch that one output position sees."""
        return self.channels, 3, 3

    @property
    def has_closed_moments(self) -> bool:
        """True where theory gives the moments of an NTK entry without drawing weights."""
        return self.activation in CLOSED_MOMENTS


MOST_BLOCKS = 10_000
"""Blocks that a network may have: each is a layer of its own to all that follows."""


class Resnext(Spec):
    """A ResNet or ResNeXt with BatchNorm: stages of bottleneck blocks, grouped (CE section 4.2)."""

    type: Literal["resnext"] = "resnext"
    """A ResNet, or ResNeXt, of bottleneck blocks with batch normalisation."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """`cifar`: a 3x3 convolution to 64 channels; `imagenet`: a 7x7 one of stride 2, then the
    maximum over 3x3 with stride 2."""
    blocks: Annotated[Counts, Field(min_length=1, max_length=8)]
    """Blocks of each stage. [3, 3, 3] makes 29 layers, [3, 3, 3, 3] 38, [3, 4, 6, 3] 50, [3, 4, 23,
    3] 101."""
    cardinality: Count = 1
    """Number of groups of every 3x3 convolution, m; 1 makes a ResNet."""
    base_width: Count
    """Channels of one group in the first stage, d; each stage has twice those of the one before. "m
    x d d" in CE: `37x10d` is cardinality 37 and base width 10."""
    inputs: Image | None = None
    """Channels, height and width. From the data where those are images; else 3 x 32 x 32 with the
    cifar stem, 3 x 224 x 224 with the imagenet stem."""
    outputs: Count | None = None
    """Number of classes. From the data where there is data; else 10 with the cifar stem, 1000 with
    the imagenet stem."""

    finite: ClassVar = True

    def faults(self) -> list[Fault]:
        if sum(self.blocks) <= MOST_BLOCKS:
            return []
        message = f"a network of more than {MOST_BLOCKS:,} blocks"
        return [Fault("CE104", message, ("blocks",), help="give it fewer")]

    @property
    def block(self) -> Block:
        """A group's path through a block of the first stage: what its variance is measured of."""
        return Block(widths=(self.base_width, self.base_width))


class Bottleneck(Spec):
    """A network with a narrow layer in its middle, `F = f o g` (BN section 2): an encoder `g` onto
    `size` units, linear at its end, and a decoder `f` behind them.

    With finite widths an ordinary network. With infinitely wide halves the bottleneck alone is
    finite, and the kernels move (BN theorem 3.2); if `size` too is infinite, they do not.

    >>> wide = Mlp(widths=[math.inf], weight_variance=1.0)
    >>> Bottleneck(size=10, encoder=wide, decoder=wide).decoder_scale   # c/d
    0.1
    """

    type: Literal["bottleneck"] = "bottleneck"
    """A network with a narrow layer in its middle."""
    size: Width
    """Units of the bottleneck, d. With `inf` there is none: the kernels do not move."""
    encoder: Mlp
    """The network in front, an [mlp](models.md#mlp). Its outputs are the values in the bottleneck;
    `inputs` stands here."""
    decoder: Mlp
    """The network behind, an [mlp](models.md#mlp); infinitely wide, it has one hidden layer and no
    bias. Its inputs are the values in the bottleneck; `outputs` stands here."""

    @property
    def widths(self) -> tuple[float, ...]:
        """The widths of all hidden layers, the bottleneck included."""
        return (*self.encoder.widths, self.size, *self.decoder.widths)

    @property
    def finite(self) -> bool:
        """True where no layer is infinitely wide."""
        return all(width != math.inf for width in self.widths)

    @property
    def is_wide(self) -> bool:
        """True where both halves are infinitely wide, and the bottleneck is not."""
        return not self.finite and self.size != math.inf

    @property
    def decoder_scale(self) -> float:
        """The factor before `x.x'` in the decoder's first covariance: c/size."""
        return self.decoder.weight_variance / self.size

    def faults(self) -> list[Fault]:
        return [*self._size_faults(), *self._width_faults()]

    def _size_faults(self) -> Iterator[Fault]:
        ends = {("encoder", "outputs"): self.encoder.outputs}
        ends |= {("decoder", "inputs"): self.decoder.inputs}
        for path, given in ends.items():
            if given is not None and given != self.size:
                message = f"the {path[0]} has {given} {path[1]}, the bottleneck {self.size} units"
                yield Fault("CE204", message, path, help="leave it out")

    def _width_faults(self) -> Iterator[Fault]:
        outer = (*self.encoder.widths, *self.decoder.widths)
        if self.size == math.inf and math.inf not in outer:
            message = "an infinite bottleneck between finite layers"
            yield Fault("CE203", message, ("size",), help="give it a number of units")
        elif math.inf in outer and len({width == math.inf for width in outer}) > 1:
            message = "one layer beside the bottleneck is infinitely wide, another is not"
            help = "make the widths of encoder and decoder all inf, or all finite"
            yield Fault("CE203", message, ("encoder", "widths"), help=help)
        elif math.inf in outer and len(self.decoder.widths) > 1:
            message = "the kernels of an infinitely wide decoder are known for one hidden layer"
            yield Fault("CE203", message, ("decoder", "widths"), help="use widths = [inf]")
        elif math.inf in outer and self.decoder.bias_variance:
            message = "the kernels of an infinitely wide decoder are known without bias"
            path: Steps = ("decoder", "bias_variance")
            yield Fault("CE203", message, path, help="leave it out")


Model = Annotated[Mlp | Ensemble | Block | Resnext | Bottleneck, Field(discriminator="type")]

Member = Mlp | Block
"""A network that is repeated."""


def member_of(model: Model) -> Member:
    """Give what is repeated: an ensemble's member, one group of a block; else the model itself."""
    if isinstance(model, Ensemble):
        return model.member
    if isinstance(model, Resnext):
        return model.block
    if isinstance(model, Bottleneck):
        raise TypeError("a network with a bottleneck repeats nothing")
    if isinstance(model, Block):
        return model.but({"cardinality": 1, "projection": False})
    return model


def activations_of(model: Model) -> set[str]:
    """Collect the activations in a network."""
    if isinstance(model, Bottleneck):
        return {model.encoder.activation, model.decoder.activation}
    if isinstance(model, Ensemble):
        return {model.member.activation}
    return {"relu" if isinstance(model, Resnext) else model.activation}


def widths_of(model: Model) -> tuple[float, ...]:
    """Give the hidden widths of a network, or of what it repeats."""
    return tuple((model if isinstance(model, Bottleneck) else member_of(model)).widths)
