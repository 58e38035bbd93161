"""The problem that a flow stage solves: the networks it starts from, and how they are
integrated.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ceflow import data, dynamics
from ceflow._machine import MEMORY
from ceflow.compiler import Plan
from ceflow.seeding import Seed
from ceflow.spec import Flow, Kernel, Model
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    import equinox as eqx
    import numpy as np
    from jaxtyping import Array, Float, PyTree

    from ceflow.dynamics import Trajectory
    from ceflow.stages.descents import LossAbove

DEFAULT_RTOL = {"float32": 1e-4, "float64": 1e-6}

SMOOTH_ENGINES = ("kernel", "linearised")
"""Engines whose right-hand side is smooth, whatever the network's activations."""

STATE_COPIES = 16
"""Copies of the state that the solver holds at once (its stages and the step it can reject to)."""

FALLBACK_SOLVER = {"tsit5": "rkc", "kvaerno5": "rkc", "rkc": "tsit5"}
"""Solver to try if an automatically chosen one fails."""


def tolerances(stage: Flow, precision: str) -> dict[str, float]:
    """Return the relative and absolute tolerance of a step."""
    rtol = stage.rtol or DEFAULT_RTOL[precision]
    return {"rtol": rtol, "atol": rtol / 1000 if stage.atol is None else stage.atol}


def is_smooth(stage: Flow, model: Model) -> bool:
    """Tell whether the right-hand side has no kinks; the kernel of an infinitely wide encoder has
    none.
    """
    engine = stage.engine_of(model)
    if engine == "features":
        return not any(each.decoder.kinks for each in model.bottlenecks)
    return engine in SMOOTH_ENGINES or not model.kinks


def has_law(stage: Flow, plan: Plan, model: Model) -> bool:
    """Tell whether the trained outputs are a known Gaussian process: those of an infinite network
    in closed form, of which all layers are trained or the last one alone.
    """
    if model.is_finite or stage.engine_of(model) != "closed-form":
        return False
    if stage.kernel is None:
        return True
    driving = Kernel.expect(plan.document.stages[stage.kernel])
    return driving.trains_last_layer and driving.model == stage.model


def group_size(size: float, replicas: int) -> int:
    """Return how many replicas of `size` bytes to integrate at once. All groups are equal, the last
    one padded, so that only one program is compiled.

    >>> group_size(1e6, 400), group_size(1e9, 3)
    (67, 1)
    """
    most = max(1, int(MEMORY / (STATE_COPIES * size)))
    return math.ceil(replicas / math.ceil(replicas / most))


class Integration(NamedTuple):
    """The result of an integration, the solver used, and warnings."""

    trajectory: "Trajectory"
    solver: str
    warnings: tuple[str, ...] = ()


def integrate_by(run: "Callable[[str], Trajectory]", solver: str, *, chosen: bool) -> Integration:
    """Integrate with a solver. If it was `chosen` automatically and fails, try another one."""
    first = run(solver)
    if first.ending or not chosen:
        return Integration(first, solver)
    other = FALLBACK_SOLVER[solver]
    again = run(other)
    if not again.ending:
        return Integration(first, solver)
    said = f"the solver {solver} was chosen and failed: {first.ending.message}; {other} did not"
    return Integration(again, other, (f"{said}, and its numbers are kept",))


@dataclass(frozen=True)
class FlowProblem:
    """A job with its examples, at the document's precision. Use it only within
    `ceflow.stages.stage.precision`.
    """

    job: Job
    dataset: data.Dataset

    @property
    def stage(self) -> Flow:
        return self.job.stage

    @property
    def engine(self) -> str:
        return self.stage.engine_of(self.job.model)

    @cached_property
    def x(self) -> "Float[np.ndarray, 'n ...']":
        """Training inputs, then test inputs."""
        import numpy as np

        both = np.concatenate([self.dataset.train.x, self.dataset.test.x])
        return both.astype(self.job.plan.document.precision)

    @cached_property
    def y(self) -> "Float[np.ndarray, 'n outputs']":
        """Training targets."""
        return self.dataset.train.y.astype(self.job.plan.document.precision)

    @property
    def train(self) -> int:
        """Number of training inputs in `x`."""
        return len(self.dataset.train.x)

    @property
    def outputs(self) -> int:
        return self.y.shape[1]

    @property
    def loss(self) -> "dynamics.Loss":
        return dynamics.LOSSES[self.stage.loss](self.stage.reduction)

    @property
    def tolerances(self) -> dict[str, float]:
        return tolerances(self.stage, self.job.plan.document.precision)

    @property
    def seed(self) -> Seed:
        """Seed from which the networks are drawn: that of the first stage in a chain of `start`."""
        document, name, stage = self.job.plan.document, self.job.name, self.stage
        while stage.start is not None:
            name = stage.start
            stage = Flow.expect(document.stages[name])
        return Seed(document.seed).fold("stages").fold(name)

    def network(self, index: int) -> "eqx.Module":
        """Draw the network of replica `index`."""
        return self.job.plan.module_of(self.job.model, self.seed.fold(index).jax())

    def ntk(self, module: "eqx.Module") -> "Float[np.ndarray, 'n n']":
        """Compute the NTK of the training examples: the mean over outputs a of K^aa."""
        import numpy as np

        from ceflow.stages.kernel.compiled import kernel

        return np.asarray(kernel(module, self.x[: self.train], outputs=self.outputs))

    def solver(self, size: int, kernel: "Callable[[], np.ndarray]") -> str:
        """Return the solver: the one set, or one chosen by the NTK at the start and the size of the
        state.
        """
        if self.stage.solver != "auto":
            return self.stage.solver
        import numpy as np

        from ceflow.kernels import eigenvalue_max

        matrix = kernel()
        if not np.isfinite(matrix).all():
            return "tsit5"  # which will say so
        weight = self.loss.weight(self.train, self.outputs)
        return dynamics.default_solver(
            eigenvalue_max(matrix) * self.stage.time * weight,
            size=size,
            smooth=is_smooth(self.stage, self.job.model),
            rtol=self.tolerances["rtol"],
            precise=self.job.plan.document.precision == "float64",
        )

    def options(self, solver: str, part: int = 0, parts: int = 1) -> dict[str, Any]:
        """Return the options of `dynamics.integrate`, for one of several groups of replicas."""

        def tell(time: float) -> None:
            whole = self.stage.time
            self.job.progress((part * whole + time) / parts, whole, "mu t")

        told = {"max_steps": self.stage.steps, "observe": tell}
        return {"solver": solver, **told, **self.tolerances}

    def stop(self, outputs: "Callable[[PyTree], Array]") -> "LossAbove | None":
        """Return the condition that ends an integration whose state has these training outputs."""
        if self.stage.stop is None:
            return None
        import jax.numpy as jnp

        from ceflow.stages.descents import LossAbove

        return LossAbove(outputs, jnp.asarray(self.y), self.loss, self.stage.stop.train_loss)

    def integrate(
        self, run: "Callable[[dict[str, Any]], Trajectory]", options: dict[str, Any]
    ) -> Integration:
        """Integrate with these options, or with another solver if `auto` chose one that fails."""
        chosen = self.stage.solver == "auto"
        by = options["solver"]
        return integrate_by(lambda solver: run(options | {"solver": solver}), by, chosen=chosen)
