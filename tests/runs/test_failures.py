"""Which failures say all there is to say, and which may need a look at the code."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from ceflow.cli.failures import explained
from ceflow.kernels import fit
from ceflow.report.text import size
from ceflow.runs import RunError
from ceflow.runs.failures import Failure, is_foreseen, sentence
from ceflow.spec import loads
from ceflow.store.atomic import writing


def raising(error: Exception) -> Callable[[], object]:
    def raises() -> None:
        raise error

    return raises


def full_disk() -> None:
    with writing("results.json"):  # pyright: ignore[reportArgumentType]
        raise OSError(28, "No space left on device")


def caught(broken: Callable[[], object]) -> Exception:
    try:
        broken()
    except Exception as error:
        return error
    raise AssertionError("it was to fail")


def test_a_sentence_about_a_file_stands_as_it_is():
    assert (
        sentence(caught(full_disk)) == "results.json could not be written: no space left on device"
    )


@pytest.mark.parametrize(
    ("broken", "foreseen"),
    [
        (lambda: loads("ceflow = 2"), True),
        (lambda: fit(np.full((2, 2), np.nan), np.ones((2, 1))), True),
        (full_disk, True),
        (raising(MemoryError()), True),
        (raising(FileNotFoundError(2, "No such file or directory", "x.npz")), True),
        (raising(ValueError("of a library")), False),
        (raising(RuntimeError("of a library")), False),
        (lambda: size("a"), False),  # by Python itself, in a line of ceflow  # pyright: ignore
        (lambda: np.zeros(3).reshape(2, 2), False),
    ],
)
def test_the_code_is_pointed_to_only_where_a_sentence_is_not_ceflows_own(broken, foreseen, capsys):
    error = caught(broken)
    assert is_foreseen(error) == foreseen
    failed = RunError(None, (Failure.from_error(error, "s"),))  # pyright: ignore[reportArgumentType]
    with suppress(SystemExit), explained("the run"):
        raise failed
    assert ("CEFLOW_TRACEBACK" in capsys.readouterr().err) != foreseen
