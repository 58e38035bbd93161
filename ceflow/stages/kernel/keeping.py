"""Writing a kernel to the run: the matrix, its blocks of test examples, and what they are of."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ceflow.data import Dataset
from ceflow.stages.kernel.files import BLOCKS, TEST_ROWS, KernelFile, beside
from ceflow.stages.kernel.methods import Computed, accuracy
from ceflow.stages.kernel.provenance import inputs_digest, provenance
from ceflow.stages.stage import Job
from ceflow.store.arrays import About, read_rows

if TYPE_CHECKING:
    import numpy as np

    from ceflow.kernels import Matrix


def keep(job: Job, dataset: Dataset, computed: Computed) -> tuple[dict[str, str], Computed]:
    """Write the kernel of a stage to the run, and the blocks that it is asked for.

    Returns the names of the files by field of the result, and the kernel with the blocks read from
    there.
    """
    name, file = job.name, computed.file
    about = file.about if file else provenance(job, dataset) | accuracy(computed.about)
    _keep_matrix(job, name, computed.kernel, about, file)
    if not job.stage.test_blocks:
        return {"array": job.directory.array_name(name)}, computed
    rows, square = (f"{name}.{block}" for block in BLOCKS)
    about = about | {"test": inputs_digest(dataset.test.x)}
    if file is not None:
        for block in BLOCKS:
            job.directory.copy_array(f"{name}.{block}", beside(file, block))
    elif not len(dataset.test.x):
        raise ValueError("there are no test examples, so there are no test_blocks to keep")
    else:
        job.directory.write_rows(rows, _rows(dataset, computed), len(dataset.test.x), about)
        _keep_matrix(job, square, computed.among(), about)
    path = job.directory.array_path(rows)
    files = {"array": name, "test_train": rows, "test": square}
    named = {field: job.directory.array_name(each) for field, each in files.items()}
    return named, computed._replace(cross=lambda part: read_rows(path, part))


def _keep_matrix(
    job: Job, name: str, kernel: "Matrix", about: About, file: KernelFile | None = None
) -> None:
    """Write a kernel; one in tiles is in the run already, or is copied from its file."""
    import numpy as np

    if isinstance(kernel, np.ndarray):
        job.directory.write_array(name, kernel, about)
    elif file is None:
        job.directory.describe_array(name, about)
    else:
        job.directory.copy_array(name, file.path)


def _rows(dataset: Dataset, computed: Computed) -> "Iterator[np.ndarray]":
    """Yield the kernel between test and training examples, by blocks of rows."""
    for part in parts_of(len(dataset.test.x)):
        yield computed.cross(part).astype(computed.kernel.dtype, copy=False)


def parts_of(count: int) -> Iterator[slice]:
    """Split test examples into parts whose rows of the kernel are held at once."""
    for start in range(0, count, TEST_ROWS):
        yield slice(start, min(start + TEST_ROWS, count))
