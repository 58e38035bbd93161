"""What a flow stage is to solve: examples, loss, moments, and the networks it starts from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ceflow import data, dynamics
from ceflow.seeding import Seed
from ceflow.spec import Flow
from ceflow.stages.flow import steps
from ceflow.stages.flow.flown import Followed, followed
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    import equinox as eqx
    import numpy as np
    from jaxtyping import Array, Float, PyTree

    from ceflow.stages.flow.compiled import LossAbove


@dataclass(frozen=True)
class Problem:
    """A job with its examples, at the document's precision. All of it is to be used within
    `ceflow.stages.stage.precision`."""

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
        """How many of `x` are training inputs."""
        return len(self.dataset.train.x)

    @property
    def outputs(self) -> int:
        return self.y.shape[1]

    @property
    def loss(self) -> "dynamics.Loss":
        return dynamics.LOSSES[self.stage.loss](self.stage.reduction)

    @property
    def tolerances(self) -> dict[str, float]:
        return steps.tolerances(self.stage, self.job.plan.document.precision)

    @property
    def seed(self) -> Seed:
        """That the networks are drawn from: of the first stage in a line of `start`."""
        document, name, stage = self.job.plan.document, self.job.name, self.stage
        while stage.start is not None:
            name = stage.start
            first = document.stages[name]
            assert isinstance(first, Flow), "the spec lets start name a flow stage only"
            stage = first
        return Seed(document.seed).fold("stages").fold(name)

    def network(self, index: int) -> "eqx.Module":
        """Replica `index`, as drawn."""
        return self.job.plan.module_of(self.job.model, self.seed.fold(index).jax())

    def networks(self, first: int, count: int) -> "PyTree":
        """The parameters of some replicas, stacked."""
        import equinox as eqx
        import jax.numpy as jnp

        from ceflow.compiler.lowering import lower_each
        from ceflow.stages.flow.compiled import folded

        keys = folded(self.seed.jax(), jnp.arange(first, first + count))
        modules = lower_each(self.job.plan.expand(self.job.model), keys)
        return eqx.filter(modules, eqx.is_inexact_array)

    def solver(self, size: int, kernel: "Callable[[], np.ndarray]") -> str:
        """The one asked for; else by the NTK at the start, and the numbers in the state."""
        if self.stage.solver != "auto":
            return self.stage.solver
        import numpy as np

        from ceflow.kernels import eigenvalue_max

        matrix = kernel()
        if not np.isfinite(matrix).all():
            return "tsit5"  # which will say so
        weight = 1 if self.stage.reduction == "sum" else 1 / self.train
        return dynamics.default_solver(
            eigenvalue_max(matrix) * self.stage.time * weight,
            size=size,
            smooth=steps.is_smooth(self.stage, self.job.model),
            rtol=self.tolerances["rtol"],
            precise=self.job.plan.document.precision == "float64",
        )

    def followed(
        self, run: "Callable[[dict[str, Any]], dynamics.Trajectory]", options: dict[str, Any]
    ) -> Followed:
        """An integration under these options, its solver changed where `auto` chose one that
        fails."""
        chosen = self.stage.solver == "auto"
        by = options["solver"]
        return followed(lambda solver: run(options | {"solver": solver}), by, chosen=chosen)

    def ntk(self, module: "eqx.Module") -> "Float[np.ndarray, 'n n']":
        """Of the training examples: the mean over outputs a of K^aa."""
        import numpy as np

        from ceflow.stages.kernel.compiled import kernel

        return np.asarray(kernel(module, self.x[: self.train], outputs=self.outputs))

    def stop(self, outputs: "Callable[[PyTree], Array]") -> "LossAbove | None":
        """What ends an integration whose state has these outputs on training examples."""
        if self.stage.stop is None:
            return None
        import jax.numpy as jnp

        from ceflow.stages.flow.compiled import LossAbove

        return LossAbove(outputs, jnp.asarray(self.y), self.loss, self.stage.stop.train_loss)

    def options(self, solver: str, part: int = 0, parts: int = 1) -> dict[str, Any]:
        """Of `dynamics.integrate`, for one of several parts of the replicas."""

        def tell(time: float) -> None:
            whole = self.stage.time
            self.job.progress((part * whole + time) / parts, whole, "mu t")

        told = {"max_steps": self.stage.steps, "observe": tell}
        return {"solver": solver, **told, **self.tolerances}
