"""Quantities recorded over time or over steps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped

ABSENT: Any = object()
"""Placeholder for what a line lacks."""


@dataclass(frozen=True)
class History:
    """Columns of numbers over moments; the first is the axis, such as `time` or `step`.

    A column of numbers is read as an array, with NaN for missing numbers; a column of names as
    text, with '' for missing ones. A line has everything known of one moment. Times are in units of
    one over the learning rate (mu t).

    >>> history = History.of_lines([{"time": 0.0, "loss": 2.0}, {"time": 1.0, "loss": None}])
    >>> history.axis, len(history), history["loss"], history.last
    ('time', 2, array([ 2., nan]), {'time': 1.0, 'loss': None})
    >>> history
    History(time, loss; 2 moments)
    """

    columns: Mapping[str, tuple[Any, ...]]
    """Numbers; `"inf"`; None for numbers that are undefined or not finite; lists or arrays; or
    names."""

    @classmethod
    def of_lines(cls, lines: Sequence[Mapping[str, Any]]) -> "History":
        """Build a history from lines; what a line lacks is missing in its column."""
        keys = dict.fromkeys(key for line in lines for key in line)
        return cls({key: tuple(line.get(key, ABSENT) for line in lines) for key in keys})

    @property
    def axis(self) -> str:
        return next(iter(self.columns), "")

    def __len__(self) -> int:
        return len(self.columns[self.axis]) if self.columns else 0

    def __repr__(self) -> str:
        return f"History({', '.join(self.columns)}; {len(self)} moments)"

    def __contains__(self, key: str) -> bool:
        return key in self.columns

    def __getitem__(self, key: str) -> "Shaped[np.ndarray, 'moments ...']":
        import numpy as np

        if any(isinstance(value, str) and value != "inf" for value in self.columns[key]):
            return np.array([each if isinstance(each, str) else "" for each in self.columns[key]])
        return np.array([_numbers(value) for value in self.columns[key]])

    @property
    def last(self) -> dict[str, Any]:
        """Everything known of the last moment."""
        return list(self.lines())[-1]

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the moments one after the other."""
        for values in zip(*self.columns.values(), strict=True):
            line = zip(self.columns, values, strict=True)
            yield {key: value for key, value in line if value is not ABSENT}

    def undefined(self) -> list[str]:
        """Name the columns that lack a number at some moment."""
        return [key for key, column in self.columns.items() if None in column]

    def points(self, x: str, y: str) -> list[tuple[float, float]]:
        """Pair the finite numbers of two columns, moment by moment."""
        both = zip(self.columns.get(x, ()), self.columns.get(y, ()), strict=False)
        return [pair for pair in both if all(isinstance(each, int | float) for each in pair)]

    def dumps(self) -> str:
        """Write one line of JSON per moment."""
        return "".join(json.dumps(line, allow_nan=False) + "\n" for line in self.lines())


def _numbers(value: Any) -> Any:
    """Convert the entries of a column to numbers, with NaN for missing ones."""
    import numpy as np

    if value is None or value is ABSENT:
        return np.nan
    return [*map(_numbers, value)] if isinstance(value, list) else np.asarray(value, float)
