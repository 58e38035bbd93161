"""The search for optimal ensembles: objectives, their optimum, and the near-optimal set."""

from ceflow.search.objectives import (
    Candidate,
    Cost,
    Optimum,
    nearest_multiplicity,
    optimise,
    relative_variance,
)

__all__ = ["Candidate", "Cost", "Optimum", "nearest_multiplicity", "optimise", "relative_variance"]
