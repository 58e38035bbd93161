"""The plan of a kernel computation: the method, and the sizes of tiles and batches."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from ceflow.kernels.costs import Shape
from ceflow.kernels.empirical import counting
from ceflow.kernels.empirical.networks import Network
from ceflow.kernels.empirical.uses import Use

Method = Literal["auto", "structured", "jacobian", "products"]
METHODS = get_args(Method)

NO_FORWARD_MODE = (
    "{} needs derivatives in forward mode, which a function in the module lacks (such as one with"
    " jax.custom_vjp); use {}"
)

NO_REVERSE_MODE = (
    "the module has no derivatives in reverse mode, since it has a loop of unknown length"
    " (jax.lax.while_loop) or a callback; use jax.lax.scan, loops with known bounds, or"
    " jax.custom_vjp"
)

LEAST_BYTES, FULL_TILE_BYTES = 16e6, 1e9
"""Least default memory budget in bytes, and the largest that is granted for full tiles."""

TILE_SIZES = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Tile sizes to choose from, in examples a side.

With multiples of 64, XLA's matrix products on CPU round the same way in any tile, so that kernels
computed in different pieces agree bit for bit: with JAX 0.10, and not with 0.12.
"""


@dataclass(frozen=True)
class KernelPlan:
    """How to compute a kernel: in tiles from features, or by NTK-vector products if `tile` is 0.

    Tiles have `tile` examples a side, and the features of `rows` tiles are kept. `chunk` examples
    (or products) pass through the network at once. The gradients of leaves in `formed` are formed
    from h and delta.
    """

    uses: tuple[Use, ...]
    formed: frozenset[int]
    tile: int
    rows: int
    chunk: int


def plan_for(network: Network, asked: Shape, method: Method, memory: float | None) -> KernelPlan:
    """Choose the fastest plan that fits into `memory` bytes of temporaries, otherwise the smallest.

    Raises `ValueError` for NTK-vector products of a network without a forward mode.
    """
    if method == "products" and not network.has_forward_mode:
        raise ValueError(NO_FORWARD_MODE.format('method "products"', 'method = "auto"'))
    uses = () if method == "jacobian" else tuple(network.uses)
    formed = frozenset(u.leaf for u in uses if counting.forms_gradient(u.layout.sizes, asked))
    planner = _Planner(network, uses, formed, asked)
    budget = planner.default() if memory is None else memory
    cheaper = counting.products_flops(network, asked) < counting.structured_flops(
        network, set(formed), asked
    )
    if method == "products" or (method == "auto" and cheaper and network.has_forward_mode):
        return planner.products(budget)
    fitting = next(planner.plans(budget), None)
    if fitting is None and method == "auto" and network.has_forward_mode:
        return planner.products(budget)
    return fitting or KernelPlan(uses, formed, 1, 1, 1)


@dataclass(frozen=True)
class _Planner:
    """Finds plans that fit a memory budget; bytes are estimated from the jaxpr."""

    network: Network
    uses: tuple[Use, ...]
    formed: frozenset[int]
    asked: Shape

    def default(self) -> float:
        """Return the default budget: a quarter of the result, or the bytes of full tiles."""
        result = self.asked.size * self._itemsize
        return max(result / 4, LEAST_BYTES, min(self._least(64), FULL_TILE_BYTES))

    def plans(self, budget: float) -> Iterator[KernelPlan]:
        """Yield the structured plans that fit into the budget, the best first."""
        largest = max(self.asked.n1, self.asked.n2)
        for tile in (largest, *(tile for tile in TILE_SIZES if tile < largest)):
            chunk = self._chunk(tile, budget / 3)
            rows = self._rows(tile, budget - chunk * self._pass)
            if rows >= 1:
                yield KernelPlan(self.uses, self.formed, tile, rows, chunk)

    def products(self, budget: float) -> KernelPlan:
        """Plan NTK-vector products, as many at a time as fit."""
        one = self._parameters + 3 * self._values * self._itemsize * self.asked.n2
        return KernelPlan((), frozenset(), 0, 0, _largest_part(self.asked.outputs, budget / one))

    def _rows(self, tile: int, budget: float) -> int:
        """Count the tiles whose features fit, besides another tile's and a contraction."""
        left = budget - self._contraction(tile)
        tiles = math.ceil(self.asked.n1 / tile)
        if tile >= max(self.asked.n1, self.asked.n2):
            both = 1 if self.asked.symmetric else 2
            return int(left >= both * tile * self._features)
        return min(int(left // (tile * self._features)) - 1, tiles)

    def _chunk(self, tile: int, budget: float) -> int:
        """Count the examples whose forward and backward pass fits."""
        return next((n for n in range(tile, 0, -1) if not tile % n and n * self._pass <= budget), 1)

    def _least(self, tile: int) -> float:
        tile = min(tile, max(self.asked.n1, self.asked.n2))
        return (2 * self._features + self._pass) * tile + self._contraction(tile)

    def _contraction(self, tile: int) -> float:
        terms = len(self.network.leaves) + 2
        one, two = min(tile, self.asked.n1), min(tile, self.asked.n2)
        return terms * one * two * self.asked.entries * self._itemsize

    @property
    def _features(self) -> float:
        """Bytes of the features of one example."""
        total = sum(leaf.size for leaf in self.network.leaves) * self.asked.outputs
        for use in self.uses:
            if use.leaf not in self.formed:
                batch, out, contracted, free = use.layout.sizes
                total += batch * free * (contracted + self.asked.outputs * out)
                total -= self.network.leaves[use.leaf].size * self.asked.outputs
        return total * self._itemsize

    @property
    def _pass(self) -> float:
        """Bytes of the forward and backward pass of one example.

        These are all values, and for every output the gradients at the uses.
        """
        deltas = sum(math.prod(use.layout.output) for use in self.uses)
        widest = max((math.prod(use.layout.output) for use in self.uses), default=0)
        patches = sum(
            math.prod(use.layout.sizes) // use.layout.sizes.out
            for use in self.uses
            if use.leaf in self.formed
        )
        gradients = self.asked.outputs * (deltas + 2 * widest)
        return (self._values + patches + gradients) * self._itemsize

    @property
    def _values(self) -> float:
        return counting.size_of_values(self.network.closed.jaxpr)

    @property
    def _parameters(self) -> float:
        return sum(leaf.size for leaf in self.network.leaves) * self._itemsize

    @property
    def _itemsize(self) -> int:
        return self.network.dtype.itemsize


def _largest_part(whole: int, most: float) -> int:
    """Return the largest divisor of `whole` that is at most `most`, or 1."""
    return next((n for n in range(whole, 1, -1) if not whole % n and n <= most), 1)
