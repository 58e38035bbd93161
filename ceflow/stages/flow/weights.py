"""The engines whose state are weights: of the network, or of the network linearised in them."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ceflow import dynamics
from ceflow.stages.flow.flown import Flown, flown, joined
from ceflow.stages.flow.measuring import Watch, measured
from ceflow.stages.flow.problem import Problem

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import PyTree

MEMORY = 2**30
"""Bytes that the states of replicas which flow together may take; one replica at least does."""

COPIES = 16
"""Of a state, that its integration holds: a solver's stages, and what a step may go back to."""


def together(size: float, replicas: int) -> int:
    """How many replicas flow at once, each of `size` bytes: groups of equal size, the last one
    filled up, so that nothing is compiled twice.

    >>> together(1e6, 400), together(1e9, 3)
    (67, 1)
    """
    most = max(1, int(MEMORY / (COPIES * size)))
    return math.ceil(replicas / math.ceil(replicas / most))


def parameters(problem: Problem) -> Flown:
    """Of all replicas, so many at a time as memory allows."""
    import jax
    import jax.numpy as jnp

    replicas, module = problem.stage.replicas, problem.network(0)
    x, y = (jnp.asarray(part) for part in (problem.x[: problem.train], problem.y))
    flow, start = dynamics.parameter_flow(module, x, y, problem.loss)
    leaves = jax.tree.leaves(start)
    size = sum(leaf.size for leaf in leaves)
    solver = problem.solver(size, lambda: problem.ntk(module))
    count = together(size * leaves[0].dtype.itemsize, replicas)
    parts, groups = [], math.ceil(replicas / count)
    for index in range(groups):
        options = problem.options(solver, index, groups)
        starts = problem.networks(index * count, count) if replicas > 1 else start
        parts.append(_group(problem, flow, starts, options))
    return joined(parts, replicas)


def _group(
    problem: Problem, flow: "dynamics.ParameterFlow", starts: "PyTree", options: dict[str, Any]
) -> Flown:
    """Replicas that flow together, stacked; one alone is not."""
    import numpy as np

    from ceflow.stages.flow import compiled

    several = problem.stage.replicas > 1

    def kernels(state: "PyTree", examples: "np.ndarray") -> "np.ndarray":
        return np.asarray(compiled.network_kernels(flow, state, flow.x[examples], several))

    watch = Watch(problem, kernels)

    def outputs(state: "PyTree") -> "np.ndarray":
        return np.asarray(compiled.network_outputs(flow, state, problem.x, several))

    end = problem.followed(
        lambda options: dynamics.integrate(
            flow,
            starts,
            problem.stage.moments(),
            record=lambda t, state: measured(problem, outputs(state)) | watch(state),
            stop=problem.stop(flow.outputs),
            replicas=several,
            **options,
        ),
        options,
    )
    found = flown(end, outputs(end.result.state))
    if "derivatives" not in problem.stage.record:
        return found
    points = flow.x[watch.examples]
    derivatives = compiled.entry_derivatives(flow, starts, points, watch.pairs, several)
    return replace(found, derivatives=np.asarray(derivatives))


def linearised(problem: Problem) -> Flown:
    """One replica after the other; compiled once."""
    replicas = problem.stage.replicas
    return joined([_linearised(problem, index) for index in range(replicas)], replicas)


def _linearised(problem: Problem, index: int) -> Flown:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from ceflow.stages.flow.compiled import linear_outputs, linearise

    module = problem.network(index)
    model, both = (linearise(module, x) for x in (problem.x[: problem.train], problem.x))
    start = model.start()
    size = sum(leaf.size for leaf in jax.tree.leaves(start))
    solver = problem.solver(size, lambda: problem.ntk(module))

    def outputs(delta: "PyTree") -> "np.ndarray":
        return np.asarray(linear_outputs(both, delta))[None]

    found = problem.followed(
        lambda options: dynamics.integrate(
            dynamics.LinearisedFlow(model, jnp.asarray(problem.y), problem.loss),
            start,
            problem.stage.moments(),
            record=lambda t, delta: measured(problem, outputs(delta)),
            stop=problem.stop(model),
            **options,
        ),
        problem.options(solver, index, problem.stage.replicas),
    )
    return flown(found, outputs(found.result.state))
