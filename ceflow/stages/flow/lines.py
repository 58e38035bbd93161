"""From what was seen of all replicas to numbers: a line a moment, and the final values."""

from typing import TYPE_CHECKING

from ceflow import dynamics
from ceflow.spec import Flow
from ceflow.stages.flow.flown import Flown
from ceflow.stages.stage import Values, finite, written

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

ARRAYS = ("kernel", "covariance", "entries")
"""Seen, but no one number."""

FEWEST = 4
"""Replicas of which a median has a standard error."""


def lines(stage: Flow, found: Flown) -> list[Values]:
    """For each moment its time, and the median over replicas of each number."""
    return [_line(stage, found, index) for index in range(len(found.times))]


def _line(stage: Flow, found: Flown, index: int) -> Values:
    import numpy as np

    values: Values = {"time": written(found.times[index])}
    for key, each in found.seen.items():
        if key not in ARRAYS:
            values[key] = finite(np.median(each[index]))
    if "drift" in stage.record:
        entries = found.seen["entries"]
        values |= _median("drift", entries[index], entries[0])
    if stage.entries is not None:
        values["entries"] = [finite(k) for k in np.median(found.seen["entries"][index], axis=0)]
    return values


def derivatives(found: Flown) -> Values:
    """Of the NTK's entries at the start, the medians over replicas and pairs of their sizes."""
    import numpy as np

    values: Values = {}
    if found.derivatives is None:
        return values
    for order in range(3):
        each = found.derivatives[:, order]
        values |= _median(f"derivative_{order + 1}", each, np.zeros_like(each))
    return values


def _median(
    key: str,
    now: "Float[np.ndarray, 'replicas pairs']",
    start: "Float[np.ndarray, 'replicas pairs']",
) -> Values:
    """The median over replicas of |now - start|, and over pairs of that; its standard error is that
    of a pair in the middle, as pairs of one network move together."""
    import numpy as np

    if len(now) < FEWEST:
        drifts = np.median(dynamics.entry_drift(now, start), axis=0)
        return {key: finite(np.median(drifts))}
    value, stderr = dynamics.median_drift(now, start)
    return {key: finite(np.median(value)), f"{key}_stderr": finite(np.median(stderr))}
