"""Networks in sequence, with a narrow layer between one and the next."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar, Never, Self

from ceflow.spec.base import KeyPath
from ceflow.spec.diagnostics import Fault, dotted
from ceflow.spec.models.activations import ADDED
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.model import End, ModelSpec, NoLimit
from ceflow.spec.models.network import Network

if TYPE_CHECKING:
    from ceflow.spec.models.bottleneck import Bottleneck

Widths = Sequence[float]
Pieces = Mapping[KeyPath, Mlp | Network]


class Segmented(ModelSpec):
    """Holds what a bottleneck and a chain of several have in common.

    A kind defines

    - `pieces`: the networks in sequence, by their key paths below the model;
    - `between`: the numbers of units of the narrow layers between them;
    - `bottlenecks`: each narrow layer with the networks before and after it;
    - `with_pieces(networks)`: the model with others in their place, not validated;
    - `piece_names`: what the first of them and the others are called in messages.
    """

    multiplicity: ClassVar = 1
    piece_names: ClassVar[tuple[str, str]]

    @property
    @abstractmethod
    def pieces(self) -> Pieces:
        """The networks in sequence, by their key paths below the model."""

    @property
    @abstractmethod
    def between(self) -> Widths:
        """Numbers of units of the narrow layers."""

    @property
    @abstractmethod
    def bottlenecks(self) -> "tuple[Bottleneck, ...]": ...

    @abstractmethod
    def with_pieces(self, networks: Iterable[Mlp | Network]) -> Self:
        """Return a copy with other networks in sequence, without validation."""

    @property
    def has_members(self) -> bool:
        return False

    @property
    def has_one_activation(self) -> bool:
        return all(piece.has_one_activation for piece in self.pieces.values())

    @property
    def has_batch_norm(self) -> bool:
        return any(piece.has_batch_norm for piece in self.pieces.values())

    @property
    def takes_images(self) -> bool:
        return self._ends["inputs"][1].takes_images

    @property
    def widths_key(self) -> str:
        path, first = self._ends["inputs"]
        return f"{dotted(path)}.{first.widths_key}"

    @property
    def widths(self) -> tuple[float, ...]:
        """Widths of all hidden layers, the narrow ones included."""
        parts = zip_longest(self.pieces.values(), self.between[: len(self.pieces) - 1])
        return tuple(
            width
            for piece, size in parts
            for width in (*piece.widths, *(() if size is None else (size,)))
        )

    @property
    def is_narrow(self) -> bool:
        """True if no layer between the networks is infinitely wide."""
        return math.inf not in self.between

    @property
    def is_wide_bottleneck(self) -> bool:
        """True if all networks are infinitely wide, and no layer between them is."""
        return not self.is_finite and self.is_narrow

    @property
    def parts(self) -> Pieces:
        """The networks with as many outputs and inputs as the layers between them have units."""
        between = self.between[: len(self.pieces) - 1]
        inputs = [{}, *({"inputs": size} for size in between)]
        outputs = [{"outputs": size} for size in between]
        each = zip_longest(self.pieces.items(), inputs, outputs, fillvalue={})
        return {path: piece.sized(**before, **after) for (path, piece), before, after in each}

    @property
    def member(self) -> Never:
        raise TypeError("a network with a bottleneck repeats nothing")

    @property
    def limit(self) -> Self:
        return self.with_pieces(piece.limit for piece in self.pieces.values())

    @property
    def activations(self) -> frozenset[str]:
        return frozenset[str]().union(*(piece.activations for piece in self.pieces.values()))

    @property
    def why_no_limit(self) -> NoLimit | None:
        if not self.is_narrow:
            return super().why_no_limit or self._why_no_part
        message = "with a finite bottleneck the kernel depends on the weights that are drawn"
        return NoLimit(message, 'use finite widths and method = "empirical"')

    @property
    def _why_no_part(self) -> NoLimit | None:
        """Reason why one of the networks has no kernel at infinite width."""
        for path, piece in self.pieces.items():
            if reason := piece.why_no_limit:
                return reason._replace(path=(*path, *reason.path))
        return None

    def with_members(self, widths: Sequence[float], multiplicity: int) -> Never:
        raise TypeError("a network with a bottleneck has no ensembles in its family")

    def at_width(self, width: int) -> Self:
        """Return a copy with this width in every layer but the narrow ones, without validation."""
        return self.with_pieces(piece.at_width(width) for piece in self.pieces.values())

    def part_with(self, end: End) -> tuple[KeyPath, Mlp | Network]:
        path, _ = self._ends[end]
        return path, self.parts[path]

    def sized(self, **sizes: Any) -> Self:
        pieces = dict(self.pieces)
        for end, (path, _) in self._ends.items():
            if end in sizes:
                pieces[path] = pieces[path].sized(**{end: sizes[end]})
        return self.with_pieces(pieces.values())

    @property
    def _ends(self) -> dict[End, tuple[KeyPath, Mlp | Network]]:
        """The first and the last of the networks."""
        first, *_, last = self.pieces.items()
        return {"inputs": first, "outputs": last}

    def faults(self) -> list[Fault]:
        found = [*self._count_faults()]
        found = found or [*self._size_faults(), *self._width_faults(), *self._kink_faults()]
        return found or [*self._part_faults()]

    def _count_faults(self) -> Iterator[Fault]:
        """Find what is wrong with the number of layers between."""
        yield from ()

    def _kink_faults(self) -> Iterator[Fault]:
        for path, piece in self.pieces.items():
            if piece.kinks & {*ADDED}:
                message = "a bottleneck takes no activation of a plugin that has kinks"
                key = "activation" if piece.has_one_activation else piece.widths_key
                yield Fault("CE203", message, (*path, key), help="take a smooth one")

    def _size_faults(self) -> Iterator[Fault]:
        """Find sizes that a network gives itself and that are not those of the narrow layers."""
        for name, (path, piece), sized in zip(
            self._names(), self.pieces.items(), self.parts.values(), strict=True
        ):
            ends: tuple[End, ...] = ("inputs", "outputs")
            for end in ends:
                given, size = getattr(piece, end), getattr(sized, end)
                if given is not None and given != size:
                    message = f"the {name} has {given} {end}, the bottleneck {size} units"
                    yield Fault("CE204", message, (*path, end), help="leave it out")

    def _names(self) -> Iterator[str]:
        """Yield what the networks are called."""
        first, other = self.piece_names
        yield first
        yield from [other] * (len(self.pieces) - 1)

    def _width_faults(self) -> Iterator[Fault]:
        pieces = self.pieces.items()
        outer = [width == math.inf for _, piece in pieces for width in piece.widths]
        if any(outer) and not all(outer):
            message = "one layer beside the bottleneck is infinitely wide, another is not"
            help = "make all widths inf, or all finite"
            odd = next((path, piece) for path, piece in pieces if {*piece.widths} != {math.inf})
            yield Fault("CE203", message, (*odd[0], odd[1].widths_key), help=help)
        elif any(outer):
            yield from self._wide_faults()

    def _wide_faults(self) -> Iterator[Fault]:
        """Find why the kernels of infinitely wide networks are not known."""
        (path, first), *others = self.pieces.items()
        if reason := first.why_no_limit:
            yield Fault("CE203", reason.message, (*path, *reason.path), "key", reason.help)
        elif not first.ends_in_weights:
            message = "the units of the bottleneck are no outputs of a layer with weights"
            help = f"end the {self.piece_names[0]} in a dense layer, or in a convolution and"
            path = (*path, first.widths_key)
            yield Fault("CE203", message, path, help=f"{help} global-average")
        for path, piece in others:
            if piece.as_mlp is None:
                message = f"the kernels of an infinitely wide {self.piece_names[1]} are known for"
                message += " dense layers, with one activation between"
                help = 'use layers = [{type = "dense", units = inf}, "relu", "dense"], or an mlp'
                yield Fault("CE203", message, (*path, "layers"), help=help)

    def _part_faults(self) -> Iterator[Fault]:
        """Find layers that do not fit, or do not end in as many units as the bottleneck has."""
        for path, piece in self.parts.items():
            for fault in piece.faults():
                if not (piece.outputs == math.inf and fault.code == "CE203"):
                    yield fault.below(*path)
