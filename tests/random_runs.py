"""What may come of a random document: it is refused with a place, or each of its stages is done or
ends in a sentence of ceflow's own, and then all of it can be shown.

    python tests/random_runs.py 0 500           # judges so many seeds, and lists what is wrong
    python tests/random_runs.py 0 500 networks  # the same of networks of layers
"""

import io
import json
import linecache
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch
from xml.etree import ElementTree

import jax
import numpy as np
from conftest import idx_bytes
from random_documents import ODD, Tree, tree_of
from random_networks import network_of
from rich.console import Console

import ceflow
from ceflow.compiler import compile
from ceflow.exports import Format, export
from ceflow.report import plan_tree, run_report, write_figures
from ceflow.runs import Prepared, prepare, reopen, run_prepared
from ceflow.runs.failures import Failure
from ceflow.spec import SpecError, loads
from ceflow.spec.codes import CODES
from ceflow.store import RunDirectory

ATTEMPTS = 500
"""Documents of a seed, until one is sound and small enough to be run."""

SECONDS, MEMORY, COMPILATIONS = 3.0, 6e8, 43
"""The most that the stages of a document may need by their forecasts."""
OFTEN = 0.3
"""Which part of those seconds and compilations a document of the fast tests may need."""


class Wrong(AssertionError):
    """Something that no document may lead to."""


def write_files(folder: Path) -> None:
    """Small data of every source that reads files: ones that are well, and ones that are odd."""
    r = np.random.default_rng(0)
    x, y = r.normal(size=(6, 3)), r.integers(0, 3, (6, 1))
    odd = (x, 0 * x, np.ones_like(x), 1e200 * x, 1e-200 * x, x[:1], (9 * x).astype(np.uint8))
    for name, inputs in zip(ODD, odd, strict=True):
        test = {} if name == ODD[0] else {"x_test": inputs[:2], "y_test": y[: len(inputs)][:2]}
        np.savez(folder / f"{name}.npz", x=inputs, y=y[: len(inputs)], **test)
    (folder / "mnist").mkdir()
    (folder / "cifar-10-batches-bin").mkdir()
    for part in ("train", "t10k"):
        for kind, array in (
            ("images", r.integers(0, 256, (6, 2, 3))),
            ("labels", np.arange(6) % 3),
        ):
            file = folder / "mnist" / f"{part}-{kind}-idx{array.ndim}-ubyte"
            file.write_bytes(idx_bytes(array))
    for file in ("data_batch_1.bin", "test_batch.bin"):
        records = [bytes([label]) + r.bytes(3072) for label in (3, 4, 5, 3, 4, 5)]
        (folder / "cifar-10-batches-bin" / file).write_bytes(b"".join(records))


def judge(
    seed: int, folder: Path, share: float = 1.0, make: Callable[[int, int], Tree] = tree_of
) -> tuple[int, str]:
    """Run the first document of a seed that is sound and needs no more than a share of what small
    ones may. Tells which it is and how it ended. Raises `Wrong`."""
    for attempt in range(ATTEMPTS):
        try:
            prepared = sound(make(seed, attempt))
            if prepared is not None and small(prepared, share):
                return attempt, run(prepared, folder / f"{seed}")
        except Wrong as error:
            raise Wrong(f"document {attempt} of seed {seed}: {error}") from error
    raise Wrong(f"of {ATTEMPTS} documents none can be run")


def sound(tree: Tree) -> Prepared | None:
    """A document that can be run; None where it is refused as it should be."""
    try:
        with ends_in_a_sentence("the check"):
            return prepare(compile(loads(json.dumps(tree), "json")))
    except SpecError as error:
        for fault in error.faults:
            if fault.code not in CODES or not fault.message or fault.place is None:
                raise Wrong(f"a fault without a place: {fault!r}") from None
        return None


