"""Networks with a narrow layer in the middle."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Never, Self

from ceflow.spec.base import KeyPath, Width
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models.activations import ADDED
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.model import End, ModelSpec, NoLimit
from ceflow.spec.models.network import Network
from ceflow.spec.models.parts import Part


class Bottleneck(ModelSpec):
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

    has_bottleneck: ClassVar = True
    multiplicity: ClassVar = 1
    usual_kinds: ClassVar[Mapping[str, Any]] = {"encoder": Mlp, "decoder": Mlp}

    @property
    def has_members(self) -> bool:
        return False

    @property
    def has_one_activation(self) -> bool:
        return self.encoder.has_one_activation and self.decoder.has_one_activation

    @property
    def has_batch_norm(self) -> bool:
        return self.encoder.has_batch_norm or self.decoder.has_batch_norm

    @property
    def takes_images(self) -> bool:
        return self.encoder.takes_images

    @property
    def widths_key(self) -> str:
        return f"encoder.{self.encoder.widths_key}"

    @property
    def widths(self) -> tuple[float, ...]:
        """Widths of all hidden layers, the bottleneck included."""
        return (*self.encoder.widths, self.size, *self.decoder.widths)

    @property
    def is_wide_bottleneck(self) -> bool:
        """True if both halves are infinitely wide, and the bottleneck is not."""
        return not self.is_finite and self.size != math.inf

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
    def parts(self) -> dict[str, Mlp | Network]:
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
            return super().why_no_limit or self._why_no_part
        message = "with a finite bottleneck the kernel depends on the weights that are drawn"
        return NoLimit(message, 'set size = inf, or use finite widths and method = "empirical"')

    @property
    def _why_no_part(self) -> NoLimit | None:
        """Reason why a half has no kernel at infinite width."""
        for half in ("encoder", "decoder"):
            reason = getattr(self, half).why_no_limit
            if reason:
                return reason._replace(path=(half, *reason.path))
        return None

    def with_members(self, widths: Sequence[float], multiplicity: int) -> Never:
        raise TypeError("a network with a bottleneck has no ensembles in its family")

    def at_width(self, width: int) -> Self:
        """Return a copy with this width in every layer of both halves, without validation."""
        halves = {"encoder": self.encoder, "decoder": self.decoder}
        return self.replaced({name: half.at_width(width) for name, half in halves.items()})

    def part_with(self, end: End) -> tuple[KeyPath, Mlp | Network]:
        half = "encoder" if end == "inputs" else "decoder"
        return (half,), self.parts[half]

    def sized(self, **sizes: Any) -> Self:
        ends = {"encoder": "inputs", "decoder": "outputs"}
        given = {half: end for half, end in ends.items() if end in sizes}
        update = {
            half: getattr(self, half).sized(**{end: sizes[end]}) for half, end in given.items()
        }
        return self.replaced(update)

    def faults(self) -> list[Fault]:
        found = [*self._size_faults(), *self._width_faults(), *self._kink_faults()]
        return found or [*self._part_faults()]

    def _kink_faults(self) -> Iterator[Fault]:
        for name, half in (("encoder", self.encoder), ("decoder", self.decoder)):
            if half.kinks & {*ADDED}:
                message = "a bottleneck takes no activation of a plugin that has kinks"
                key = "activation" if half.has_one_activation else half.widths_key
                yield Fault("CE203", message, (name, key), help="take a smooth one")

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
            path: KeyPath = ("encoder", self.encoder.widths_key)
            yield Fault("CE203", message, path, help=help)
        elif math.inf in outer:
            yield from self._wide_faults()

    def _wide_faults(self) -> Iterator[Fault]:
        """Find why the kernels of infinitely wide halves are not known."""
        if reason := self.encoder.why_no_limit:
            yield Fault("CE203", reason.message, ("encoder", *reason.path), "key", reason.help)
        elif not self.encoder.ends_in_weights:
            message = "the units of the bottleneck are no outputs of a layer with weights"
            help = "end the encoder in a dense layer, or in a convolution and global-average"
            path: KeyPath = ("encoder", self.encoder.widths_key)
            yield Fault("CE203", message, path, help=help)
        if self.decoder.as_mlp is None:
            message = "the kernels of an infinitely wide decoder are known for dense layers, with"
            help = 'use layers = [{type = "dense", units = inf}, "relu", "dense"], or an mlp'
            path = ("decoder", "layers")
            yield Fault("CE203", f"{message} one activation between", path, help=help)

    def _part_faults(self) -> Iterator[Fault]:
        """Find layers that do not fit, or do not end in as many units as the bottleneck has."""
        for name, half in self.parts.items():
            for fault in half.faults():
                if not (name == "encoder" and self.size == math.inf and fault.code == "CE203"):
                    yield fault.below(name)
