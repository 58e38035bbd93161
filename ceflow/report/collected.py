"""What was collected over a sweep: a table, and a figure with its fits."""

from collections.abc import Sequence

from ceflow.stages import Block, Cell, Curve, Note, Series, Table, Values, number


def collected_blocks(name: str, values: Values) -> list[Block]:
    """Points, fits, the curve and the warnings of one [collect] table."""
    curve = collected_curve(name, values)
    warnings = [Note(text, warning=True) for text in values.get("warnings", ())]
    notes = [Note(_fit_text(values, fit)) for fit in values.get("fits", ())]
    return [_table(values), *notes, *([curve] if curve else []), *warnings]


def collected_curve(name: str, values: Values) -> Curve | None:
    """The points of each curve, and its fit as a line; on logarithmic axes where there is one."""
    series = tuple(each for by in _curves(values) for each in _series(values, by))
    log = "fits" in values
    if not series:
        return None
    y = values["y"].removeprefix("stages.")
    return Curve(name, f"{y} by {values['x']}", values["x"], y, series, log, log)


def _curves(values: Values) -> list[str]:
    return list(dict.fromkeys(point.get("by", "") for point in values["points"]))


def _series(values: Values, by: str) -> list[Series]:
    known = [
        point
        for point in values["points"]
        if point.get("by", "") == by and point["x"] is not None and point["y"] is not None
    ]
    if not known:
        return []
    x, y = (tuple(point[key] for point in known) for key in ("x", "y"))
    found = [Series(by or "measured", x, y, "points")]
    for fit in values.get("fits", ()):
        if fit.get("by", "") == by:
            ends = (min(x), max(x))
            line = tuple(fit["factor"] * end ** fit["slope"] for end in ends)
            label = f"{by + ': ' if by else ''}slope {fit['slope']:.2f}"
            found.append(Series(label, ends, line))
    return found


def _fit_text(values: Values, fit: Values) -> str:
    which = f"{fit['by']}: " if "by" in fit else ""
    law = f"{which}{values['y'].rpartition('.')[2]} = {fit['factor']:.3g} x^{fit['slope']:.3f}"
    if fit["interval"] is None:
        return law
    low, high = fit["interval"]
    return f"{law}, slope {fit['slope']:.3f} (95 %: {low:.3f} to {high:.3f})"


def _table(values: Values) -> Table:
    last = values["y"].removeprefix("stages.")
    by = any("by" in point for point in values["points"])
    columns = ("run", values["x"], *(("by",) if by else ()), last)
    rows = [_row(point) for point in values["points"]]
    return Table(columns, tuple(map(tuple, rows)))


def _row(point: Values) -> Sequence[Cell]:
    x, y = (("" if point[key] is None else point[key]) for key in ("x", "y"))
    if "stderr" in point and y != "":
        y = f"{number(y)} ± {point['stderr']:.2g}"
    return (point["run"], x, *((point["by"],) if "by" in point else ()), y)
