"""The weights that an export is given: a file, and which of its networks is meant."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Weights:
    """A file that `equinox.tree_serialise_leaves` wrote for a module of a plan, or for several of
    them, stacked.
    """

    path: Path
    replicas: int = 1
    """Number of networks in the file; one is not stacked."""
    replica: int | None = 0
    """Index of the network that is meant; None if all are, stacked."""
