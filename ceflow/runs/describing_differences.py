"""The report of differences between runs that share their seed."""

from collections.abc import Iterable

from ceflow.blocks import Cell, number
from ceflow.runs.collected import PairedDifference
from ceflow.runs.labels import with_error


def differences_answer(found: Iterable[PairedDifference | None], reference: str) -> str:
    """Count the differences from a reference whose 95 % interval is below or above 0.

    >>> found = PairedDifference(mean=-2.0, stderr=0.5, interval=(-3.0, -1.0), pairs=8)
    >>> differences_answer([found, None], "model.size = inf")
    'of 1 difference from model.size = inf, 1 is below 0 and 0 above it (95 %)'
    """
    known = [each.interval for each in found if each is not None and each.interval is not None]
    if not known:
        return ""
    below, above = sum(high < 0 for _, high in known), sum(low > 0 for low, _ in known)
    what = f"of {len(known)} difference{'s' * (len(known) > 1)} from {reference}"
    return f"{what}, {below} {'is' if below == 1 else 'are'} below 0 and {above} above it (95 %)"


def difference_cells(found: PairedDifference | None) -> tuple[Cell, Cell, Cell]:
    """Write a difference, its interval and the number of pairs as cells of a table."""
    if found is None:
        return "", "", ""
    interval = "unknown"
    if found.interval is not None:
        interval = " to ".join(map(number, found.interval))
    return with_error(found.mean, found.stderr), interval, found.pairs


def difference_cell(found: PairedDifference | None, pairs: int) -> Cell:
    """Write a difference in one cell: with a star if its 95 % interval leaves out 0, and with its
    number of pairs if that is not the usual one.
    """
    if found is None:
        return ""
    apart = found.interval is not None and not found.interval[0] <= 0 <= found.interval[1]
    count = "" if found.pairs == pairs else f" ({found.pairs} pair{'s' * (found.pairs > 1)})"
    return f"{with_error(found.mean, found.stderr)}{' *' if apart else ''}{count}"
