"""Networks with a narrow layer in the middle."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from ceflow.spec.base import Width
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.model import NoLimit
from ceflow.spec.models.network import Network
from ceflow.spec.models.parts import Part
from ceflow.spec.models.segmented import Pieces, Segmented


class Bottleneck(Segmented):
    """A network with a narrow layer in the middle, `F = f o g` (BN section 2): an encoder `g` with
    `size` linear outputs, followed by a decoder `f`.

    With finite widths it is an ordinary network. If both halves are infinitely wide, only the
    bottleneck is finite, and the kernels change during training (BN theorem 3.2, which lets the
    encoder be any network whose kernel is known); if `size` is infinite too, they stay fixed.

    >>> wide = Mlp(widths=[math.inf], weight_variance=1.0)
    >>> Bottleneck(size=10, encoder=wide, decoder=wide).decoder_scale   # c/d
    0.1
    """

    type: Literal["bottleneck"] = "bottleneck"
    """A network with a narrow layer in the middle."""
    size: Width
    """Number of units of the bottleneck, d. With `inf` there is no bottleneck: the kernels stay
    fixed."""
    encoder: Part
    """The first half, an [mlp](models.md#mlp) or a table of type [network](models.md#network). Its
    outputs are the values in the bottleneck. The `inputs` of the whole network are set here. An
    infinitely wide one has a kernel at infinite width."""
    decoder: Part
    """The second half, an [mlp](models.md#mlp) or a table of type [network](models.md#network). Its
    inputs are the values in the bottleneck. The `outputs` of the whole network are set here. An
    infinitely wide decoder is an mlp of any depth, or layers that are those of one."""

    piece_names: ClassVar = ("encoder", "decoder")
    usual_kinds: ClassVar[Mapping[str, Any]] = {"encoder": Mlp, "decoder": Mlp}

    @property
    def pieces(self) -> Pieces:
        return {("encoder",): self.encoder, ("decoder",): self.decoder}

    @property
    def between(self) -> tuple[float]:
        return (self.size,)

    @property
    def bottlenecks(self) -> tuple[Self]:
        return (self,)

    def with_pieces(self, networks: Iterable[Mlp | Network]) -> Self:
        return self.replaced(dict(zip(("encoder", "decoder"), networks, strict=True)))

    @property
    def wide_decoder(self) -> Mlp:
        """The decoder, which is an mlp or layers that are those of an mlp: as every infinitely wide
        one.
        """
        found = self.decoder.as_mlp
        assert found is not None, "the document was checked"
        return found

    @property
    def has_plain_decoder(self) -> bool:
        """True if an infinitely wide decoder is that of the paper (BN theorem 3.2): one hidden
        layer without biases.
        """
        decoder = self.wide_decoder
        return len(decoder.widths) == 1 and not decoder.bias_variance

    @property
    def decoder_scale(self) -> float:
        """Factor of `x.x'` in the covariance of an infinitely wide decoder's first layer:
        c/size.
        """
        return self.wide_decoder.weight_variance / self.size

    @property
    def why_no_limit(self) -> NoLimit | None:
        reason = super().why_no_limit
        if not reason or self.size == math.inf:
            return reason
        return reason._replace(help=f"set size = inf, or {reason.help}")

    def _count_faults(self) -> Iterator[Fault]:
        if self.size == math.inf and math.inf not in (*self.encoder.widths, *self.decoder.widths):
            message = "an infinite bottleneck between finite layers"
            yield Fault("CE203", message, ("size",), help="give it a number of units")
