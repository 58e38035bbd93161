"""What charts share: their size, their axes, and the SVG element around them."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

from ceflow.blocks.axes import Axis
from ceflow.blocks.content import Drawing, Heatmap, number

WIDTH, HEIGHT = 680, 380
RIGHT, TOP, BOTTOM = 16, 12, 46
"""Margins in pixels; the left one depends on the labels."""

CHARACTER = 7.0
"""Width in pixels of a character of a label."""

LONGEST_LABEL = 24
"""Maximum number of characters of a label beside the axes."""

MOST_NAMES = 8
"""Maximum number of series named in a description."""


class Parts(NamedTuple):
    """The parts of a chart as HTML, and its data for a script."""

    picture: str
    legend: str
    data: dict[str, Any]
    thinned: str
    """Sentence that says how many points are left out; empty if all are drawn."""


@dataclass(frozen=True)
class Frame:
    """The axes of a chart, and the pixels between which the horizontal one lies."""

    x: Axis
    y: Axis
    left: float
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM

    def across(self, value: float) -> float:
        return self.left + self.x.share(value) * (self.right - self.left)

    def down(self, value: float) -> float:
        return self.bottom - self.y.share(value) * (self.bottom - self.top)

    def labels(self, x_label: str, y_label: str) -> str:
        """Draw the labels of the ticks and of the axes."""
        middle, centre = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        return "".join(
            [
                *(label(at, self.across(x), self.bottom + 18) for x, at in self.x.ticks),
                *(label(at, self.left - 8, self.down(y) + 4, "end") for y, at in self.y.ticks),
                label(x_label, middle, HEIGHT - 6),
                upright(y_label, 14, centre),
            ]
        )

    def lines(self) -> str:
        """Draw a grid through the ticks, and a line along each axis."""
        grid = [f"M{pixels(self.across(x))} {self.top}V{self.bottom}" for x, _ in self.x.ticks]
        left, right = pixels(self.left), pixels(self.right)
        grid += [f"M{left} {pixels(self.down(y))}H{right}" for y, _ in self.y.ticks]
        return (
            f'<path class="grid" d="{"".join(grid)}"/>'
            f'<path class="frame" d="M{left} {self.top}V{self.bottom}H{right}"/>'
        )


def left_margin(axis: Axis) -> float:
    """Return the pixels that the labels of a vertical axis take, with the axis's own label."""
    longest = max((len(text) for _, text in axis.ticks), default=1)
    return 30 + CHARACTER * min(longest, LONGEST_LABEL)


def label(content: str, x: float, y: float, anchor: str = "middle") -> str:
    """Draw a text; `anchor` is the part of it that is at x: its `start`, `middle` or `end`."""
    place = f'x="{pixels(x)}" y="{pixels(y)}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(content)}</text>"


def upright(content: str, x: float, y: float) -> str:
    """Draw the label of a vertical axis, which reads upwards."""
    turned = f"translate({pixels(x)} {pixels(y)}) rotate(-90)"
    return f'<text transform="{turned}" text-anchor="middle">{escape(content)}</text>'


def pixels(value: float) -> str:
    """Write a place to a tenth of a pixel.

    >>> pixels(12.0), pixels(0.26)
    ('12', '0.3')
    """
    return f"{value:.1f}".removesuffix(".0")


def picture(drawing: Drawing, inner: str) -> str:
    """Put the inside of a drawing into an SVG element, with a description."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(description(drawing))}"'
        ' font-family="system-ui, sans-serif" font-size="12">'
        "<style>.grid{stroke:currentColor;opacity:.12}.frame{stroke:currentColor;opacity:.5}"
        ".frame,.grid,.line,.bars{fill:none}.line{stroke:currentColor;stroke-width:2}"
        ".marks{stroke:currentColor;stroke-width:7;stroke-linecap:round}"
        ".bars{stroke:currentColor;stroke-width:1.5}.band{fill:currentColor;opacity:.2}"
        ".axes text{fill:currentColor}</style>"
        f"{inner}</svg>"
    )


def description(drawing: Drawing) -> str:
    """Describe a drawing for those who do not see it."""
    x = [value for series in drawing.series for value in series.x]
    y = [value for series in drawing.series for value in series.y]
    if not x:
        return f"{drawing.title}: an empty drawing"
    kind = "heatmap" if isinstance(drawing, Heatmap) else "plot"
    names = [series.label for series in drawing.series[:MOST_NAMES] if series.label]
    of = f"; {', '.join(names)}" if names else ""
    return (
        f"{drawing.title}: a {kind} of {drawing.y_label} from {number(min(y))} to {number(max(y))},"
        f" over {drawing.x_label} from {number(min(x))} to {number(max(x))}{of}"
    )


def rounded(values: Iterable[float]) -> list[float]:
    """Round to nine digits, which no chart shows; whole numbers stay."""
    return [
        int(value) if value == int(value) and abs(value) < 2**53 else float(f"{value:.9g}")
        for value in values
    ]
