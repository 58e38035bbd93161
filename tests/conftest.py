"""What several tests share: precision, real data, and small data files written by hand."""

import gc
import gzip
import os
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax._src import compiler

from ceflow.compiler.programs import known

# a shell in the background has workers ignore these
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
gc.set_threshold(20_000, 20, 20)  # as in a run: a twentieth of the time
os.environ.pop("COLUMNS", None)  # workers of pytest-xdist have one, which is not a user's

QUICKLY = {
    *("bottlenecks", "claims", "cli", "compiler", "dynamics", "exports", "kernels", "nets"),
    *("report", "runs", "stages", "training", "variance"),
    *("test_documents", "test_extending", "test_growth", "test_layers", "test_notebooks"),
    *("test_random_documents", "test_reference"),
}
"""Folders and files whose tests check formulas or words on small arrays: they mostly compile."""

AS_SHIPPED = {
    *("test_bits", "test_devices", "test_environment"),
    *("test_killed", "test_memory"),
    *("test_tiled_contraction", "test_tiled_kernels"),
}
"""Files in those folders whose tests check bits or memory."""


SELDOM = {
    line
    for line in (Path(__file__).parent / "seldom.txt").read_text().splitlines()
    if not line.startswith("#")
}
"""The nodes below tests/ that only `make test-slow` runs."""


LONG = {"test_random_documents", "test_examples", "test_reference", "test_documents"}
"""Files of few long tests: at the end, one worker would have to wait for another's."""


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as slow what `seldom.txt` names, and let the long files begin.

    A line that names nothing in a file that is collected is an error: its case was renamed, and
    would run with the quick ones.
    """
    items.sort(key=lambda item: item.path.stem not in LONG)
    nodes = {item.nodeid.removeprefix("tests/"): item for item in items}
    for node in SELDOM & nodes.keys():
        nodes[node].add_marker(pytest.mark.slow)
    if all("::" not in argument for argument in config.args):
        files = {node.partition("::")[0] for node in nodes}
        gone = sorted(n for n in SELDOM - nodes.keys() if n.partition("::")[0] in files)
        if gone:
            raise pytest.UsageError(f"tests/seldom.txt names what is no test: {', '.join(gone)}")


QUICK = known({"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1})
options_of_jax = compiler.get_compile_options


def quick_options(
    *arguments: Any, env_options_overrides: dict[str, Any] | None = None, **options: Any
) -> Any:
    """JAX's options, with fusions compiled the older way and programs in one part: half the time.

    They are no configuration of JAX, and XLA_FLAGS would hold for all files of a process."""
    overrides = QUICK | (env_options_overrides or {})
    return options_of_jax(*arguments, env_options_overrides=overrides, **options)


# What files make of arrays when they are collected is compiled so too, and let go of after it.
compiler.get_compile_options = quick_options
jax.config.update("jax_disable_most_optimizations", True)


def pytest_collection_finish() -> None:
    compiler.get_compile_options = options_of_jax
    jax.clear_caches()


@pytest.fixture(scope="module", autouse=True)
def compiled(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile with few optimisations where that is enough, and drop what a file's tests compile.

    Where bits, memory or whole runs are tested all is compiled as it is for users. Each program
    takes memory maps, of which Linux gives a process 65,530: a worker that keeps all of them is
    killed by XLA near the end of the suite.
    """
    quickly = bool({request.path.stem, request.path.parent.name} & QUICKLY)
    quickly &= request.path.stem not in AS_SHIPPED
    jax.config.update("jax_disable_most_optimizations", quickly)
    with pytest.MonkeyPatch.context() as patch:
        if quickly:
            patch.setattr(compiler, "get_compile_options", quick_options)
        yield
    jax.clear_caches()


@pytest.fixture
def x64() -> Iterator[None]:
    """Float64 arrays for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def data_folder() -> Path:
    """The folder with mnist/ and cifar-10-batches-bin/; the test is skipped without it."""
    folder = os.environ.get("CEFLOW_DATA")
    if not folder:
        pytest.skip("CEFLOW_DATA does not name a folder with mnist/ and cifar-10-batches-bin/")
    return Path(folder)


def idx_bytes(array: np.ndarray) -> bytes:
    """The IDX format, as its documentation has it: 0, 0, 8 (bytes), dimensions, sizes, content."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def write_idx(tmp_path: Path) -> Callable[..., Path]:
    """Writes one part of an IDX data set, with random 2x3 images, into `tmp_path`."""

    def write(
        part: str, labels: Sequence[int], *, separator: str = "-", packed: bool = False
    ) -> Path:
        images = np.random.default_rng(len(labels)).integers(0, 256, (len(labels), 2, 3))
        for name, array in (("images", images), ("labels", np.array(labels, dtype=np.uint8))):
            path = tmp_path / f"{part}-{name}{separator}idx{array.ndim}-ubyte"
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx_bytes(array)))
            else:
                path.write_bytes(idx_bytes(array))
        return tmp_path

    return write


@pytest.fixture
def folder(
    tmp_path: Path, write_idx: Callable[..., Path], write_cifar: Callable[..., Path]
) -> Path:
    """A folder with small sound files of every kind of source."""
    write_idx("train", [0, 1, 2, 1])
    write_idx("t10k", [2, 1])
    write_cifar("data_batch_1.bin", [0, 1, 9])
    write_cifar("test_batch.bin", [3])
    x, y = np.arange(6.0).reshape(3, 2), np.arange(3)
    np.savez(tmp_path / "a.npz", x=x, y=y, x_test=x[:2], y_test=y[:2])
    return tmp_path


@pytest.fixture
def write_cifar(tmp_path: Path) -> Callable[..., Path]:
    """Writes one CIFAR-10 batch, with random images, into `tmp_path`."""

    def write(name: str, labels: Sequence[int]) -> Path:
        random = np.random.default_rng(len(labels))
        records = [bytes([label]) + random.bytes(3072) for label in labels]
        (tmp_path / name).write_bytes(b"".join(records))
        return tmp_path

    return write
