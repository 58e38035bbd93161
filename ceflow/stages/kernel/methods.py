"""The kernel over the training examples, by the requested method."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ceflow import kernels
from ceflow.data import Dataset
from ceflow.events import Notice
from ceflow.stages.kernel.files import BLOCKS, KernelFile, beside, doubts, read_kernel
from ceflow.stages.kernel.networks import drawer, one_network
from ceflow.stages.kernel.result import MethodResult
from ceflow.stages.result import measured
from ceflow.stages.stage import Job
from ceflow.store.arrays import About, metadata_of, read_array, read_rows
from ceflow.store.tiles import OtherStore

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, ArrayLike, Float

    from ceflow.kernels import Matrix

DIAGONAL_ROWS = 16
"""Number of examples in a block about the diagonal of a kernel."""

WHY_ZERO = "the networks are too narrow, or all inputs 0"


def no_test_block(*_: slice) -> "np.ndarray":
    """Stand for the blocks of test examples of a kernel that was read without them."""
    raise ValueError("the file of the kernel has no blocks of test examples")


class Computed(NamedTuple):
    """A kernel over the training examples, and what its method reports."""

    kernel: "Matrix"
    """Kernel of shape (n, n) or (n, n, outputs, outputs), in memory or on disk."""
    cross: "Callable[[slice], Float[np.ndarray, 'rows n ...']]"
    """Function that computes the same kernel between a slice of the test examples and all training
    examples."""
    among: "Callable[[], Matrix]"
    """Function that computes the same kernel among the test examples."""
    about: MethodResult
    file: KernelFile | None = None
    """File from which the kernel was read, or None if it was computed."""
    own: "Callable[[], Float[np.ndarray, ' m']] | None" = None
    """Function that computes the diagonal of the kernel among the test examples, if that is quicker
    than the kernel."""

    def test_diagonal(self) -> "Float[np.ndarray, ' m']":
        """Compute the kernel of each test example with itself."""
        return self.own() if self.own else self.among().diagonal()

    @property
    def knows_test(self) -> bool:
        """Whether there is a kernel of test examples, and not of training examples alone."""
        return self.cross is not no_test_block


def compute(job: Job, dataset: Dataset) -> Computed:
    """Compute the kernel by the stage's method, or read it, within
    `ceflow.stages.stage.precision`.
    """
    method = _read if job.stage.from_ is not None else METHODS[job.stage.method]
    return method(job, dataset)


def reference_of(job: Job) -> "Matrix | None":
    """Open the reference kernel of the stage, or return None."""
    return job.stage.reference and open_kernel(job, job.stage.reference)


def open_kernel(job: Job, name: str) -> "Matrix":
    """Open the kernel of an earlier stage; a tiled one stays on disk."""
    path = job.directory.array_path(name)
    stored = metadata_of(path)
    return kernels.open(path) if stored and stored.is_tiled else read_array(path)


def _read(job: Job, dataset: Dataset) -> Computed:
    """Read a kernel that was computed before."""
    kernel, file = read_kernel(job, dataset)
    about = MethodResult.model_validate(accuracy(file.about)).warned(*doubts(job, file))
    if not job.stage.test_blocks:
        return Computed(kernel, no_test_block, no_test_block, about, file)
    rows, square = (beside(file, block) for block in BLOCKS)
    return Computed(
        kernel, lambda part: read_rows(rows, part), lambda: read_array(square), about, file
    )


def accuracy(about: MethodResult | About) -> About:
    """Return the bound on the error of a kernel, if there is one among these facts."""
    return {key: about[key] for key in ("quadrature_error",) if key in about}


def _analytic(job: Job, dataset: Dataset) -> Computed:
    """Compute the limit of infinite width."""
    x, test = dataset.train.x, dataset.test.x
    asked = test if _needs_test(job) and len(test) else None
    error = float(kernels.analytic_error(job.model, x, asked))
    about = MethodResult(quadrature_error=None if math.isnan(error) else error)
    return _by_blocks(job, x, test, kernels.block_kernel(job.model, job.stage.kind), about)


def _by_blocks(
    job: Job,
    x: "np.ndarray",
    test: "np.ndarray",
    block: "Callable[..., Array]",
    about: MethodResult,
) -> Computed:
    """Compute a kernel by a function of blocks, on disk if the stage asks for tiles."""
    import numpy as np

    def square(x: "np.ndarray", part: str = "") -> "Matrix":
        return _tiled(job, x, block, part) if job.stage.tile else np.asarray(block(x))

    return Computed(
        square(x),
        lambda rows: np.asarray(block(test[rows], x)),
        lambda: square(test, "test"),
        about,
        own=lambda: _diagonal(block, test),
    )


def _empirical(job: Job, dataset: Dataset) -> Computed:
    """Draw independent networks, one at a time; keep the first one's kernel, compare all."""
    if job.stage.tile:
        return _of_one_network(job, dataset)
    import numpy as np

    draw, train = drawer(job, _inputs(job, dataset)), len(dataset.train.x)
    reference = reference_of(job)
    measured_from = reference if reference is not None and _is_something(reference) else None
    average, first, distances = kernels.KernelAverage(), None, []
    for index in range(job.stage.most_draws):
        whole = np.asarray(draw(job.seed.fold(index).jax()))
        kernel = whole[:train, :train]
        first = whole if first is None else first
        average.add(kernel)
        if measured_from is not None:
            distances.append(kernels.relative_distance(kernel, measured_from))
        job.progress(index + 1, job.stage.most_draws)
    assert first is not None
    return _split(first, train, _over_draws(average, distances, reference))


