"""What is recorded of a training from moment to moment."""

from typing import TYPE_CHECKING

from ceflow import bottlenecks, dynamics
from ceflow.stages.stage import Values, finite
from ceflow.stages.train.problem import Problem

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ceflow.bottlenecks import State

WATCHED = 100
"""The most training examples whose NTK is followed: the first."""


class Watch:
    """Makes a line of numbers of each moment, and keeps the arrays."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.outputs: Float[np.ndarray, "m outputs"] | None = None
        """At the last moment."""
        self.embedding: list[Float[np.ndarray, "m d"]] = []
        self._kernel: Float[np.ndarray, "k k"] | None = None

    def __call__(self, step: int, state: "State") -> Values:
        import numpy as np

        from ceflow.stages.losses import losses_and_accuracies

        problem = self.problem
        plan, simulation = problem.job.plan, problem.simulation
        self.outputs = np.asarray(simulation.outputs(state))
        found = losses_and_accuracies(plan, simulation.loss, problem.dataset, self.outputs[None])
        if "embedding" in problem.stage.record:
            self.embedding.append(np.asarray(state.points))
        line = {"step": step} | {key: finite(each[0]) for key, each in found.items()}
        return line | (self._drift(state) if "drift" in problem.stage.record else {})

    def _drift(self, state: "State") -> Values:
        """Of the NTK of the first training examples, from where it was at the first moment."""
        import numpy as np

        examples = np.arange(min(WATCHED, self.problem.train))
        now = bottlenecks.composed_ntk(self.problem.simulation, state, examples)
        start = self._kernel = now if self._kernel is None else self._kernel
        pairs = dynamics.drift_pairs(len(now))
        return {
            "drift": finite(np.median(dynamics.entry_drift(now[pairs], start[pairs]))),
            "drift_relative": finite(dynamics.relative_drift(now[None], start[None])[0]),
        }
