"""The matrix of a kernel stage, by the method asked for."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ceflow import kernels
from ceflow.data import Dataset
from ceflow.spec import Kernel
from ceflow.stages.kernel.networks import block_of_network, drawer, of_one
from ceflow.stages.measures import measured, warn
from ceflow.stages.stage import Job, Values

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, ArrayLike

    from ceflow.kernels import Matrix

DEAD = "the networks are too narrow, or all inputs 0"


class Found(NamedTuple):
    """The kernel that is kept, in memory or on disk, and what else its method found."""

    matrix: "Matrix"
    values: Values
    between: "Callable[[slice], np.ndarray]"
    """The kernel between some of the test examples and all training examples."""
    stderr: "np.ndarray | None" = None


def analytic(job: Job, dataset: Dataset) -> Found:
    """The limit of infinite width."""
    import numpy as np

    x, test = dataset.train.x, dataset.test.x
    asked = test if job.stage.ridge is not None and len(test) else None
    values = {"quadrature_error": float(kernels.analytic_error(job.model, x, asked))}
    block = kernels.block_kernel(job.model, job.stage.kind)
    matrix = _tiled(job, x, block) if job.stage.tile else np.asarray(block(x))
    return Found(matrix, values, lambda rows: np.asarray(block(dataset.test.x[rows], x)))


def empirical(job: Job, dataset: Dataset) -> Found:
    """Kernels of independent networks, one at a time: the first, and statistics over all."""
    if job.stage.tile:
        return _of_one_network(job, dataset)
    import numpy as np

    draw, train = drawer(job, _inputs(job, dataset)), len(dataset.train.x)
    reference = reference_of(job)
    measured_from = reference if reference is not None and _is_something(reference) else None
    average, first, distances = kernels.KernelAverage(), None, []
    for index in range(job.stage.most_draws):
        whole = np.asarray(draw(job.seed.fold(index).jax()))
        matrix = whole[:train, :train]
        first = whole if first is None else first
        average.add(matrix)
        if measured_from is not None:
            distances.append(kernels.relative_distance(matrix, measured_from))
        job.progress(index + 1, job.stage.most_draws)
    assert first is not None
    values = _statistics(average, distances, reference)
    return Found(first[:train, :train], values, lambda rows: first[train:, :train][rows])


def mean(job: Job, dataset: Dataset) -> Found:
    """The neural mean kernel; an ensemble's is its member's, a block's that of one group."""
    small = replace(job, model=of_one(job.model))
    draw, train = drawer(small, _inputs(job, dataset)), len(dataset.train.x)
    stage, done = job.stage, iter(range(1, job.stage.most_draws + 1))

    def told(key: "Array") -> "Array":
        job.progress(next(done), stage.most_draws)
        return draw(key)

    found = kernels.mean_kernel(told, job.seed, draws=stage.most_draws, error=stage.error)
    inner = (slice(train), slice(train))
    cross = found.mean[train:, :train]
    values: Values = {"draws": found.draws, "error": found.error}
    if math.isnan(found.error):
        values["error"] = None
        warn(values, f"the error is undefined: all kernels drawn are 0 ({DEAD})")
    elif stage.error and found.error > stage.error:
        warn(
            values,
            f"after {found.draws} draws the standard error is {found.error:.2g},"
            f" above the {stage.error:g} asked for: raise draws",
        )
    mean, stderr = (part[inner].astype(job.plan.document.precision) for part in found[:2])
    return Found(mean, values, lambda rows: cross[rows], stderr)


def reference_of(job: Job) -> "Matrix | None":
    """The kernel of the stage that distances are measured from."""
    return job.stage.reference and open_kernel(job, job.stage.reference)


def _is_something(kernel: "Matrix") -> bool:
    """Whether it is not 0: from nothing there is no distance."""
    return any(block.any() for _, block in kernels.row_blocks(kernel))


def open_kernel(job: Job, name: str) -> "Matrix":
    """The kernel that an earlier stage left, on disk where it is in tiles."""
    stage = job.plan.document.stages[name]
    if isinstance(stage, Kernel) and stage.tile:
        return kernels.open(job.directory.array_path(name))
    return job.directory.read_array(name)


def _of_one_network(job: Job, dataset: Dataset) -> Found:
    import numpy as np

    block, x = block_of_network(job), dataset.train.x
    matrix = _tiled(job, x, block)
    return Found(matrix, {"draws": 1}, lambda rows: np.asarray(block(dataset.test.x[rows], x)))


def _tiled(job: Job, x: "np.ndarray", block: "Callable[[ArrayLike, ArrayLike], Array]") -> "Matrix":
    """The kernel on disk; tiles that an interrupted run has left are kept."""
    described = (job.name, job.stage, job.model, job.seed, job.plan.document.precision)
    return kernels.write_tiles(
        job.directory.array_path(job.name),
        block,
        x,
        tile=job.stage.tile,
        identity=hashlib.sha256(repr(described).encode()).hexdigest()[:16],
        observe=job.progress,
    )


def _inputs(job: Job, dataset: Dataset) -> "np.ndarray":
    """The training inputs; for a regression the test inputs too, on which a draw is then made."""
    import numpy as np

    if job.stage.ridge is None:
        return dataset.train.x
    return np.concatenate([dataset.train.x, dataset.test.x])


def _statistics(
    average: "kernels.KernelAverage", distances: list[float], reference: "Matrix | None"
) -> Values:
    """Over the draws: the spread, the mean distance from the reference, and the mean kernel's."""
    import numpy as np

    several = average.count > 1
    values: Values = {"draws": average.count}
    if several:
        measured(values, ["spread"], lambda: {"spread": average.spread}, "the spread")
    if reference is None:
        return values
    keys = ["distance", *(["distance_stderr", "distance_of_mean"] if several else [])]
    if not distances:
        values |= dict.fromkeys(keys)
        warn(values, "the distance is undefined: the reference kernel is 0; are all inputs 0?")
        return values
    values["distance"] = float(np.mean(distances))
    if several:
        values["distance_stderr"] = float(np.std(distances, ddof=1) / math.sqrt(average.count))
        values["distance_of_mean"] = kernels.relative_distance(average.mean, reference)
    return values
