"""The engine for infinitely wide networks with a bottleneck: theorem 3.2 of BN.

Loads JAX: imported only when a stage runs.
"""

import jax
import numpy as np
from jaxtyping import Int

from ceflow import bottlenecks
from ceflow.bottlenecks import State
from ceflow.stages.descents import simulated
from ceflow.stages.flow.problem import FlowProblem
from ceflow.stages.flow.recording import Recording, joined, ntk_recorder, outcomes


def features(problem: FlowProblem) -> Recording:
    """Integrate one replica after the other, each from its own initial functions; compiled once."""
    replicas = problem.stage.replicas
    remarks = bottlenecks.remarks(problem.dataset.train.x, problem.dataset.train.y)
    parts = [_replica(problem, index) for index in range(replicas)]
    return joined(parts, replicas, tuple(remarks))


def _replica(problem: FlowProblem, index: int) -> Recording:
    seed = problem.seed.fold(index)
    simulation = simulated(problem.stage, problem.job.model, problem.dataset, seed)
    field, start = bottlenecks.BottleneckFlow.from_simulation(simulation), simulation.start()
    size = sum(leaf.size for leaf in jax.tree.leaves((start.coefficients, start.memory)))
    solver = problem.solver(size, lambda: bottlenecks.composed_ntk(simulation, start))

    def kernels(state: State, examples: Int[np.ndarray, " k"]) -> np.ndarray:
        return bottlenecks.composed_ntk(simulation, state, examples)[None]

    def outputs(state: State) -> np.ndarray:
        return np.asarray(simulation.outputs(state))[None]

    ntk = ntk_recorder(problem, kernels)
    integration = problem.integrate(
        lambda options: bottlenecks.flow(
            simulation,
            problem.stage.moments(),
            record=lambda t, state: outcomes(problem, outputs(state)) | ntk(state),
            stop=problem.stop(field.outputs),
            **options,
        ),
        problem.options(solver, index, problem.stage.replicas),
    )
    return Recording.from_integration(
        integration, outputs(field.state(integration.trajectory.state))
    )
