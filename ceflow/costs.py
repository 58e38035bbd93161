"""The units in which the `costs` modules count what algorithms need."""

from collections.abc import Iterable
from typing import NamedTuple

EIGH_FLOPS = 12
"""FLOPs that take as long as an eigendecomposition, per cube of the number of rows."""


class Work(NamedTuple):
    """Work to do, in units that a machine's rates convert to seconds."""

    flops: float = 0.0
    """Floating-point operations of matrix products."""
    traffic: float = 0.0
    """Bytes moved by elementwise operations."""
    normals: float = 0.0
    """Normal random numbers drawn."""
    compilations: float = 0.0
    """Compilation, in units of a small function; above 0, JAX is loaded."""
    seconds: float = 0.0
    """Seconds of everything else: plain Python, reading files, loading libraries."""

    def plus(self, other: "Work") -> "Work":
        """Add the work of something else that is done too."""
        return Work(*map(sum, zip(self, other, strict=True)))


class Demand(NamedTuple):
    """The bytes of memory and the work that an algorithm needs."""

    memory: float = 0.0
    work: Work = Work()


def in_turn(demands: Iterable[Demand]) -> Demand:
    """Combine steps done one after the other: the sum of the work, and the maximum of the memory.

    >>> in_turn([Demand(5.0, Work(flops=1.0)), Demand(2.0, Work(flops=3.0))]).work.flops
    4.0
    """
    memories, works = zip(*demands, strict=True)
    return Demand(max(memories), Work(*map(sum, zip(*works, strict=True))))
