"""Errors as a user sees them: a sentence and an exit code, never a traceback."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from ceflow.spec import Fault, SpecError, printable

KEPT = "; its finished stages are kept: run it again, with the same --out, to go on"
HINT = "\n(CEFLOW_TRACEBACK=1 shows where)"


def fail(message: str, status: int) -> NoReturn:
    """Exit with a message on stderr. Status 1: the run failed; 2: the spec or the command
    is wrong.
    """
    click.echo(shown(message), err=True)
    sys.exit(status)


def shown(text: str) -> str:
    """Escape control characters in lines, which may quote any names and texts."""
    return "\n".join(map(printable, text.split("\n")))


@contextmanager
def explained(what: str, again: Callable[[Path], str] | None = None) -> Iterator[None]:
    """Turn errors into messages: exit status 2 for a wrong spec, 1 if `what` failed. `again` writes
    the command that goes on with a run, in a directory.
    """
    try:
        yield
    except SpecError as error:
        fail(str(error), 2)
    except KeyboardInterrupt as end:
        fail(_left(end, again), 1)
    except Exception as error:
        if os.environ.get("CEFLOW_TRACEBACK"):
            raise
        from ceflow.store import WriteError

        kept = KEPT if again and isinstance(error, WriteError) else ""
        fail(f"{what} failed: {_why(error, again)}{kept}", 1)


def _left(end: KeyboardInterrupt, again: Callable[[Path], str] | None) -> str:
    """Say what an interrupted run has kept, and what goes on with it."""
    from ceflow.runs.failures import Interrupted

    if not isinstance(end, Interrupted) or again is None:  # nothing was begun
        return "interrupted"
    first = f"interrupted; what is done is kept in {end.path}"
    return "\n".join(filter(None, (first, end.under_way, f"go on: {again(end.path)}")))


def _why(error: Exception, again: Callable[[Path], str] | None) -> str:
    """Describe an error and its causes, each once, and say where to look further if that may not
    suffice.
    """
    from ceflow.runs.failures import RunError, is_foreseen, sentence

    if not isinstance(error, RunError):
        return sentence(error) + ("" if is_foreseen(error) else HINT)
    every = [str(failure) for failure in error.failures]
    listed = every[0] if len(every) == 1 else "".join(f"\n  {each}" for each in every)
    hint = "" if all(failure.is_foreseen for failure in error.failures) else HINT
    command = f"\ndo what failed and what is missing: {again(error.run.path)}" if again else ""
    return f"{listed}{command}{hint}"


def faults_as_json(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """Return faults as JSON values: code, message, help, path, and the place if known."""
    return [
        {
            "code": fault.code,
            "message": fault.message,
            "help": fault.help,
            "path": list(fault.path),
            "file": fault.place.file if fault.place else None,
            "line": fault.place.line if fault.place else None,
            "column": fault.place.column if fault.place else None,
            "length": fault.place.length if fault.place else None,
        }
        for fault in faults
    ]
