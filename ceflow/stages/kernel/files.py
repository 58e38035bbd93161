"""Files of kernels that were computed before: arrays of runs, and arrays of other programs.

`inspect` reads what a file says of itself, `faults` compares it with the document, and
`read_kernel` reads the numbers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ceflow import kernels
from ceflow.compiler import Plan
from ceflow.data import Dataset, Extent
from ceflow.data.archives import arrays, names_in
from ceflow.data.npy import PickledError, UnsoundError, read_header
from ceflow.spec import Fault, Kernel, SpecError
from ceflow.stages.kernel.provenance import inputs_digest, model_text
from ceflow.stages.stage import Job
from ceflow.store.arrays import About, metadata_of, read_array

if TYPE_CHECKING:
    import numpy as np

    from ceflow.kernels import Matrix

FORMS = (
    "name an array of a run, as runs/NAME/arrays/STAGE.zarr, or an .npy or .npz file with one array"
)

BLOCKS = ("test_train", "test")
"""Fields of the result that hold the blocks of test examples."""

TEST_ROWS = 1024
"""Number of test examples whose rows are computed at once."""

NPY_START, ZIP_START = b"\x93NUMPY", b"PK"


@dataclass(frozen=True)
class KernelFile:
    """A file with a kernel: its format and shape, and what the kernel is of."""

    path: Path
    form: Literal["zarr", "numpy"]
    shape: tuple[int, ...]
    itemsize: int
    is_tiled: bool = False
    about: About = field(default_factory=dict)
    """Facts that ceflow stored with the array (`provenance`); empty if nothing tells them."""
    member: str = ""
    """Name of the array in an `.npz` file; empty for other formats."""

    @property
    def method(self) -> str:
        """Method that computed the kernel, or `unknown`."""
        return str(self.about.get("method", "unknown"))

    def read(self) -> Any:
        """Load the array; one in tiles stays on disk. Raises `ValueError` if it is not sound."""
        import numpy as np

        if self.is_tiled:
            return kernels.open(self.path)
        if self.form == "zarr":
            return _floats(read_array(self.path))
        found = np.load(self.path, allow_pickle=False)
        return _floats(found[self.member] if self.member else found)


def _floats(array: "np.ndarray") -> "np.ndarray":
    """Convert whole numbers and short floats to floats of at least 32 bits."""
    import numpy as np

    least = np.float64 if array.dtype.kind in "biu" else np.float32
    return array.astype(np.promote_types(array.dtype, least), copy=False)


def inspect(path: Path) -> KernelFile:
    """Read what a file holds, without its numbers. Raises `SpecError`, placed at the key `from`."""
    if not path.exists():
        raise _fault("CE301", f"there is no kernel at {path}", FORMS)
    try:
        return _of_store(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        raise _fault("CE301", f"{path} cannot be read: {error.strerror}") from None
    except SpecError as error:
        at_key = (
            replace(fault, path=("from",), help=fault.help or FORMS) for fault in error.faults
        )
        raise SpecError(*at_key) from None


def _of_store(path: Path) -> KernelFile:
    stored = metadata_of(path)
    if stored is None:
        kept = sorted(each.name for each in (path / "arrays").glob("*.zarr"))
        help = f"name one of its arrays, as {path / 'arrays' / kept[0]}" if kept else FORMS
        raise _fault("CE302", f"{path} is a folder, but no array of Zarr", help)
    return KernelFile(
        path, "zarr", stored.shape, stored.itemsize, stored.is_tiled, dict(stored.about)
    )


def _of_file(path: Path) -> KernelFile:
    with path.open("rb") as file:
        start = file.read(len(NPY_START))
        file.seek(0)
        if start == NPY_START:
            try:
                header = read_header(file, path.stat().st_size)
            except (UnsoundError, PickledError) as error:
                why = str(error) or "holds Python objects: a pickle, which is never loaded"
                raise _fault("CE302", f"{path} {why}", "save an array of numbers") from None
            return KernelFile(path, "numpy", header.shape, header.itemsize)
    if not start.startswith(ZIP_START):
        raise _fault("CE302", f"{path} is not an array of Zarr or NumPy", FORMS)
    names = names_in(path)
    if len(names) != 1:
        message = f"{path} holds {len(names)} arrays, and must hold the kernel alone"
        raise _fault("CE302", message, "save it by numpy.save(path, kernel)")
    header = arrays(path, (names[0],))[names[0]].header
    return KernelFile(path, "numpy", header.shape, header.itemsize, member=names[0])


def read_kernel(job: Job, dataset: Dataset) -> tuple["Matrix", KernelFile]:
    """Read the kernel that a stage names; one in tiles stays where it is.

    Raises `ValueError` if it is of other training inputs, incomplete, not symmetric or not finite.
    """
    file = inspect(job.plan.path(job.name, "from"))
    digest = inputs_digest(dataset.train.x)
    if file.about.get("train", digest) != digest:
        raise ValueError(
            f"the kernel in {file.path} is of other training inputs than those of this document, or"
            " of the same in another order: name a kernel of these, or the [data] that it is of"
        )
    for block in BLOCKS if job.stage.test_blocks else ():
        _require_blocks(beside(file, block), file, inputs_digest(dataset.test.x))
    kernel = file.read()
    if file.is_tiled and not kernel.is_complete:
        raise ValueError(f"the kernel in {file.path} is not complete: run its document again first")
    try:
        return kernels.as_kernel(kernel), file
    except ValueError as error:
        raise ValueError(f"the array in {file.path} is no kernel: {error}") from None


def _require_blocks(path: Path, file: KernelFile, digest: str) -> None:
    """Raise `ValueError` unless a block is of the same kernel, and of these test inputs."""
    stored = metadata_of(path)
    about = stored.about if stored else {}
    if about != file.about | {"test": digest}:
        raise ValueError(
            f"the kernel in {path} is of other test inputs than those of this document, or of"
            f" another kernel than {file.path}"
        )


def beside(file: KernelFile, block: str) -> Path:
    """Return the place of a block of test examples: beside the kernel of the same run."""
    return file.path.with_name(f"{file.path.name.removesuffix('.zarr')}.{block}.zarr")


def doubts(job: Job, file: KernelFile) -> Iterator[str]:
    """Say what is not known of a kernel that was read, or differs from the stage."""
    place, error = job.stage.from_, file.about.get("quadrature_error", 0.0)
    if said := kernels.inaccuracy(math.nan if error is None else error):
        yield said
    if "train" not in file.about:
        yield (
            f"nothing tells of which inputs the kernel in {place} is: only that it is a symmetric"
            " matrix of the right size was checked"
        )
    method = file.about.get("method", "")
    if file.about.get("model", "") not in ("", model_text(job.model, method)):
        yield f"the kernel in {place} is of another network than the one that this stage acts on"


def _fault(code: str, message: str, help: str = "") -> SpecError:
    return SpecError(Fault(code, message, ("from",), help=help))


def faults(name: str, stage: Kernel, plan: Plan) -> Iterator[Fault]:
    """Find what is wrong with the file of a stage, as far as that shows without its numbers."""
    try:
        file = inspect(plan.path(name, "from"))
    except SpecError as error:
        yield from error.faults
        return
    assert plan.data is not None
    rows = plan.data.train
    if len(file.shape) == 4:
        message = f"the kernel in {file.path} has more than one number per pair of examples"
        yield Fault("CE302", message, ("from",), help='compute it with outputs = "mean"')
    elif file.shape != (rows, rows):
        shape = " x ".join(map(str, file.shape)) or "a single number"
        message = f"the kernel in {file.path} is {shape}, and there are {rows} training examples"
        source = plan.document.data
        its = "half its rows" if source and source.copies == 2 else "its rows"
        help = f"it is a kernel of other data; name another, or set data.train to {its}"
        yield Fault("CE302", message, ("from",), help=help)
    kind = file.about.get("kind", stage.kind)
    if kind != stage.kind:
        message = f"the kernel in {file.path} is an {kind.upper()}, not an {stage.kind.upper()}"
        yield Fault("CE302", message, ("from",), help=f'set kind = "{kind}", or name another file')
    if stage.test_blocks:
        yield from _block_faults(file, plan.data)


def _block_faults(file: KernelFile, data: Extent) -> Iterator[Fault]:
    """Find blocks of test examples that are not beside a kernel, or of another size."""
    for block, shape in (("test_train", (data.test, data.train)), ("test", (data.test, data.test))):
        path = beside(file, block)
        stored = metadata_of(path)
        if stored is None:
            message = f"there are no test blocks beside {file.path}: {path.name} is missing"
            help = "compute the kernel with test_blocks = true, or leave it out here"
            yield Fault("CE301", message, ("test_blocks",), "key", help)
            return
        if stored.shape != shape:
            there, here = (" x ".join(map(str, each)) for each in (stored.shape, shape))
            message = f"the kernel in {path} is {there}, and the test examples need {here}"
            help = "it is of other data; name another, or set data.test as it was there"
            yield Fault("CE302", message, ("test_blocks",), "key", help)
            return