def _mean(job: Job, dataset: Dataset) -> Computed:
    """Estimate the mean over draws. An ensemble has that of its member, a block that of one group:
    for the NNGP because the outputs of each have mean 0.
    """
    small = replace(job, model=job.model.single)
    draw, train = drawer(small, _inputs(job, dataset)), len(dataset.train.x)
    stage, done = job.stage, iter(range(1, job.stage.most_draws + 1))

    def told(key: "Array") -> "Array":
        job.progress(next(done), stage.most_draws)
        return draw(key)

    estimate = kernels.mean_kernel(told, job.seed, draws=stage.most_draws, error=stage.error)
    mean, stderr = (part.astype(job.plan.document.precision) for part in estimate[:2])
    draws, error = estimate.draws, estimate.error
    about = MethodResult(
        draws=draws, error=None if math.isnan(error) else error, stderr=stderr[:train, :train]
    )
    if math.isnan(error):
        about = about.warned(f"the error is undefined: all kernels drawn are 0 ({WHY_ZERO})")
    elif stage.error and error > stage.error:
        about = about.warned(
            f"after {draws} draws the standard error is {error:.2g},"
            f" above the {stage.error:g} asked for: raise draws"
        )
    return _split(mean, train, about)


def _split(whole: "np.ndarray", train: int, about: MethodResult) -> Computed:
    """Split a kernel over all examples into its blocks."""
    cross = whole[train:, :train]
    return Computed(
        whole[:train, :train], lambda rows: cross[rows], lambda: whole[train:, train:], about
    )


METHODS: dict[str, Callable[[Job, Dataset], Computed]] = {
    "analytic": _analytic,
    "empirical": _empirical,
    "mean": _mean,
}


def _needs_test(job: Job) -> bool:
    """Tell whether the kernel of test examples is needed."""
    return job.stage.ridge is not None or job.stage.test_blocks


def _is_something(kernel: "Matrix") -> bool:
    """Tell whether a kernel is not all 0, so that relative distances from it are defined."""
    return any(block.any() for _, block in kernels.row_blocks(kernel))


def _of_one_network(job: Job, dataset: Dataset) -> Computed:
    """Compute the kernel of the only network drawn, in tiles."""
    prepared, block = one_network(job)
    x, test = prepared(dataset.train.x), dataset.test.x
    test = prepared(test) if _needs_test(job) and len(test) else test
    return _by_blocks(job, x, test, block, MethodResult(draws=1))


def _diagonal(
    block: "Callable[[ArrayLike, ArrayLike], Array]", x: "Float[np.ndarray, 'm ...']"
) -> "Float[np.ndarray, ' m']":
    """Compute the kernel of each example with itself, by blocks of one shape about the diagonal."""
    import numpy as np

    count = -(-len(x) // DIAGONAL_ROWS) * DIAGONAL_ROWS
    padded = x[np.minimum(np.arange(count), len(x) - 1)]
    parts = [padded[start : start + DIAGONAL_ROWS] for start in range(0, count, DIAGONAL_ROWS)]
    return np.concatenate([np.asarray(block(part, part)).diagonal() for part in parts])[: len(x)]


def _tiled(
    job: Job, x: "np.ndarray", block: "Callable[[ArrayLike, ArrayLike], Array]", part: str = ""
) -> "Matrix":
    """Compute a kernel on disk; tiles that an interrupted run has written are kept, if they are
    intact and of the same network.
    """
    file = f"{job.name}.{part}" if part else job.name
    described = (job.name, job.stage, job.model, job.seed, job.plan.document.precision)

    def written() -> "Matrix":
        return kernels.write_tiles(
            job.directory.array_path(file),
            block,
            x,
            tile=job.stage.tile,
            identity=hashlib.sha256(repr(described).encode()).hexdigest()[:16],
            observe=job.progress,
        )

    try:
        return written()
    except OtherStore:
        name = job.directory.array_name(file)
        job.observe(Notice(job.name, f"{name} holds no tiles of this kernel: it is begun anew"))
        job.directory.remove(name)
        return written()


def _inputs(job: Job, dataset: Dataset) -> "np.ndarray":
    """Return the training inputs, and the test inputs if the kernel is needed there too: it must be
    of the same draw.
    """
    import numpy as np

    if not _needs_test(job):
        return dataset.train.x
    return np.concatenate([dataset.train.x, dataset.test.x])


def _over_draws(
    average: "kernels.KernelAverage", distances: list[float], reference: "Matrix | None"
) -> MethodResult:
    """Measure the spread, the mean distance from the reference, and the distance of the mean
    kernel.
    """
    import numpy as np

    several = average.count > 1
    about = MethodResult(draws=average.count)
    if several:
        about = measured(about, ["spread"], lambda: {"spread": average.spread}, "the spread")
    if reference is None:
        return about

    def from_reference() -> dict[str, float]:
        if not distances:
            raise ValueError("the reference kernel is 0; are all inputs 0?")
        mean = {"distance": float(np.mean(distances))}
        if not several:
            return mean
        stderr = float(np.std(distances, ddof=1) / math.sqrt(average.count))
        of_mean = kernels.relative_distance(average.mean, reference)
        return mean | {"distance_stderr": stderr, "distance_of_mean": of_mean}

    fields = ["distance", *(["distance_stderr", "distance_of_mean"] if several else [])]
    return measured(about, fields, from_reference, "the distance")
