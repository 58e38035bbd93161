"""Errors as a user sees them: a sentence and an exit code, never a traceback."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ceflow.cli.main import fail
from ceflow.spec import Fault, SpecError


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors into messages: exit status 2 for a wrong spec, 1 for a run that failed."""
    try:
        yield
    except SpecError as error:
        fail(str(error), 2)
    except KeyboardInterrupt:
        fail("interrupted; the finished stages are kept: give the same --out to go on", 1)
    except Exception as error:
        if os.environ.get("CEFLOW_TRACEBACK"):
            raise
        why = f"{type(error).__name__}: {error}"
        fail(f"the run failed: {why}\n(CEFLOW_TRACEBACK=1 shows where)", 1)


def faults_as_json(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """Faults for tools: code, message, help, path, and the place where it is known."""
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
