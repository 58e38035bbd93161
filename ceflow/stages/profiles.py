"""Outputs over a one-dimensional input, as flow, train and kernel stages keep and draw them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ceflow.blocks import Curve, Series
from ceflow.stages.result import Record

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ceflow.data import Examples

MOST_POINTS = 400
"""Maximum number of examples in a profile; more are thinned out evenly."""

MOST_MOMENTS = 5
"""Maximum number of moments in a profile."""

RADIUS_TOLERANCE = 1e-6
"""Relative difference between the norms of inputs on a circle; inputs in float32 need it."""


class OutputProfile(Record):
    """First output over a one-dimensional input: at up to five of the recorded moments of a flow or
    a training, or of the posterior of a kernel.
    """

    network_outputs: int
    """Number of outputs of the network."""

    axis: Literal["input", "angle"]
    """What `x` is: the only `input`, or the `angle` of two inputs that lie on a circle."""
    x: list[float]
    """Inputs of all examples, of a posterior those of the test examples, in increasing order; of
    more than 400, evenly chosen ones."""
    moments: list[float | Literal["inf"]]
    """Times mu t, or numbers of steps: the start, the end, and moments between them; of a posterior
    none."""
    outputs: list[list[float | None]]
    """First output at each moment and input; with several replicas, its mean over them. Of a
    posterior there is one row."""
    stddev: list[list[float | None]] | None = None
    """Standard deviation of that output: that of `std`, or over the replicas."""
    target_x: list[float]
    """Inputs of the training examples in increasing order; of more than 400, evenly chosen
    ones."""
    targets: list[float]
    """First target of each of these training examples."""


def output_profile(
    x: "Float[np.ndarray, 'examples ...']",
    train: "Examples",
    moments: Sequence[float],
    outputs: "Float[np.ndarray, 'moments replicas examples outputs']",
    stddev: "Float[np.ndarray, 'moments examples'] | None" = None,
) -> OutputProfile | None:
    """Build a profile of outputs at inputs x, with the targets of training examples; return None if
    the inputs are not one-dimensional.
    """
    import numpy as np

    axis, both = _coordinate(np.concatenate([train.x, x]))
    if axis is None:
        return None
    known, x = np.split(both, [len(train.x)])
    shown, rows, targets = _chosen(len(outputs)), _in_order(x), _in_order(known)
    shown_moments = [moments[index] for index in shown] if moments else []
    first = outputs[shown][:, :, rows, 0].astype(float)
    if stddev is not None:
        spread = stddev[shown][:, rows]
    else:
        spread = first.std(axis=1, ddof=1) if first.shape[1] > 1 else None
    return OutputProfile(
        network_outputs=outputs.shape[-1],
        axis=axis,
        x=x[rows].tolist(),
        moments=["inf" if at == math.inf else float(at) for at in shown_moments],
        outputs=_rows(first.mean(axis=1)),
        stddev=None if spread is None else _rows(spread),
        target_x=known[targets].tolist(),
        targets=train.y[targets, 0].astype(float).tolist(),
    )


def _coordinate(
    x: "Float[np.ndarray, 'n ...']",
) -> "tuple[Literal['input', 'angle'] | None, Float[np.ndarray, ' n']]":
    """Return the coordinate of one-dimensional inputs, with its name; None for other inputs."""
    import numpy as np

    if x.shape[1:] == (1,):
        return "input", x[:, 0].astype(float)
    if x.shape[1:] == (2,):
        radii = np.hypot(*x.T)
        if radii.min() > 0 and np.ptp(radii) <= RADIUS_TOLERANCE * radii.max():
            return "angle", np.arctan2(x[:, 1], x[:, 0]).astype(float)
    return None, x[:0]


def _chosen(count: int) -> list[int]:
    """Choose up to five of `count` moments: the start, the end, and early ones, because outputs
    move fastest at the start.

    >>> _chosen(4), _chosen(51)
    ([0, 1, 2, 3], [0, 1, 4, 14, 50])
    """
    import numpy as np

    if count <= MOST_MOMENTS:
        return list(range(count))
    spaced = np.geomspace(1, count - 1, MOST_MOMENTS - 1).round().astype(int)
    return [0, *spaced.tolist()]


def _in_order(x: "Float[np.ndarray, ' n']") -> "np.ndarray":
    """Return the indices of up to 400 inputs in increasing order, the first and last included."""
    import numpy as np

    order = np.argsort(x, kind="stable")
    return order[np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().astype(int)]


def _rows(values: "Float[np.ndarray, 'moments n']") -> list[list[float | None]]:
    import numpy as np

    return [[v if np.isfinite(v) else None for v in row] for row in values.tolist()]


def drawn_outputs(profile: OutputProfile, clock: str = "") -> Curve:
    """Draw a line for each moment, or for a posterior, with a band of one standard deviation, and
    the training targets as points. `clock` is the name of the moments. The end comes first, because
    a figure of a sweep shows the first line of each run.
    """
    labels = [f"{clock} {at}" for at in map(moment_text, profile.moments)] or ["posterior"]
    series = []
    for index, label in reversed([*enumerate(labels)]):
        spreads = profile.stddev[index] if profile.stddev else [0.0] * len(profile.x)
        points = [
            (x, y, spread)
            for x, y, spread in zip(profile.x, profile.outputs[index], spreads, strict=True)
            if y is not None and spread is not None
        ]
        xs, ys, errors = zip(*points, strict=True) if points else ((), (), ())
        series.append(Series(label, xs, ys, error=errors if profile.stddev else ()))
    targets = Series("targets", tuple(profile.target_x), tuple(profile.targets), style="points")
    name = "outputs" if profile.moments else "posterior"
    band = " ± one standard deviation" if profile.stddev else ""
    count = profile.network_outputs
    y_label = "output" if count == 1 else f"first of {count} outputs"
    title = f"{name} over the {profile.axis}{band}"
    return Curve(name, title, profile.axis, y_label, (*series, targets))


def moment_text(moment: float | str) -> str:
    """Write a time or a number of steps in four digits.

    >>> moment_text(0.123456), moment_text("inf")
    ('0.1235', 'inf')
    """
    return moment if isinstance(moment, str) else format(moment, ".4g")
