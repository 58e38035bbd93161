"""Where results are printed."""

from rich.console import Console


def results_console(*, quiet: bool = False) -> Console:
    """Open stdout: coloured on a terminal; elsewhere plain text, wide enough for the tables."""
    console = Console(quiet=quiet, highlight=False)
    if not console.is_terminal:
        console = Console(quiet=quiet, highlight=False, width=120)
    return console
