"""Colours of charts on a screen, and mixtures of them."""

from collections.abc import Sequence

Colour = tuple[int, ...]
"""Red, green and blue, from 0 to 255."""

COLOURS = (
    ("#1769aa", "#63b3f2"),
    ("#c2410c", "#fb9a5b"),
    ("#15803d", "#5fd08a"),
    ("#9d2f8f", "#e48bd8"),
    ("#7a6400", "#d9c04a"),
    ("#0e7c86", "#4fd1d9"),
    ("#b42335", "#f98a98"),
    ("#4b5563", "#b3bcc9"),
)
"""Colours of curves on light and on dark ground: each has a contrast of 4.5 or more."""

ON_LIGHT = ("#440154", "#3b4cc0", "#1a74ad", "#15803d", "#806600", "#c2410c")
ON_DARK = ("#c9a8ff", "#8fa8ff", "#56c0e8", "#5fd08a", "#d9c04a", "#fb9a5b")
"""Colours of curves in order, from the first to the last."""

VIRIDIS = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128),
    (94, 201, 98), (173, 220, 48), (253, 231, 37),
)  # fmt: skip
"""Evenly spaced colours of heatmaps, from the least to the greatest value."""


def mixed(anchors: Sequence[Colour], share: float) -> Colour:
    """Interpolate between evenly spaced colours; `share` is 0 at the first, 1 at the last.

    >>> mixed([(0, 0, 0), (200, 100, 0)], 0.25)
    (50, 25, 0)
    """
    place = share * (len(anchors) - 1)
    low = min(int(place), len(anchors) - 2)
    return tuple(
        round(a + (place - low) * (b - a))
        for a, b in zip(anchors[low], anchors[low + 1], strict=True)
    )


def hexadecimal(colour: Colour) -> str:
    """Write a colour as in HTML.

    >>> hexadecimal((68, 1, 84))
    '#440154'
    """
    return "#" + bytes(colour).hex()


def curve_colours(places: Sequence[int], *, ordered: bool) -> list[tuple[str, str]]:
    """Return the colours of curves on light and on dark ground, by their index.

    They run from dark to bright if the curves are `ordered`, or too many to be told apart.
    """
    last = max(places, default=0)
    if last < 1 or not (ordered or last >= len(COLOURS)):
        return [COLOURS[place % len(COLOURS)] for place in places]
    return [(_between(ON_LIGHT, at / last), _between(ON_DARK, at / last)) for at in places]


def _between(colours: Sequence[str], share: float) -> str:
    return hexadecimal(mixed([tuple(bytes.fromhex(colour[1:])) for colour in colours], share))
