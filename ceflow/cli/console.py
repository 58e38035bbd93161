"""The console where results are printed."""

import os
import re
import sys
from typing import IO, Any, cast

from rich.console import Console

PLAIN_WIDTH = 120
"""Width in columns if the output is not a terminal; enough for the tables."""


def results_console(*, quiet: bool = False) -> Console:
    """Open stdout: coloured on a terminal, otherwise plain text with `PLAIN_WIDTH` columns, and
    without spaces at the ends of lines; COLUMNS overrides both widths.

    A value of COLUMNS that is not a number above 0 is ignored.
    """
    given = os.environ.get("COLUMNS", "")
    width = int(given) if given.isdecimal() and int(given) else None
    console = Console(quiet=quiet, highlight=False, width=width)
    if console.is_terminal:
        return console
    return Console(
        file=cast(IO[str], _Stripped()),
        quiet=quiet,
        highlight=False,
        width=width or PLAIN_WIDTH,
    )


class _Stripped:
    """Standard output, without the spaces that fill tables up to the width."""

    def write(self, text: str) -> int:
        return sys.stdout.write(re.sub(r" +$", "", text, flags=re.M))

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)
