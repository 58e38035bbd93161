"""The console where results are printed."""

import os

from rich.console import Console

PLAIN_WIDTH = 120
"""Width in columns if the output is not a terminal; enough for the tables."""


def results_console(*, quiet: bool = False) -> Console:
    """Open stdout: coloured on a terminal, otherwise plain text with `PLAIN_WIDTH` columns; COLUMNS
    overrides both.

    A value of COLUMNS that is not a number above 0 is ignored.
    """
    given = os.environ.get("COLUMNS", "")
    width = int(given) if given.isdecimal() and int(given) else None
    console = Console(quiet=quiet, highlight=False, width=width)
    if width is None and not console.is_terminal:
        console = Console(quiet=quiet, highlight=False, width=PLAIN_WIDTH)
    return console
