"""ResNeXts and their blocks."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from ceflow.spec.base import Count, Counts, Image, KeyPath, VarianceValue
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models.activations import Activation, unknown_moments
from ceflow.spec.models.model import End, ModelSpec, NoLimit


class Block(ModelSpec):
    """The residual path of a ResNeXt block: 1x1, grouped 3x3 and 1x1 convolutions (CE section 4.2).

    It acts on the 3x3 patch that one output position sees. A skip without weights does not
    contribute to the NTK, and is not part of the block.
    """

    type: Literal["block"] = "block"
    """The residual path of a ResNeXt block."""
    channels: Count = 256
    """Input channels, c_in; also the output channels unless `outputs` or the data set them."""
    widths: Annotated[Counts, Field(min_length=2, max_length=2)]
    """Channels of one group after the 1x1 and after the 3x3 convolution, n_1 and n_2."""
    cardinality: Count = 1
    """Number of groups, m: independent paths whose outputs are summed and divided by sqrt(m)."""
    projection: bool = False
    """Whether the skip is a 1x1 convolution with its own weights, as a part of the block."""
    outputs: Count | None = None
    """Output channels; by default those of the data, or `channels` if there are no data."""
    activation: Activation = "relu"
    """Activation after the 1x1 and after the 3x3 convolution; the last convolution has none."""
    weight_variance: VarianceValue = 2.0
    """Weight variance c of the first two convolutions: each computes sqrt(c/fan-in) W * h."""
    last_variance: VarianceValue = 1.0
    """Weight variance c_out of the last convolution and of the projection."""

    bias_variance: ClassVar = 0.0
    usual_inputs: ClassVar[Literal["rectified"]] = "rectified"
    """Law of the inputs if nothing is known of them: in a network they come from a ReLU."""

    @property
    def inputs(self) -> tuple[int, int, int]:
        """Shape of the patch that one output position sees."""
        return self.channels, 3, 3

    @property
    def has_closed_moments(self) -> bool:
        """True if the moments of an NTK entry are known without drawing weights."""
        return self.why_drawn is None

    @property
    def why_drawn(self) -> str | None:
        """Blocks such as this one, in words, if the moments of an NTK entry are not known."""
        return unknown_moments(self.activation)

    @property
    def multiplicity(self) -> int:
        return self.cardinality

    @property
    def member(self) -> "Block":
        """The path of one group."""
        return self.replaced({"cardinality": 1, "projection": False})

    @property
    def single(self) -> Self:
        return self.replaced({"cardinality": 1})

    @property
    def limit(self) -> Self:
        return self.single.with_widths((math.inf, math.inf))

    @property
    def activations(self) -> frozenset[str]:
        return frozenset({self.activation})

    @property
    def fan_in_sum(self) -> float:
        first, second = self.widths
        return math.fsum((1 / self.channels, 1 / (9 * first), 1 / second))

    def with_widths(self, widths: Sequence[float]) -> Self:
        """Return a copy with other widths, without validation."""
        return self.replaced({"widths": tuple(widths)})

    def with_members(self, widths: Sequence[float], multiplicity: int) -> Self:
        return self.with_widths(widths).replaced({"cardinality": multiplicity})

    def part_with(self, end: End) -> "tuple[KeyPath, Block]":
        return (), self

    def sized(self, *, outputs: int | None = None, **_: Any) -> Self:
        """Return a copy with this number of outputs; the inputs follow from the channels."""
        return self if outputs is None else self.replaced({"outputs": outputs})

    def default_size(self, end: End) -> int:
        return self.channels

    def misfit(self, end: End, image: bool) -> tuple[KeyPath, str]:
        if end == "inputs":
            return ("channels",), "a block takes patches, channels x 3 x 3 inputs"
        return super().misfit(end, image)

    def smaller(self, cost: str) -> str:
        return "fewer channels"


MOST_BLOCKS = 10_000
"""Largest number of blocks of a network: the compiler makes separate layers of each."""


class Resnext(ModelSpec):
    """A ResNet or ResNeXt with BatchNorm: stages of (grouped) bottleneck blocks (CE
    section 4.2).
    """

    type: Literal["resnext"] = "resnext"
    """A ResNet or ResNeXt of bottleneck blocks with batch normalisation."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """First layers. `cifar`: a 3x3 convolution to 64 channels; `imagenet`: a 7x7 convolution with
    stride 2, then 3x3 max pooling with stride 2."""
    blocks: Annotated[Counts, Field(min_length=1, max_length=8)]
    """Number of blocks in each stage. [3, 3, 3] makes 29 layers, [3, 3, 3, 3] 38, [3, 4, 6, 3] 50,
    [3, 4, 23, 3] 101."""
    cardinality: Count = 1
    """Number of groups of every 3x3 convolution, m; with 1 it is a ResNet."""
    base_width: Count
    """Channels of one group in the first stage, d; they double from stage to stage. CE writes "m x
    d d": `37x10d` is cardinality 37 and base width 10."""
    zero_init_residual: bool = False
    """Whether the last normalisation of each residual path starts at scale 0, so that each block is
    its shortcut at the start (Goyal et al. 2017, arXiv:1706.02677, section 5.1)."""
    inputs: Image | None = None
    """Channels, height and width. By default those of the data if they are images; otherwise 3 x 32
    x 32 with the cifar stem, 3 x 224 x 224 with the imagenet stem."""
    outputs: Count | None = None
    """Number of classes. By default that of the data; without data 10 with the cifar stem, 1000
    with the imagenet stem."""

    @property
    def widths_key(self) -> str:
        return "base_width"

    def faults(self) -> list[Fault]:
        if sum(self.blocks) <= MOST_BLOCKS:
            return []
        message = f"a network of more than {MOST_BLOCKS:,} blocks"
        return [Fault("CE104", message, ("blocks",), help="give it fewer")]

    @property
    def multiplicity(self) -> int:
        return self.cardinality

    @property
    def member(self) -> Block:
        """The path of one group through a block of the first stage, on which the variance is
        measured.
        """
        return Block(widths=(self.base_width, self.base_width))

    @property
    def activations(self) -> frozenset[str]:
        return frozenset({"relu"})

    @property
    def widths(self) -> Sequence[int]:
        return self.member.widths

    @property
    def width_count(self) -> int:
        return 1

    @property
    def fan_in_sum(self) -> float:
        return self.member.fan_in_sum

    @property
    def has_batch_norm(self) -> bool:
        return True

    @property
    def members_start_at_zero(self) -> bool:
        return self.zero_init_residual

    @property
    def takes_images(self) -> bool:
        return True

    @property
    def why_no_examples(self) -> str:
        return f"the block of a resnext acts on {self.member.channels} channels"

    @property
    def why_no_limit(self) -> NoLimit:
        message = "a network with batch normalisation has no kernel at infinite width here"
        return NoLimit(message, 'use method = "empirical", or the kernel of a block')

    def with_members(self, widths: Sequence[float], multiplicity: int) -> Self:
        return self.replaced({"base_width": widths[0], "cardinality": multiplicity})

    def part_with(self, end: End) -> "tuple[KeyPath, Resnext]":
        return (), self

    def sized(self, **sizes: Any) -> Self:
        return self.replaced(sizes)

    def default_size(self, end: End) -> int | tuple[int, int, int]:
        side, classes = (224, 1000) if self.stem == "imagenet" else (32, 10)
        return (3, side, side) if end == "inputs" else classes

    def misfit(self, end: End, image: bool) -> tuple[KeyPath, str]:
        if end == "inputs" and not image:
            help = "the data are no images: give inputs = [channels, height, width] that fit them"
            return (end,), help
        return super().misfit(end, image)

    def smaller(self, cost: str) -> str:
        images = "" if cost == "parameters" else " or smaller images"
        return f"fewer blocks, fewer outputs, another stem{images}"
