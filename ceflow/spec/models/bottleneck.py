"""Networks with a narrow layer in the middle."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Never, Self

from ceflow.spec.base import KeyPath, Width
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models.activations import ADDED
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.model import End, ModelSpec, NoLimit


class Bottleneck(ModelSpec):
    """A network with a narrow layer in the middle, `F = f o g` (BN section 2): an encoder `g` with
    `size` linear outputs, followed by a decoder `f`.

    With finite widths it is an ordinary network. If both halves are infinitely wide, only the
    bottleneck is finite, and the kernels change during training (BN theorem 3.2); if `size` is
    infinite too, they stay fixed.

    >>> wide = Mlp(widths=[math.inf], weight_variance=1.0)
    >>> Bottleneck(size=10, encoder=wide, decoder=wide).decoder_scale   # c/d
    0.1
    """

    type: Literal["bottleneck"] = "bottleneck"
    """A network with a narrow layer in the middle."""
    size: Width
    """Number of units of the bottleneck, d. With `inf` there is no bottleneck: the kernels stay
    fixed."""
    encoder: Mlp
    """The first half, an [mlp](models.md#mlp). Its outputs are the values in the bottleneck. The
    `inputs` of the whole network are set here."""
    decoder: Mlp
    """The second half, an [mlp](models.md#mlp). Its inputs are the values in the bottleneck. The
    `outputs` of the whole network are set here. An infinitely wide decoder has one hidden layer and
    no bias."""

    has_members: ClassVar = False
    has_bottleneck: ClassVar = True
    widths_key: ClassVar = "encoder.widths"
    multiplicity: ClassVar = 1

    @property
    def widths(self) -> tuple[float, ...]:
        """Widths of all hidden layers, the bottleneck included."""
        return (*self.encoder.widths, self.size, *self.decoder.widths)

    @property
    def is_wide_bottleneck(self) -> bool:
        """True if both halves are infinitely wide, and the bottleneck is not."""
        return not self.is_finite and self.size != math.inf

    @property
    def decoder_scale(self) -> float:
        """Factor of `x.x'` in the decoder's first covariance: c/size."""
        return self.decoder.weight_variance / self.size

    @property
    def parts(self) -> dict[str, Mlp]:
        """Encoder and decoder, with as many outputs and inputs as the bottleneck has units."""
        encoder = self.encoder.sized(outputs=self.size)
        return {"encoder": encoder, "decoder": self.decoder.sized(inputs=self.size)}

    @property
    def member(self) -> Never:
        raise TypeError("a network with a bottleneck repeats nothing")

    @property
    def limit(self) -> Self:
        return self.replaced({"encoder": self.encoder.limit, "decoder": self.decoder.limit})

    @property
    def activations(self) -> frozenset[str]:
        return self.encoder.activations | self.decoder.activations

    @property
    def why_no_limit(self) -> NoLimit | None:
        if self.size == math.inf:
            return super().why_no_limit
        message = "with a finite bottleneck the kernel depends on the weights that are drawn"
        return NoLimit(message, 'set size = inf, or use finite widths and method = "empirical"')

    def with_members(self, widths: Sequence[float], multiplicity: int) -> Never:
        raise TypeError("a network with a bottleneck has no ensembles in its family")

    def part_with(self, end: End) -> tuple[KeyPath, Mlp]:
        return (("encoder",), self.encoder) if end == "inputs" else (("decoder",), self.decoder)

    def sized(self, **sizes: Any) -> Self:
        ends = {"encoder": "inputs", "decoder": "outputs"}
        given = {half: end for half, end in ends.items() if end in sizes}
        update = {
            half: getattr(self, half).sized(**{end: sizes[end]}) for half, end in given.items()
        }
        return self.replaced(update)

    def faults(self) -> list[Fault]:
        return [*self._size_faults(), *self._width_faults(), *self._kink_faults()]

    def _kink_faults(self) -> Iterator[Fault]:
        for half in ("encoder", "decoder"):
            if getattr(self, half).kinks & {*ADDED}:
                message = "a bottleneck takes no activation of a plugin that has kinks"
                yield Fault("CE203", message, (half, "activation"), help="take a smooth one")

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
            path: KeyPath = ("decoder", "bias_variance")
            yield Fault("CE203", message, path, help="leave it out")
