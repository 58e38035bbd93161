"""Labels of ticks: Matplotlib's own renderer finds none that overlap, and none outside."""

import math
import random
from itertools import combinations

import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from ceflow.blocks import Curve, Drawing, Heatmap, Series
from ceflow.blocks.svg import figure_of
from ceflow.blocks.ticks import Powers, candidates

SPANS = {
    "plain": lambda r: (10 ** r.uniform(-3, 3), 10 ** r.uniform(0.3, 3)),
    "huge": lambda r: (10 ** r.uniform(6, 200), 10 ** r.uniform(0.3, 3)),
    "tiny": lambda r: (10 ** r.uniform(-200, -6), 10 ** r.uniform(0.3, 3)),
    "below a decade": lambda r: (10 ** r.uniform(-5, 5), r.uniform(1.01, 10)),
    "narrow": lambda r: (10 ** r.uniform(-5, 5), 1 + 10 ** r.uniform(-12, -2)),
    "wide": lambda r: (10 ** r.uniform(-40, 0), 10 ** r.uniform(3, 200)),
}
"""The lowest value and the ratio of the highest to it."""


def values(r: random.Random, span: str, *, log: bool) -> tuple[float, ...]:
    """Draw values over this span; on a linear axis they may also be below 0, or on both sides."""
    low, ratio = SPANS[span](r)
    high = low * ratio
    if log:
        return low, math.sqrt(low) * math.sqrt(high), high
    low, high = r.choice([(low, high), (-high, -low), (-high * r.random(), high)])
    return low, low + (high - low) / 3, high


def labels(axis: Axis, figure: FigureCanvasAgg) -> dict[str, Bbox]:
    """Return the places of the labels that are seen on an axis, by their texts and positions."""
    low, high = sorted(axis.get_view_interval())
    found = {}
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        for label in (tick.label1, tick.label2):
            margin = 1e-9 * (high - low)
            seen = label.get_visible() and low - margin <= tick.get_loc() <= high + margin
            if seen and label.get_text():
                place = label.get_window_extent(figure.get_renderer())
                found[f"{label.get_text()} at {tick.get_loc()!r}"] = place
    return found


def require_room(drawing: Drawing) -> None:
    figure = figure_of(drawing)
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        found = labels(axis, canvas)
        for (one, a), (other, b) in combinations(found.items(), 2):
            assert not a.overlaps(b), (one, other)
            assert one.split(" at ")[0] != other.split(" at ")[0]
        for text, place in found.items():
            inside = figure.bbox.padded(2)  # what constrained layout leaves to rounding
            assert inside.x0 <= place.x0 < place.x1 <= inside.x1, text
            assert inside.y0 <= place.y0 < place.y1 <= inside.y1, text


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("span", SPANS)
def test_labels_of_a_curve_do_not_overlap(span, log):
    r = random.Random(span)
    for _ in range(4):
        x, y = values(r, span, log=log), values(r, r.choice([*SPANS]), log=log)
        require_room(Curve("c", "title", "x", "y", (Series("s", x, y),), log, log))


def test_labels_do_not_overlap_beside_a_wide_legend():
    lines = tuple(Series(f"a label of {k}" * 2, (0.001, 0.0125), (1.0, 9.0)) for k in range(6))
    require_room(Curve("c", "title", "x", "y", lines, legend="stage"))


@pytest.mark.parametrize("rows", [1, 14, 15, 100])
def test_labels_of_rows_do_not_overlap(rows):
    r = random.Random(rows)
    lines = tuple(
        Series(f"row {k} " * r.randint(1, 8), (1.0, 20.0, 3000.0), values(r, "plain", log=True))
        for k in range(rows)
    )
    require_room(Heatmap("h", "title", "x", "y", lines, "run"))


def test_logarithmic_ticks_are_of_round_numbers_with_their_digits():
    assert next(iter(candidates(2, 300))) == pytest.approx([2, 5, 10, 20, 50, 100, 200])
    assert next(iter(candidates(1.1e-5, 0.9))) == pytest.approx([1e-4, 1e-3, 0.01, 0.1])
    labels = Powers()
    assert labels.format_ticks([1e-4, 2.5e-4, 5e-4]) == ["10⁻⁴", "2.5×10⁻⁴", "5×10⁻⁴"]
    assert labels.format_ticks([1, 1.25, 1.5]) == ["1", "1.25", "1.5"]
