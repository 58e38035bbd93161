"""Reading latencies that were measured elsewhere from a CSV file."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ceflow.data.separated import Separated, read_separated, wrong
from ceflow.spec import SpecError
from ceflow.spec.base import LARGEST_COUNT
from ceflow.spec.vocabulary import COLUMNS, known_as

SHORTEST_SECONDS, LONGEST_SECONDS = 1e-12, 1e9
"""Range of accepted latencies in seconds; others are probably in another unit."""
HELP = (
    "a file of latencies has a line 'width,multiplicity,seconds', then one line a network, as"
    " '10,37,0.0124'"
)


class Time(NamedTuple):
    """Seconds of a forward pass of a network with `multiplicity` members of a width."""

    width: int
    multiplicity: int
    seconds: float


def read_times(path: Path) -> list[Time]:
    """Read the latencies of networks from a CSV file; return them by ascending width.

    The first line names the columns, in any order: `width` (the largest width of a member),
    `seconds`, and optionally `multiplicity` (default 1). Empty lines are skipped. Raises
    `SpecError` if there is no such file, a line has another form, there is another column, a width
    occurs twice with as many members, or there are fewer than two widths.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "times.csv")
    ...     _ = path.write_text("width,seconds\\n64,0.02\\n8,0.001\\n")
    ...     read_times(path)
    [Time(width=8, multiplicity=1, seconds=0.001), Time(width=64, multiplicity=1, seconds=0.02)]
    """
    found = read_separated(path, HELP)
    _require_columns(str(path), list(found.columns))
    times = sorted(_times(found))
    if len({time.width for time in times}) < 2:
        raise _wrong(
            str(path), "has times of fewer than two widths, which is too few to interpolate"
        )
    return times


def _times(found: Separated) -> Iterator[Time]:
    seen: set[tuple[int, int]] = set()
    for row in found.rows:
        place, cells = f"{found.file}, line {row.line},", row.cells
        time = Time(
            _whole(place, "width", cells["width"]),
            _whole(place, "multiplicity", cells.get("multiplicity", "1")),
            _seconds(place, cells["seconds"]),
        )
        if time[:2] in seen:
            raise _wrong(place, f"has the width {time.width} a second time with as many members")
        seen.add(time[:2])
        yield time


def shared_seconds(times: Sequence[Time]) -> float | None:
    """Find the seconds of what members share: those of a network of no members, by a line through
    the times of networks of one width. Several such widths are averaged; None if there is none.

    >>> shared_seconds([Time(4, 1, 3.0), Time(4, 3, 5.0), Time(8, 2, 7.0)])
    2.0
    """
    found = []
    for _, group in groupby(sorted(times), key=lambda time: time.width):
        first, *_, last = [*group] * 2
        if last.multiplicity > first.multiplicity:
            both = first.seconds * last.multiplicity - last.seconds * first.multiplicity
            found.append(both / (last.multiplicity - first.multiplicity))
    return math.fsum(found) / len(found) if found else None


def _require_columns(path: str, head: list[str]) -> None:
    """Raise `SpecError` if a column is missing or unknown."""
    others = [name for name in head if name not in Time._fields]
    for name in others:
        if ours := known_as(name, Time._fields, COLUMNS):
            raise _wrong(path, f"has a column {name!r}, which is called {ours!r} here")
    if not {"width", "seconds"} <= set(head):
        raise _wrong(path, "does not begin with the names of its columns, width and seconds")
    for name in others:
        raise _wrong(path, f"has a column {name!r}, which is not known: leave it out")


def _positive(place: str, name: str, cell: str) -> float:
    try:
        value = float(cell.replace("_", "?"))  # only Python allows underscores
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise _wrong(place, f"has {name} {cell!r}, which is no number above 0")
    return value


def _seconds(place: str, cell: str) -> float:
    value = _positive(place, "seconds", cell)
    if not SHORTEST_SECONDS <= value <= LONGEST_SECONDS:
        raise _wrong(
            place,
            f"has seconds {cell!r}, which is not from {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g}",
        )
    return value


def _whole(place: str, name: str, cell: str) -> int:
    value = _positive(place, name, cell)
    if value != int(value) or value > LARGEST_COUNT:
        raise _wrong(place, f"has {name} {cell!r}, which is no whole number up to 10^12")
    return int(value)


def _wrong(place: str, what: str) -> SpecError:
    return wrong(place, what, HELP)
