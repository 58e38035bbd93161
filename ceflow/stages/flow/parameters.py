"""The engines that evolve weights: those of the network, or of its linearisation.

Loads JAX: imported only when a stage runs.
"""

import math
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from ceflow import dynamics
from ceflow.compiler.lowering import lower_each
from ceflow.compiler.programs import program
from ceflow.dynamics import Linearised, ParameterFlow
from ceflow.kernels import empirical_ntk
from ceflow.stages.flow.problem import FlowProblem, group_size
from ceflow.stages.flow.recording import Recording, joined, ntk_recorder, outcomes
from ceflow.stages.kernel.compiled import kernel


def parameters(problem: FlowProblem) -> Recording:
    """Integrate the weights of all replicas, in groups that fit in memory."""
    replicas, module = problem.stage.replicas, problem.network(0)
    x, y = (jnp.asarray(part) for part in (problem.x[: problem.train], problem.y))
    flow, start = dynamics.parameter_flow(module, x, y, problem.loss)
    leaves = jax.tree.leaves(start)
    size = sum(leaf.size for leaf in leaves)
    solver = problem.solver(size, lambda: problem.ntk(module))
    count = group_size(size * leaves[0].dtype.itemsize, replicas)
    parts, groups = [], math.ceil(replicas / count)
    for index in range(groups):
        options = problem.options(solver, index, groups)
        starts = _drawn(problem, index * count, count) if replicas > 1 else start
        parts.append(_group(problem, flow, starts, options))
    return joined(parts, replicas)


def _drawn(problem: FlowProblem, first: int, count: int) -> PyTree:
    """Draw the parameters of some replicas, stacked."""
    keys = _folded(problem.seed.jax(), jnp.arange(first, first + count))
    modules = lower_each(problem.job.plan.expand(problem.job.model), keys)
    return eqx.filter(modules, eqx.is_inexact_array)


def _group(
    problem: FlowProblem, flow: ParameterFlow, starts: PyTree, options: dict[str, Any]
) -> Recording:
    """Integrate a group of replicas together, stacked; a single replica is not stacked."""
    several = problem.stage.replicas > 1

    def kernels(state: PyTree, examples: Int[np.ndarray, " k"]) -> np.ndarray:
        points = flow.x[examples]
        if several:
            return np.asarray(_network_kernels(flow, state, points))
        # The program is that of a kernel stage, and of what chose the solver.
        return np.asarray(kernel(flow.network(state), points, outputs=problem.outputs))[None]

    def outputs(state: PyTree) -> np.ndarray:
        return np.asarray(_network_outputs(flow, state, problem.x, several))

    ntk = ntk_recorder(problem, kernels)
    integration = problem.integrate(
        lambda options: dynamics.integrate(
            flow,
            starts,
            problem.stage.moments(),
            record=lambda t, state: outcomes(problem, outputs(state)) | ntk(state),
            stop=problem.stop(flow.outputs),
            replicas=several,
            **options,
        ),
        options,
    )
    recording = Recording.from_integration(integration, outputs(integration.trajectory.state))
    if "derivatives" not in problem.stage.record:
        return recording
    points = flow.x[ntk.examples]
    derivatives = _entry_derivatives(flow, starts, points, ntk.pairs, several)
    return replace(recording, derivatives=np.asarray(derivatives))


def linearised(problem: FlowProblem) -> Recording:
    """Integrate one linearised replica after the other; compiled once."""
    replicas = problem.stage.replicas
    return joined([_linearised(problem, index) for index in range(replicas)], replicas)


def _linearised(problem: FlowProblem, index: int) -> Recording:
    module = problem.network(index)
    model, both = (_linearise(module, x) for x in (problem.x[: problem.train], problem.x))
    start = model.start()
    size = sum(leaf.size for leaf in jax.tree.leaves(start))
    solver = problem.solver(size, lambda: problem.ntk(module))

    def outputs(delta: PyTree) -> np.ndarray:
        return np.asarray(_linear_outputs(both, delta))[None]

    integration = problem.integrate(
        lambda options: dynamics.integrate(
            dynamics.LinearisedFlow(model, jnp.asarray(problem.y), problem.loss),
            start,
            problem.stage.moments(),
            record=lambda t, delta: outcomes(problem, outputs(delta)),
            stop=problem.stop(model),
            **options,
        ),
        problem.options(solver, index, problem.stage.replicas),
    )
    return Recording.from_integration(integration, outputs(integration.trajectory.state))


def _stacked(parameters: PyTree, several: bool) -> PyTree:
    return parameters if several else jax.tree.map(lambda leaf: leaf[None], parameters)


@program
def _network_outputs(
    flow: ParameterFlow, parameters: PyTree, x: Float[ArrayLike, "n ..."], several: bool
) -> Float[Array, "replicas n outputs"]:
    """Compute the outputs of one network, or of `several` stacked networks."""
    stacked = _stacked(parameters, several)
    return jax.vmap(lambda each: jax.vmap(flow.network(each))(x))(stacked)


@program
def _network_kernels(
    flow: ParameterFlow, stacked: PyTree, points: Float[Array, "n ..."]
) -> Float[Array, "replicas n n"]:
    """Compute the mean over outputs a of K^aa, for stacked networks one after the other."""

    def one(each: PyTree) -> Array:
        return empirical_ntk(flow.network(each), points, trace=True) / flow.targets.shape[1]

    return jax.lax.map(one, stacked)


@eqx.filter_jit
def _entry_derivatives(
    flow: ParameterFlow,
    parameters: PyTree,
    points: Float[Array, "n ..."],
    pairs: tuple[Any, Any],
    several: bool,
) -> Float[Array, "replicas 3 pairs"]:
    """Compute the first three time derivatives of entries of that kernel, at the start."""

    def one(each: PyTree) -> Array:
        all_pairs = dynamics.ntk_derivatives(flow, each, points, 3, trace=True)
        return all_pairs[:, *pairs] / flow.targets.shape[1]

    return jax.lax.map(one, _stacked(parameters, several))


@program
def _linearise(module: eqx.Module, x: Float[ArrayLike, "n ..."]) -> Linearised:
    """Linearise a network. Networks with the same shapes share the compiled programs, also those of
    their flows.
    """
    return Linearised(module, jnp.asarray(x))


@program
def _linear_outputs(model: Linearised, delta: PyTree) -> Float[Array, "n outputs"]:
    return model(delta)


@jax.jit
def _folded(key: Array, indices: Int[Array, " k"]) -> Array:
    """Derive the keys of replicas from one key."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices)
