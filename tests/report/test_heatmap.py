"""Heatmaps in the terminal and as figures."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from ceflow.blocks import Curve, Heatmap, Series
from ceflow.blocks.svg import MOST_CELLS, draw_svg
from ceflow.report.heatmap import LONGEST_LABEL, SHADES, VIRIDIS, draw_heatmap
from ceflow.runs.collected import CollectedCurves
from ceflow.runs.describing import collected_drawing


def heatmap(*rows: Series) -> Heatmap:
    return Heatmap("name", "the title", "the x", "the y", rows, "the by")


def cells(drawn: Heatmap, row: int = 0, width: int = 8) -> str:
    return draw_heatmap(drawn, width)[1 + row].plain.partition("┤")[2]


def test_colours_are_logarithmic_where_all_values_are_above_0():
    law = Series("2", (0.0, 4.0, 8.0), (1.0, 10.0, 100.0))
    # between the moments y is linear: 2.1, 4.4, 6.6, 8.9, 21, 44, 66, 89
    assert cells(heatmap(law)) == "░▒▒▒▓███"
    lower = Series("2", (0.0, 8.0), (-1.0, 7.0))
    assert cells(heatmap(lower)) == "░░▒▒▓▓██"


def test_a_series_that_ends_early_or_begins_late_leaves_cells_empty():
    whole = Series("2", (0.0, 8.0), (-1.0, 7.0))
    part = Series("inf", (2.0, 6.0), (0.0, 0.0))
    assert cells(heatmap(whole, part), 1) == "  ░░░░  "


@pytest.mark.parametrize("value", [-1.0, 0.0, 2.0])
def test_equal_values_have_one_colour(value):
    level = heatmap(Series("2", (0.0, 8.0), (value, value)))
    assert cells(level) == SHADES[0] * 8
    ElementTree.fromstring(draw_svg(level))


def test_a_cell_has_a_colour_that_hides_its_shade():
    first, *_, last = draw_heatmap(heatmap(Series("2", (0.0, 8.0), (-1.0, 7.0))), 1000)[1].spans
    for span, (near, far) in ((first, VIRIDIS[:2]), (last, VIRIDIS[:-3:-1])):
        front, back = str(span.style).split(" on ")
        assert front == back
        colour = tuple(map(int, re.findall(r"\d+", front)))
        # half a cell of a thousand from the end: four parts of 1000 on the way to the next anchor
        assert all(
            abs(c - a) <= 1 + abs(b - a) / 200 for c, a, b in zip(colour, near, far, strict=True)
        )


def test_rows_axes_and_colours_are_labelled():
    rows = (Series("2", (0.0, 4000.0), (0.5, 1.25)), Series("inf", (0.0, 10.0), (0.5, 0.5)))
    title, two, infinite, _, ends, x, colours = (t.plain for t in draw_heatmap(heatmap(*rows)))
    assert title == "the title"
    assert (two[:5], infinite[:5]) == ("  2 ┤", "inf ┤")
    assert ends.split() == ["0", "4,000"]
    assert x.strip() == "the x, by the by"
    assert colours.split() == ["the", "y", "0.5", "░░░░▒▒▒▒▓▓▓▓████", "1.25,", "logarithmic"]


def test_a_long_label_keeps_its_ends():
    drawn = draw_heatmap(heatmap(Series("a" * 50 + "b" * 50, (0.0, 1.0), (1.0, 2.0))))
    half = LONGEST_LABEL // 2
    assert drawn[1].plain.startswith("a" * half + "…" + "b" * (half - 1) + " ┤")


@pytest.mark.parametrize(("count", "images"), [(3, 0), (MOST_CELLS + 1, 1)])
def test_many_cells_become_an_image(count, images):
    values = tuple(map(float, range(1, count + 1)))
    svg = draw_svg(heatmap(Series("2", values, values)))
    assert svg.count("<image") - 1 == images  # beside the bar of colours
    assert svg == draw_svg(heatmap(Series("2", values, values)))


def collected(x: str, **values: Any) -> Any:
    curves = [{"run": "r", "by": "2", "x": [3.0, 1.0, 2.0], "y": [0.3, 0.1, 0.2]}]
    given = {"x": x, "y": "stages.t.test_loss", "by": "b", "view": "curves", "curves": curves}
    return collected_drawing("c", CollectedCurves(**given | values))


def test_losses_over_steps_and_over_losses_have_axes_of_their_own():
    over_steps, over_losses = collected("stages.t.step"), collected("stages.t.train_loss")
    assert isinstance(over_steps, Curve)
    assert (over_steps.log_x, over_steps.log_y, over_steps.legend) == (False, True, "b")
    assert (over_losses.log_x, over_losses.log_y) == (True, True)


def test_cells_are_in_the_order_of_x_and_a_single_moment_has_none():
    (row,) = collected("stages.t.train_loss", view="heatmap").series
    assert (row.x, row.y) == ((1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    single = [{"run": "r", "x": [1.0], "y": [0.1]}]
    assert collected("stages.t.step", view="heatmap", curves=single) is None
    assert collected("stages.t.step", curves=[]) is None
