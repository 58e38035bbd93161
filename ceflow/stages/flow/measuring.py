"""What is measured at a moment: losses and accuracies of outputs, and the NTK of the networks."""

from typing import TYPE_CHECKING, Any

from ceflow import kernels
from ceflow.stages.flow.problem import Problem

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, PyTree

    from ceflow.dynamics import ParameterFlow


def measured(
    problem: Problem, outputs: "Float[np.ndarray, 'replicas n outputs']"
) -> dict[str, Any]:
    """Loss and, of classes, accuracy of each replica on training and on test examples."""
    import numpy as np

    from ceflow.stages.flow.compiled import losses

    parts = {"train": (outputs[:, : problem.train], problem.dataset.train.y)}
    if len(problem.dataset.test.x):
        parts["test"] = (outputs[:, problem.train :], problem.dataset.test.y)
    found: dict[str, Any] = {
        f"{part}_loss": losses(problem.loss, *both) for part, both in parts.items()
    }
    for part, (predicted, targets) in parts.items():
        if getattr(problem.job.plan.document.data, "targets", "raw") != "raw":
            each = [kernels.accuracy(np.asarray(one), targets) for one in predicted]
            found[f"{part}_accuracy"] = np.array(each)
    return found


class Watch:
    """Follows the NTK of networks, the mean over outputs a of K^aa, as the stage asks.

    Of several replicas each has its own; entries are kept of all, the whole kernel of the first.
    """

    def __init__(self, problem: Problem, flow: "ParameterFlow"):
        import numpy as np

        stage = problem.stage
        self.flow, self.asked = flow, set(stage.record)
        self.entries = stage.entries is not None
        self.targets, self.initial = problem.y, None
        chosen = None if stage.entries is None else np.array(stage.entries)
        if chosen is None:  # the pairs above the diagonal
            seen, pairs = np.arange(problem.train), np.triu_indices(problem.train, 1)
        else:
            seen, pairs = np.unique(chosen, return_inverse=True)
            pairs = tuple(pairs.reshape(chosen.shape).T)
        self.points, self.pairs = flow.x[seen], pairs

    def __call__(self, parameters: "PyTree") -> dict[str, Any]:
        """What there is to see of the NTK at these parameters, stacked over replicas."""
        import numpy as np

        from ceflow.stages.flow.compiled import network_kernels

        if not self.entries and not self.asked - {"derivatives"}:
            return {}
        found, now = {}, np.asarray(network_kernels(self.flow, parameters, self.points))
        self.initial = now if self.initial is None else self.initial
        if self.entries or "drift" in self.asked:
            found["entries"] = now[:, *self.pairs]
        if "drift" in self.asked and not self.entries:
            norms = np.linalg.norm(now - self.initial, axis=(1, 2))
            found["drift_relative"] = norms / np.linalg.norm(self.initial, axis=(1, 2))
        if "alignment" in self.asked:
            found["alignment"] = np.array([kernels.alignment(k, self.targets) for k in now])
        if "spectrum" in self.asked:
            ends = [kernels.spectrum(kernel) for kernel in now]
            found["eigenvalue_max"] = np.array([end.eigenvalue_max for end in ends])
            found["eigenvalue_min"] = np.array([end.eigenvalue_min for end in ends])
        if "kernel" in self.asked:
            found["kernel"] = now[:1]
        return found

    def derivatives(self, parameters: "PyTree") -> "Float[np.ndarray, 'replicas 3 pairs']":
        """Of the entries in time, of each replica (dynamics.ntk_derivatives)."""
        import numpy as np

        from ceflow.stages.flow.compiled import entry_derivatives

        return np.asarray(entry_derivatives(self.flow, parameters, self.points, self.pairs))
