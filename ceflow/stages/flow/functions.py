"""The engines whose state is the function itself, under a fixed kernel."""

from typing import TYPE_CHECKING, Any

from ceflow import dynamics, kernels
from ceflow.stages.flow.driving import Driven, driven, starting, where_known
from ceflow.stages.flow.flown import Flown, flown, joined
from ceflow.stages.flow.measuring import measured
from ceflow.stages.flow.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from jaxtyping import Array


def kernel(problem: Problem) -> Flown:
    """Integrated, one replica after the other."""
    return _each(problem, _integrated)


def closed_form(problem: Problem) -> Flown:
    """Solved, by one eigendecomposition a replica."""
    return _each(problem, _solved)


def _each(problem: Problem, engine: "Callable[[Problem, Driven, int], Flown]") -> Flown:
    problem, warnings = where_known(problem)
    replicas = problem.stage.replicas
    parts, under = [], None
    for index in range(replicas):
        if under is None or problem.stage.kernel is None:  # a stage's kernel drives all
            under = driven(problem, index)
        parts.append(engine(problem, under, index))
    return joined(parts, replicas, warnings)


def _integrated(problem: Problem, under: Driven, index: int) -> Flown:
    import jax.numpy as jnp
    import numpy as np

    start, n = starting(problem, index), problem.train
    matrix, cross, y = (
        jnp.asarray(part, start.dtype) for part in (under.kernel, under.cross, problem.y)
    )
    solver = problem.solver(start.size, lambda: np.asarray(_of_one_output(matrix)))
    found = problem.followed(
        lambda options: dynamics.integrate(
            dynamics.KernelFlow(matrix, cross, y, problem.loss),
            (start[:n], start[n:]),
            problem.stage.moments(),
            record=lambda t, state: measured(problem, _stacked(state)),
            stop=problem.stop(_on_training),
            **options,
        ),
        problem.options(solver, index, problem.stage.replicas),
    )
    return flown(found, _stacked(found.result.state))


def _on_training(state: Any) -> "Array":
    return state[0]


def _stacked(state: Any) -> "np.ndarray":
    import numpy as np

    return np.concatenate(state)[None]


def _of_one_output(kernel: "Array") -> "Array":
    """The mean over outputs a of K^aa."""
    import jax.numpy as jnp

    if kernel.ndim == 2:
        return kernel
    return jnp.trace(kernel, axis1=2, axis2=3) / kernel.shape[-1]


def _solved(problem: Problem, under: Driven, index: int) -> Flown:
    import numpy as np

    start, moments = starting(problem, index), problem.stage.moments()
    frozen = dynamics.ConstantKernel(under.kernel, problem.stage.reduction)
    uncertain = _uncertainty(problem, frozen, under)
    seen, outputs = [], start
    for moment in moments:
        outputs = _outputs_at(moment, problem, under, start, frozen)
        seen.append(measured(problem, outputs[None]) | uncertain(moment))
        problem.job.progress(len(seen), len(moments))
    stacked = {key: np.stack([np.asarray(each[key]) for each in seen]) for key in seen[0]}
    ending = dynamics.Ending("finished", moments[-1])
    return Flown(tuple(moments), stacked, outputs[None], ending)


def _outputs_at(
    time: float,
    problem: Problem,
    under: Driven,
    start: "np.ndarray",
    frozen: "dynamics.ConstantKernel",
) -> "np.ndarray":
    import numpy as np

    n = problem.train
    both = (
        frozen.train(time, start[:n], problem.y),
        frozen.test(time, under.cross, start[n:], start[:n], problem.y),
    )
    return np.concatenate(both)


def _uncertainty(
    problem: Problem, frozen: "dynamics.ConstantKernel", under: Driven
) -> "Callable[[float], dict[str, Any]]":
    """Of an infinitely wide network under its own NTK the covariance of outputs on test examples,
    and the root of the mean of its diagonal."""
    import jax.numpy as jnp
    import numpy as np

    if under.covariances is None:
        return lambda time: {}
    test = kernels.block_kernel(problem.job.model, "nngp")(problem.x[problem.train :])
    ntks = (jnp.asarray(part) for part in (under.kernel, under.cross, under.kernel[:0]))
    pairs = zip((*under.covariances, test), ntks, strict=True)
    parts = [kernels.Kernels(*each) for each in pairs]

    def at(time: float) -> dict[str, Any]:
        law = dynamics.trained_gaussian(frozen, problem.y, time, *parts)
        spread = np.sqrt(law.covariance.diagonal().clip(0).mean())
        return {"test_stddev": spread[None], "covariance": law.covariance[None]}

    return at
