"""The engines that evolve the function itself, under a fixed kernel.

Loads JAX: imported only when a stage runs.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ceflow import data, dynamics, kernels
from ceflow.compiler.programs import program
from ceflow.events import ignore
from ceflow.spec import Kernel, Model
from ceflow.stages.flow.problem import FlowProblem, has_law
from ceflow.stages.flow.recording import Arrays, Recording, joined, outcomes
from ceflow.stages.flow.result import Steps
from ceflow.stages.kernel.compiled import kernel as ntk_of
from ceflow.stages.kernel.methods import compute, open_kernel
from ceflow.stages.kernel.networks import one_network, without_weights
from ceflow.stages.stage import Job, resolve_model

TRAINING_ONLY = (
    "the kernel {name!r} was {how}, so it has no rows of test examples: training examples only"
)


class FixedKernel(NamedTuple):
    """The NTK that drives a flow: among training examples, (n, n) or (n, n, outputs, outputs), and
    between test and training examples. For an infinitely wide network, `limits` has the NNGP kernel
    of the same too, and the NNGP twice if it drives the flow.
    """

    train: Float[np.ndarray, "n n ..."]
    test: Float[np.ndarray, "m n ..."]
    limits: tuple[kernels.Kernels, kernels.Kernels] | None = None


def kernel(problem: FlowProblem) -> Recording:
    """Integrate the functions of one replica after the other."""
    return _each(problem, _integrated)


def closed_form(problem: FlowProblem) -> Recording:
    """Solve for the functions exactly, with one eigendecomposition per replica."""
    return _each(problem, _solved)


def _each(
    problem: FlowProblem, engine: Callable[[FlowProblem, FixedKernel, int], Recording]
) -> Recording:
    problem, warnings = _where_known(problem)
    replicas = problem.stage.replicas
    parts, fixed = [], None
    for index in range(replicas):
        if fixed is None or problem.stage.kernel is None:  # a stage's kernel drives all
            fixed = _fixed_kernel(problem, index)
        parts.append(engine(problem, fixed, index))
    return joined(parts, replicas, warnings)


def _integrated(problem: FlowProblem, fixed: FixedKernel, index: int) -> Recording:
    start, n = _start(problem, index), problem.train
    matrix, cross, y = (
        jnp.asarray(part, start.dtype) for part in (fixed.train, fixed.test, problem.y)
    )
    solver = problem.solver(start.size, lambda: np.asarray(_of_one_output(matrix)))
    integration = problem.integrate(
        lambda options: dynamics.integrate(
            dynamics.KernelFlow(matrix, cross, y, problem.loss),
            (start[:n], start[n:]),
            problem.stage.moments(),
            record=lambda t, state: outcomes(problem, _stacked(state)),
            stop=problem.stop(_on_training),
            **options,
        ),
        problem.options(solver, index, problem.stage.replicas),
    )
    return Recording.from_integration(integration, _stacked(integration.trajectory.state))


def _on_training(state: Any) -> Array:
    return state[0]


def _stacked(state: Any) -> np.ndarray:
    return np.concatenate(state)[None]


def _of_one_output(kernel: Array) -> Array:
    """Return the mean over outputs a of K^aa."""
    if kernel.ndim == 2:
        return kernel
    return jnp.trace(kernel, axis1=2, axis2=3) / kernel.shape[-1]


def _solved(problem: FlowProblem, fixed: FixedKernel, index: int) -> Recording:
    start, moments = _start(problem, index), problem.stage.moments()
    reduction, outputs = problem.stage.reduction, problem.outputs
    constant = dynamics.ConstantKernel(fixed.train, reduction, outputs)
    gaussian = _Gaussian(problem, constant, *fixed.limits) if fixed.limits else None
    rows, outputs = [], start
    for moment in moments:
        outputs = _outputs_at(moment, problem, fixed, start, constant)
        spread = gaussian.spread(moment) if gaussian else {}
        rows.append(outcomes(problem, outputs[None]) | spread)
        done = index * len(moments) + len(rows)
        problem.job.progress(done, problem.stage.replicas * len(moments))
    arrays = {key: np.stack([np.asarray(each[key]) for each in rows]) for key in rows[0]}
    if gaussian and len(fixed.test):
        arrays["covariance"] = gaussian.covariance(moments[-1])[None, None]
    ending = dynamics.Ending("finished", moments[-1])
    none = Steps(accepted=0, rejected=0)
    return Recording(tuple(moments), arrays, outputs[None], ending, none)


def _outputs_at(
    time: float,
    problem: FlowProblem,
    fixed: FixedKernel,
    start: Float[np.ndarray, "examples outputs"],
    constant: dynamics.ConstantKernel,
) -> Float[np.ndarray, "examples outputs"]:
    n = problem.train
    both = (
        constant.train(time, start[:n], problem.y),
        constant.test(time, fixed.test, start[n:], start[:n], problem.y),
    )
    return np.concatenate(both)


class _Gaussian:
    """Law of the outputs of an infinitely wide network under its own NTK, or its NNGP."""

    def __init__(
        self,
        problem: FlowProblem,
        constant: dynamics.ConstantKernel,
        train: kernels.Kernels,
        cross: kernels.Kernels,
    ):
        self._constant, self._targets = constant, problem.y
        prior = train.nngp[:0, :0]
        if len(cross.nngp):
            prior = kernels.block_kernel(problem.job.model, "nngp")(problem.x[problem.train :])
        self._kernels = train, cross, kernels.Kernels(prior, cross.ntk[:0])
        variances = np.asarray(prior.diagonal())
        self._stddev = dynamics.TrainedStddev(constant, train, cross, variances)

    def spread(self, time: float) -> Arrays:
        """Compute the standard deviation of the outputs on all examples, and its root mean square
        on training and on test examples.
        """
        parts = dict(zip(("train", "test"), self._stddev(time), strict=True))
        sizes = {
            f"{part}_stddev": np.sqrt(np.square(each).mean())[None]
            for part, each in parts.items()
            if len(each)
        }
        return sizes | {"std": np.concatenate([*parts.values()])[None]}

    def covariance(self, time: float) -> Float[np.ndarray, "m m"]:
        """Compute the covariance of the outputs on test examples."""
        law = dynamics.trained_gaussian(self._constant, self._targets, time, *self._kernels)
        return law.covariance


def _start(problem: FlowProblem, index: int) -> Float[np.ndarray, "examples outputs"]:
    """Compute F at time 0: of a sampled network, or in the limit its mean over
    initialisations, 0.
    """
    if not problem.job.model.is_finite:
        return np.zeros((len(problem.x), problem.outputs), problem.x.dtype)
    return np.asarray(_outputs(problem.network(index), problem.x))


@program
def _outputs(module: Any, x: Float[ArrayLike, "n ..."]) -> Float[Array, "n outputs"]:
    return jax.vmap(module)(x)


def _fixed_kernel(problem: FlowProblem, index: int) -> FixedKernel:
    """Compute the kernel of one replica: that of the named kernel stage, the limit, or the sampled
    network's.
    """
    if problem.stage.kernel is not None:
        fixed = _by_stage(problem, _kernel_job(problem, problem.stage.kernel))
        if not has_law(problem.stage, problem.job.plan, problem.job.model):
            return fixed
        both = (jnp.asarray(part) for part in (fixed.train, fixed.test))
        train, test = (kernels.Kernels(nngp=part, ntk=part) for part in both)
        return fixed._replace(limits=(train, test))
    train, test = problem.x[: problem.train], problem.x[problem.train :]
    if problem.job.model.is_finite:
        module = problem.network(index)
        matrix = np.asarray(ntk_of(module, train))
        cross = np.asarray(ntk_of(module, test, train)) if len(test) else matrix[:0]
        return FixedKernel(matrix, cross)
    own = kernels.analytic(problem.job.model, train)
    other = kernels.Kernels(own.nngp[:0], own.ntk[:0])
    if len(test):
        other = kernels.analytic(problem.job.model, test, train)
    return FixedKernel(np.asarray(own.ntk), np.asarray(other.ntk), (own, other))


def _by_stage(problem: FlowProblem, job: Job) -> FixedKernel:
    """Load the kernel of an earlier stage, with its rows of test examples: those that are kept, or
    else computed from the same draws.
    """
    train, test = problem.x[: problem.train], problem.x[problem.train :]
    drawn_in_tiles = job.stage.tile and job.stage.method == "empirical"
    if len(test) and not job.stage.test_blocks and not drawn_in_tiles:
        return _computed_again(problem, job)
    matrix = np.asarray(open_kernel(job, job.name)[:, :])
    if not len(test):
        return FixedKernel(matrix, matrix[:0])
    if job.stage.test_blocks:
        return FixedKernel(matrix, job.directory.read_array(f"{job.name}.test_train"))
    # Without tiles it might be drawn without weights, which is another network.
    return FixedKernel(matrix, np.asarray(one_network(job).block(test, train)))


def _computed_again(problem: FlowProblem, job: Job) -> FixedKernel:
    """Compute the kernel of an earlier stage, and its rows of test examples, by the same draws."""
    asked: dict[str, Any] = {"ridge": 0.0, "tile": None, "reference": None}
    if job.stage.method == "empirical":
        asked["draws"] = 1
    if job.stage.method == "mean":  # over as many draws, whatever the error with the test rows
        asked |= {"draws": job.results[job.name]["draws"], "error": None}
    again = replace(job, stage=job.stage.replaced(asked))
    computed = compute(again, problem.dataset)
    return FixedKernel(np.asarray(computed.kernel[:, :]), computed.cross(slice(None)))


def _where_known(problem: FlowProblem) -> tuple[FlowProblem, tuple[str, ...]]:
    """Leave out the test examples, with a warning, if the kernel has no rows for them."""
    name, test = problem.stage.kernel, problem.dataset.test
    if name is None or not len(test.x):
        return problem, ()
    job = _kernel_job(problem, name)
    if job.stage.test_blocks:
        return problem, ()
    how = "read without test_blocks" if job.stage.from_ is not None else "drawn without weights"
    if job.stage.from_ is None and not _is_conditional(job, problem):
        return problem, ()
    dataset = data.Dataset(problem.dataset.train, data.Examples(test.x[:0], test.y[:0]))
    return FlowProblem(problem.job, dataset), (TRAINING_ONLY.format(name=name, how=how),)


def _is_conditional(job: Job, problem: FlowProblem) -> bool:
    stage: Kernel = job.stage
    model: Model = job.model.single if stage.method == "mean" else job.model
    drawn_over = problem.train if stage.ridge is None else len(problem.x)
    return (
        stage.method != "analytic"
        and not stage.tile
        and without_weights(stage, job.plan, model, drawn_over)
    )


def _kernel_job(problem: FlowProblem, name: str) -> Job:
    job, stage = problem.job, problem.job.plan.document.stages[name]
    model = resolve_model(stage, job.plan, job.results)
    return replace(job, name=name, stage=stage, model=model, observe=ignore)
