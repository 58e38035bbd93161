"""The engine of infinitely wide networks with a bottleneck: theorem 3.2 of BN."""

from typing import TYPE_CHECKING

from ceflow import bottlenecks
from ceflow.spec import Bottleneck
from ceflow.stages.flow.flown import Flown, flown, joined
from ceflow.stages.flow.measuring import Watch, measured
from ceflow.stages.flow.problem import Problem

if TYPE_CHECKING:
    import numpy as np

    from ceflow.bottlenecks import Simulation, State


def features(problem: Problem) -> Flown:
    """One replica after the other, each from initial functions of its own; compiled once."""
    replicas = problem.stage.replicas
    remarks = bottlenecks.remarks(problem.dataset.train.x, problem.dataset.train.y)
    parts = [_flowed(problem, index) for index in range(replicas)]
    return joined(parts, replicas, tuple(remarks))


def _flowed(problem: Problem, index: int) -> Flown:
    import jax
    import numpy as np

    simulation = simulated(problem, index)
    field, start = bottlenecks.BottleneckFlow.of(simulation), simulation.start()
    size = sum(leaf.size for leaf in jax.tree.leaves((start.coefficients, start.memory)))
    solver = problem.solver(size, lambda: bottlenecks.composed_ntk(simulation, start))

    def kernels(state: "State", examples: "np.ndarray") -> "np.ndarray":
        return bottlenecks.composed_ntk(simulation, state, examples)[None]

    def outputs(state: "State") -> "np.ndarray":
        return np.asarray(simulation.outputs(state))[None]

    watch = Watch(problem, kernels)
    result = bottlenecks.flow(
        simulation,
        problem.stage.moments(),
        record=lambda t, state: measured(problem, outputs(state)) | watch(state),
        stop=problem.stop(field.outputs),
        **problem.options(solver, index, problem.stage.replicas),
    )
    return flown(result, outputs(field.state(result.state)), solver)


def simulated(problem: Problem, index: int) -> "Simulation":
    """Of replica `index`, from the functions of a network that is sampled for it."""
    stage, model, n = problem.stage, problem.job.model, problem.train
    inputs = problem.x.shape[1]
    assert isinstance(model, Bottleneck), "the spec lets other models have no such engine"
    initial = bottlenecks.sample(
        model,
        inputs,
        problem.outputs,
        problem.seed.fold(index),
        width=stage.width,
        features=stage.features,
    )
    test = problem.x[n:] if len(problem.x) > n else None
    return bottlenecks.Simulation(model, initial, problem.x[:n], problem.y, test, loss=problem.loss)
