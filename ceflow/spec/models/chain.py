"""Networks with several narrow layers."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from ceflow.spec.base import Widths
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models.bottleneck import Bottleneck
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.network import Network
from ceflow.spec.models.parts import Part
from ceflow.spec.models.segmented import Pieces, Segmented

Segments = Annotated[Sequence[Part], AfterValidator(tuple), Field(min_length=2)]


class Chain(Segmented):
    """Networks in sequence, the segments, with a narrow layer between one and the next. Two
    segments are a [bottleneck](models.md#bottleneck), and the first of more is its encoder.

    With finite widths it is an ordinary network. If all segments are infinitely wide, each one
    moves in training by its own kernels, driven by the error that comes back through the Jacobians
    of those after it.

    >>> wide = Mlp(widths=[math.inf], weight_variance=1.0)
    >>> chain = Chain(segments=[wide, wide, wide], sizes=[10, 5])
    >>> [bottleneck.size for bottleneck in chain.bottlenecks]
    [10, 5]
    """

    type: Literal["chain"] = "chain"
    """A network with several narrow layers."""
    segments: Segments
    """The networks in sequence, two or more, each an [mlp](models.md#mlp) or a table of type
    [network](models.md#network). The `inputs` of the whole network are set in the first, and the
    `outputs` in the last. Infinitely wide ones are as the
    [encoder and decoder](models.md#bottleneck) of a bottleneck: the first as an encoder, the others
    as decoders."""
    sizes: Widths
    """Numbers of units of the narrow layers between the segments, one fewer than there are
    segments."""

    piece_names: ClassVar = ("segment", "segment after a bottleneck")
    usual_kinds: ClassVar[Mapping[str, Any]] = {"segments": Mlp}

    @property
    def pieces(self) -> Pieces:
        return {("segments", index): each for index, each in enumerate(self.segments)}

    @property
    def between(self) -> Sequence[float]:
        return self.sizes

    @property
    def bottlenecks(self) -> tuple[Bottleneck, ...]:
        pairs = zip(self.sizes, pairwise(self.segments), strict=False)
        return tuple(
            Bottleneck.model_construct(size=size, encoder=before, decoder=after)
            for size, (before, after) in pairs
        )

    def with_pieces(self, networks: Iterable[Mlp | Network]) -> Self:
        return self.replaced({"segments": tuple(networks)})

    def _count_faults(self) -> Iterator[Fault]:
        count, wanted = len(self.sizes), len(self.segments) - 1
        if count != wanted:
            message = f"sizes has {count} of {wanted} numbers"
            help = f"give one for each bottleneck between the {wanted + 1} segments"
            yield Fault("CE204", message, ("sizes",), help=help)
        for index, size in enumerate(self.sizes):
            if size == math.inf:
                message = "a bottleneck in a chain has a finite number of units, not inf"
                help = "give it a number, or write the two segments around it as one"
                yield Fault("CE203", message, ("sizes", index), help=help)
