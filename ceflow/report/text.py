"""Sizes and durations as people read them."""


def size(count: float) -> str:
    """Bytes with a unit.

    >>> size(320_000), size(1.5e9)
    ('320 kB', '1.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def seconds(value: float) -> str:
    """A duration.

    >>> seconds(0.0213), seconds(12.34), seconds(125)
    ('21 ms', '12.3 s', '2 min 5 s')
    """
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60} s"
