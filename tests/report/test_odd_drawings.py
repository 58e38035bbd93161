"""Texts and numbers that a terminal or a figure may stumble over."""

import io
import math
from html import unescape
from xml.etree import ElementTree

import pytest
from rich.console import Console

from ceflow.blocks import Curve, Heatmap, Note, ReportBlock, Series, Table
from ceflow.blocks.placing import LARGEST_VALUE, drawable
from ceflow.blocks.svg import draw_svg
from ceflow.report.sections import Section
from ceflow.report.terminal import _section

TEXTS = {
    "dollars": "c$\\frac{$",
    "one dollar": "5$",
    "escaped dollar": "\\$x_1$",
    "underscore": "_u",
    "markup": "<b>&amp;]]>[red]x[/red][/]",
    "backslash": "C:\\new\\x",
    "newline": "two\nlines\r\n\t",
    "escape": "\x1b[2J\x1b]0;title\x07\x9b31m",
    "direction": "\u202egpj.exe\u2066",
    "surrogate": "\ud800",
    "null": "\x00",
    "emoji": "\U0001f600",
    "CJK": "\u732b\u72d7",
    "combining": "e\u0301\u200d",
    "long": "a long name " * 200,
    "empty": "",
}

NUMBERS = {
    "infinite": (0.0, math.inf, -math.inf, math.nan, 1.0),
    "huge": (1e308, -1e308, 1.0),
    "large": (1e300, 1e-300, 1e299),
    "wide": (-1e300, 1e300),
    "tiny": (5e-324, 1e-310, 2e-310),
    "small": (1e-299, 2e-299, 3e-299),
    "negative": (-1.0, -2.0, 3.0),
    "equal": (1e250, 1e250),
    "nearly equal": (1.0, 1.0 + 2e-16, 1.0),
    "zeros": (0.0, 0.0),
    "none": (),
    "all infinite": (math.inf, math.nan),
}
SCALES = [(False, False), (True, False), (False, True), (True, True)]


def series(numbers: tuple[float, ...], label: str = "label") -> tuple[Series, ...]:
    count = tuple(map(float, range(1, len(numbers) + 1)))
    style = ("line", "points")
    return tuple(
        Series(label, *pair, kind)
        for pair in ((count, numbers), (numbers, count), (numbers, numbers))
        for kind in style
    )


def drawings(numbers: tuple[float, ...], text: str = "text") -> list[Curve | Heatmap]:
    lines = series(numbers, text)
    rows = tuple(
        Series(each.label, tuple(sorted(each.x, key=lambda x: (x != x, x))), each.y)
        for each in lines
    )
    curves = [Curve("c", text, text, text, lines, *log, legend=text) for log in SCALES]
    return [*curves, Heatmap("h", text, text, text, rows, text)]


def in_terminal(block: ReportBlock, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(_section(Section("title", "", [block])))  # pyright: ignore[reportArgumentType]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def words_of(svg: str) -> set[str]:
    """The texts of a figure: Matplotlib writes each, escaped, as a comment beside its outlines."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.fromstring(svg, parser)
    comments = (each.text or "" for each in root.iter() if each.tag is ElementTree.Comment)
    return {unescape(each).strip() for each in comments}


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_drawn_as_letters(name):
    *_, curve, heatmap = drawings((1.0, 2.0), TEXTS[name])  # scales do not change letters
    for drawing in (curve, heatmap):
        svg = draw_svg(drawing)
        assert "<path" in svg
        ElementTree.fromstring(svg)


@pytest.mark.parametrize("name", NUMBERS)
def test_any_numbers_are_drawn(name):
    for drawing in drawings(NUMBERS[name]):
        ElementTree.fromstring(draw_svg(drawing))
        assert in_terminal(drawing)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", TEXTS)
def test_nothing_steers_the_terminal(name, width):
    text = TEXTS[name]
    table = Table((text, text, text), ((text, 1.0, text),))
    for block in (Note(text), Note(text, warning=True), table, *drawings((1.0, 2.0), text)):
        for line in in_terminal(block, width).splitlines():
            assert line.isprintable()


def test_a_label_is_in_the_legend_as_it_is_written():
    labels = ["_hidden", "c$\\frac{$", "<b>", "plain"]
    lines = tuple(Series(label, (0.0, 1.0), (1.0, 2.0)) for label in labels)
    words = words_of(draw_svg(Curve("c", "title", "x", "y", lines)))
    assert {"_hidden", "c$\\frac{$", "<b>", "plain"} <= words


def test_what_has_no_place_on_an_axis_is_said():
    curve = Curve("c", "t", "x", "y", (Series("s", (1.0, 2.0, 3.0, 4.0), (1.0, 0.0, -1.0, 2.0)),))
    assert drawable(curve) == (curve, "")
    log = Curve("c", "t", "x", "y", curve.series, log_y=True)
    kept, said = drawable(log)
    assert kept.series[0].y == (1.0, 2.0)
    assert said.startswith("2 points are 0, below 0 or")
    assert said in " ".join(in_terminal(log).split())
    assert said in words_of(draw_svg(log))


def test_tiny_numbers_are_0_on_a_linear_axis_only():
    tiny = Series("s", (1.0, 2.0), (1.0, 0.1 / LARGEST_VALUE))
    assert drawable(Curve("c", "t", "x", "y", (tiny,)))[0].series[0].y == (1.0, 0.0)
    assert drawable(Curve("c", "t", "x", "y", (tiny,), log_y=True))[0].series[0].y == (1.0,)


def test_a_hundred_runs_of_long_names_fit_in_a_figure():
    lines = tuple(Series(f"{k} " + "x" * 100, (0.0, 1.0), (1.0, k)) for k in range(100))
    svg = draw_svg(Curve("c", "title", "x", "y", lines, legend="runs"))
    ElementTree.fromstring(svg)
