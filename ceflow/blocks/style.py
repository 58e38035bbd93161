"""The one style of all figures: sizes for a column of a paper, fonts, colours, dashes and marks."""

from typing import Any

WIDTH, HEIGHT = 3.5, 2.25
"""Size of a figure in inches: the width of one column of a paper with two."""

SCREEN_SCALE = 1.7
"""Factor by which an SVG figure is shown larger on a screen than it is printed."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of series that have no order, which colour-blind readers can tell apart (Okabe and Ito,
2008); without their yellow, which is too bright for lines."""

ORDERED_COLOURS = "viridis"
"""Map of the colours of an ordered quantity; its brightness rises, also in grey print."""

DASHES = ("-", "--", ":", "-.")
"""Patterns of lines that have no order, since colours may be printed in grey."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Marks of points that have no order."""

STYLE: Any = {
    # Text in SVG is outlines: it looks the same where the font is missing. In PDF it is text, in
    # an embedded TrueType font: publishers refuse the Type 3 fonts that are Matplotlib's default.
    "svg.fonttype": "path",
    "svg.hashsalt": "ceflow",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "text.usetex": False,
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    "legend.handlelength": 2.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlepad": 5,
    "axes.labelpad": 3,
    "lines.linewidth": 1.1,
    "lines.markersize": 3,
    "image.cmap": ORDERED_COLOURS,
    **{f"{axis}tick.{which}.width": width for axis in "xy"
       for which, width in (("major", 0.6), ("minor", 0.4))},
    **{f"{axis}tick.{which}.size": size for axis in "xy"
       for which, size in (("major", 2.5), ("minor", 1.5))},
}  # fmt: skip
