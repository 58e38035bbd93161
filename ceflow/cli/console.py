"""The console where results are printed."""

import os

from rich.console import Console

WIDTH = 120
"""Columns of what is no terminal: enough for the tables."""


def results_console(*, quiet: bool = False) -> Console:
    """Open stdout: coloured on a terminal, elsewhere plain text of `WIDTH`; both obey COLUMNS.

    A COLUMNS that is no number above 0 counts as none.
    """
    given = os.environ.get("COLUMNS", "")
    width = int(given) if given.isdecimal() and int(given) else None
    console = Console(quiet=quiet, highlight=False, width=width)
    if width is None and not console.is_terminal:
        console = Console(quiet=quiet, highlight=False, width=WIDTH)
    return console
