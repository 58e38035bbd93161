"""The units in which algorithms say what they ask of a machine, each in a `costs` module beside."""

from collections.abc import Iterable
from typing import NamedTuple


class Work(NamedTuple):
    """The work to do, in units that a machine's rates turn into seconds."""

    flops: float = 0.0
    """Floating-point operations in matrix products."""
    traffic: float = 0.0
    """Bytes moved by elementwise work."""
    normals: float = 0.0
    """Normal random numbers drawn."""
    compilations: float = 0.0
    """Small functions' worth of compiling; above 0 JAX is loaded."""
    seconds: float = 0.0
    """All else: plain Python, reading files, loading libraries."""


class Demand(NamedTuple):
    """The bytes of memory and the work that an algorithm asks for."""

    memory: float = 0.0
    work: Work = Work()


def in_turn(demands: Iterable[Demand]) -> Demand:
    """Add what is done one after the other: all the work, and the most memory of any.

    >>> in_turn([Demand(5.0, Work(flops=1.0)), Demand(2.0, Work(flops=3.0))]).work.flops
    4.0
    """
    memories, works = zip(*demands, strict=True)
    return Demand(max(memories), Work(*map(sum, zip(*works, strict=True))))
