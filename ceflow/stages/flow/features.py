"""The engine of infinitely wide networks with a bottleneck: theorem 3.2 of BN."""

from typing import TYPE_CHECKING

from ceflow import bottlenecks
from ceflow.stages.flow.flown import Flown, flown, joined
from ceflow.stages.flow.measuring import Watch, measured
from ceflow.stages.flow.problem import Problem
from ceflow.stages.simulated import simulated

if TYPE_CHECKING:
    import numpy as np

    from ceflow.bottlenecks import State


def features(problem: Problem) -> Flown:
    """One replica after the other, each from initial functions of its own; compiled once."""
    replicas = problem.stage.replicas
    remarks = bottlenecks.remarks(problem.dataset.train.x, problem.dataset.train.y)
    parts = [_flowed(problem, index) for index in range(replicas)]
    return joined(parts, replicas, tuple(remarks))


def _flowed(problem: Problem, index: int) -> Flown:
    import jax
    import numpy as np

    seed = problem.seed.fold(index)
    simulation = simulated(problem.stage, problem.job.model, problem.dataset, seed)
    field, start = bottlenecks.BottleneckFlow.of(simulation), simulation.start()
    size = sum(leaf.size for leaf in jax.tree.leaves((start.coefficients, start.memory)))
    solver = problem.solver(size, lambda: bottlenecks.composed_ntk(simulation, start))

    def kernels(state: "State", examples: "np.ndarray") -> "np.ndarray":
        return bottlenecks.composed_ntk(simulation, state, examples)[None]

    def outputs(state: "State") -> "np.ndarray":
        return np.asarray(simulation.outputs(state))[None]

    watch = Watch(problem, kernels)
    found = problem.followed(
        lambda options: bottlenecks.flow(
            simulation,
            problem.stage.moments(),
            record=lambda t, state: measured(problem, outputs(state)) | watch(state),
            stop=problem.stop(field.outputs),
            **options,
        ),
        problem.options(solver, index, problem.stage.replicas),
    )
    return flown(found, outputs(field.state(found.result.state)))
