"""The units in which algorithms say what they ask of a machine, each in a `costs` module beside."""

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
