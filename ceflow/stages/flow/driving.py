"""The fixed kernel that drives a flow of functions, and the function it starts from."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ceflow import data, kernels
from ceflow.events import ignore
from ceflow.spec import Kernel, Model
from ceflow.stages.flow.problem import Problem
from ceflow.stages.kernel.methods import compute, open_kernel
from ceflow.stages.kernel.networks import of_one, without_weights
from ceflow.stages.stage import Job, resolve_model

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, Float

TRAINING_ONLY = (
    "the kernel {name!r} was drawn without weights, so it has no rows of test examples: training"
    " examples only"
)


class Driven(NamedTuple):
    """The NTK of training examples, (n, n) or (n, n, outputs, outputs), and of test with training
    examples; of an infinitely wide network the NNGP of the same."""

    kernel: "Float[np.ndarray, 'n n ...']"
    cross: "Float[np.ndarray, 'm n ...']"
    covariances: "tuple[Float[Array, 'n n'], Float[Array, 'm n']] | None" = None


def driven(problem: Problem, index: int) -> Driven:
    """For one replica: by the kernel stage that is named, in the limit, or by the NTK as drawn."""
    import numpy as np

    if problem.stage.kernel is not None:
        return _by_stage(problem, _kernel_job(problem, problem.stage.kernel))
    train, test = problem.x[: problem.train], problem.x[problem.train :]
    if problem.job.model.finite:
        from ceflow.stages.kernel.compiled import kernel as ntk_of

        module = problem.network(index)
        kernel = np.asarray(ntk_of(module, train))
        cross = np.asarray(ntk_of(module, test, train)) if len(test) else kernel[:0]
        return Driven(kernel, cross)
    own = kernels.analytic(problem.job.model, train)
    if not len(test):
        return Driven(np.asarray(own.ntk), np.asarray(own.ntk[:0]))
    other = kernels.analytic(problem.job.model, test, train)
    return Driven(np.asarray(own.ntk), np.asarray(other.ntk), (own.nngp, other.nngp))


def starting(problem: Problem, index: int) -> "Float[np.ndarray, 'examples outputs']":
    """F at time 0: of a network as drawn; in the limit its mean over initialisations, 0."""
    import numpy as np

    if not problem.job.model.finite:
        return np.zeros((len(problem.x), problem.outputs), problem.x.dtype)
    from ceflow.stages.flow.compiled import outputs

    return np.asarray(outputs(problem.network(index), problem.x))


def where_known(problem: Problem) -> tuple[Problem, tuple[str, ...]]:
    """The problem without test examples where its kernel has none of their rows, and a warning."""
    name, test = problem.stage.kernel, problem.dataset.test
    if name is None or not len(test.x):
        return problem, ()
    job = _kernel_job(problem, name)
    if not _is_conditional(job, problem):
        return problem, ()
    dataset = data.Dataset(problem.dataset.train, data.Examples(test.x[:0], test.y[:0]))
    return Problem(problem.job, dataset), (TRAINING_ONLY.format(name=name),)


def _is_conditional(job: Job, problem: Problem) -> bool:
    stage: Kernel = job.stage
    model: Model = of_one(job.model) if stage.method == "mean" else job.model
    return (
        stage.method != "analytic"
        and not stage.tile
        and without_weights(stage, job.plan, model, problem.train)
    )


def _kernel_job(problem: Problem, name: str) -> Job:
    job, stage = problem.job, problem.job.plan.document.stages[name]
    model = resolve_model(stage, job.plan, job.results)
    return replace(job, name=name, stage=stage, model=model, observe=ignore)


def _by_stage(problem: Problem, job: Job) -> Driven:
    """What an earlier stage left; rows of test examples are computed anew, of the same draws."""
    import numpy as np

    if len(problem.x) == problem.train:
        kernel = np.asarray(open_kernel(job, job.name)[:, :])
        return Driven(kernel, kernel[:0])
    asked: dict[str, Any] = {"ridge": 0.0, "tile": None, "reference": None}
    if job.stage.method == "empirical":
        asked["draws"] = 1
    again = replace(job, stage=job.stage.model_copy(update=asked))
    computed = compute(again, problem.dataset)
    return Driven(np.asarray(computed.kernel[:, :]), computed.cross(slice(None)))
