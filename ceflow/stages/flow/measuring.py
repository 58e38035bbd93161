"""What is measured at a moment: losses and accuracies of outputs, and the NTK of the networks."""

import math
from typing import TYPE_CHECKING, Any

from ceflow import dynamics, kernels
from ceflow.stages.flow.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from jaxtyping import Float, Int

    Kernels = Callable[[Any, Int[np.ndarray, " k"]], Float[np.ndarray, "replicas k k"]]
    """Of a state, over some training examples."""


def measured(
    problem: Problem, outputs: "Float[np.ndarray, 'replicas n outputs']"
) -> dict[str, Any]:
    """Loss and, of classes, accuracy of each replica on training and on test examples."""
    from ceflow.stages.losses import losses_and_accuracies

    return losses_and_accuracies(problem.job.plan, problem.loss, problem.dataset, outputs)


class Watch:
    """Follows the NTK of networks, the mean over outputs a of K^aa, as the stage asks.

    Of several replicas each has its own; entries are kept of all, the whole kernel of the first.
    """

    def __init__(self, problem: Problem, kernels_of: "Kernels"):
        import numpy as np

        stage = problem.stage
        self.kernels_of, self.asked = kernels_of, set(stage.record)
        self.entries = stage.entries is not None
        self.targets, self.initial = problem.y, None
        chosen = None if stage.entries is None else np.array(stage.entries)
        if chosen is None:
            seen, pairs = np.arange(problem.train), dynamics.drift_pairs(problem.train)
        else:
            seen, pairs = np.unique(chosen, return_inverse=True)
            pairs = tuple(pairs.reshape(chosen.shape).T)
        self.examples, self.pairs = seen, pairs

    def __call__(self, state: Any) -> dict[str, Any]:
        """What there is to see of the NTK in a state, stacked over replicas."""
        import numpy as np

        if not self.entries and not self.asked - {"derivatives"}:
            return {}
        found, now = {}, self.kernels_of(state, self.examples)
        self.initial = now if self.initial is None else self.initial
        if self.entries or "drift" in self.asked:
            found["entries"] = now[:, *self.pairs]
        if "drift" in self.asked and not self.entries:
            found["drift_relative"] = dynamics.relative_drift(now, self.initial)
        if "alignment" in self.asked:
            found["alignment"] = np.array([_alignment(k, self.targets) for k in now])
        if "spectrum" in self.asked:
            ends = [kernels.spectrum(kernel) for kernel in now]
            found["eigenvalue_max"] = np.array([end.eigenvalue_max for end in ends])
            found["eigenvalue_min"] = np.array([end.eigenvalue_min for end in ends])
        if "kernel" in self.asked:
            found["kernel"] = now[:1]
        return found


def _alignment(kernel: "Float[np.ndarray, 'k k']", targets: "np.ndarray") -> float:
    """NaN where it is undefined."""
    try:
        return kernels.alignment(kernel, targets)
    except ValueError:
        return math.nan