def small(prepared: Prepared, share: float) -> bool:
    """Tell whether little memory and work is forecast, by rates that are the same on every
    machine."""
    stages = [stage for run in prepared.forecasts.values() for stage in run.values()]
    work = [stage.work for stage in stages]
    seconds = sum(w.flops / 1e9 + w.traffic / 1e9 + w.normals / 1e7 + w.seconds for w in work)
    compilations = sum(w.compilations for w in work)
    memory = max((stage.memory for stage in stages), default=0)
    return memory < MEMORY and seconds < share * SECONDS and compilations < share * COMPILATIONS


def run(prepared: Prepared, path: Path) -> str:
    """Its stages are done or end in a sentence, and what was found is shown."""
    caught: list[Exception] = []

    def kept(error: Exception, stage: str, run: str = "") -> Failure:
        caught.append(error)
        return Failure(stage, str(error), run)

    with (
        patch.object(Failure, "from_error", kept),
        suppress(ceflow.RunError),
        ends_in_a_sentence("the run"),
    ):
        run_prepared(prepared, path)
    for error in caught:
        with suppress(ValueError, OSError), ends_in_a_sentence("a stage"):
            raise error
    show(RunDirectory(path), prepared)
    for to in get_args(Format):
        with suppress(SpecError), ends_in_a_sentence(f"the export to {to}"):
            export(prepared.plan, to)
    return "; ".join(map(str, caught)) or "done"


def show(directory: RunDirectory, prepared: Prepared) -> None:
    """In the terminal at two widths, and as figures; again from the directory alone."""
    for file in directory.path.rglob("*.json"):
        json.loads(file.read_text(), parse_constant=_no_json)
    with ends_in_a_sentence("the figures"):
        write_figures(directory, prepared.plan)
    for file in directory.path.rglob("*.svg"):
        ElementTree.parse(file)
    for width in (80, 120):
        text = io.StringIO()
        console = Console(width=width, file=text, color_system=None)
        with ends_in_a_sentence("the report"):
            console.print(plan_tree(prepared.plan, prepared.needs()))
            for part in run_report(directory, reopen(directory)):
                console.print(part)
        _check_text(text.getvalue(), width)


def _no_json(constant: str) -> None:
    raise Wrong(f"a file that is no JSON: it holds {constant}")


def _check_text(text: str, width: int) -> None:
    for line in text.splitlines():
        if not line.isprintable():
            raise Wrong(f"characters that no terminal should be sent: {line!r}")
        if len(line) > width:
            raise Wrong(f"a line of {len(line)} characters at {width} columns: {line!r}")


@contextmanager
def ends_in_a_sentence(what: str) -> Iterator[None]:
    """Raises `Wrong` for an exception that ceflow did not raise with a text of its own."""
    try:
        yield
    except (SpecError, ceflow.RunError):
        raise
    except Exception as error:
        if not _is_own(error):
            raise Wrong(f"{what} ends in {type(error).__name__}: {str(error)[:300]}") from error


def _is_own(error: Exception) -> bool:
    """Whether it is of a kind for sentences, and was raised by a line of ceflow's own.

    A failed disk (`OSError`) is the system's to say.
    """
    if not isinstance(error, ValueError | OSError) or not str(error).strip():
        return False
    kind = type(error)
    if kind not in (ValueError, OSError) and not kind.__module__.startswith("ceflow"):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno or 0).strip()
    return "/ceflow/" in last.filename and line.startswith("raise")


def main(first: int, last: int, make: Callable[[int, int], Tree] = tree_of) -> None:
    """Judge these seeds; what is wrong is told as it is found."""
    jax.config.update("jax_disable_most_optimizations", True)
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        os.environ["CEFLOW_DATA"] = name
        for seed in range(first, last):
            started = time.process_time()
            try:
                found: Any = judge(seed, folder, make=make)
            except Wrong as error:
                found = f"WRONG {error}"
                traceback.print_exc()
            print(f"{seed}  {time.process_time() - started:.1f} s  {found}", flush=True)
            if seed % 20 == 19:
                jax.clear_caches()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), network_of if sys.argv[3:] else tree_of)
