"""What was collected over a sweep: a table, and a figure with its fits."""

from collections.abc import Sequence

from ceflow.blocks import Block, Cell, Curve, Drawing, Heatmap, Note, Series, Table, number
from ceflow.stages import Values


def collected_blocks(name: str, values: Values) -> list[Block]:
    """Points and fits, or the x at which a level was reached, then the figure and the warnings of
    one [collect] table."""
    drawn = collected_drawing(name, values)
    warnings = [Note(text, warning=True) for text in values.get("warnings", ())]
    found = _reached(values) if "curves" in values else _numbers(values)
    return [*found, *([drawn] if drawn else []), *warnings]


def collected_drawing(name: str, values: Values) -> Drawing | None:
    """What is drawn of one [collect] table; None where there is nothing."""
    return _courses(name, values) if "curves" in values else _points(name, values)


def _courses(name: str, values: Values) -> Drawing | None:
    """A curve or a row for each run, in the order of `by`."""
    series = tuple(
        Series(curve.get("by", curve["run"]), tuple(curve["x"]), tuple(curve["y"]))
        for curve in values["curves"]
    )
    if not series:
        return None
    x, y = (values[key].removeprefix("stages.") for key in ("x", "y"))
    legend = values.get("by", "run")
    title = f"{y} by {x}"
    if values["view"] == "heatmap":
        rows = tuple(_in_order(each) for each in series if len(set(each.x)) > 1)
        return Heatmap(name, title, x, y, rows, legend) if rows else None
    clock = x.endswith((".time", ".step"))  # else a loss over a loss: axes alike
    log = all(value > 0 for each in series for value in (each.y if clock else each.x + each.y))
    return Curve(name, title, x, y, series, log_x=log and not clock, log_y=log, legend=legend)


def _in_order(series: Series) -> Series:
    """By x, of which each cell of a heatmap is a stretch."""
    x, y = zip(*sorted(zip(series.x, series.y, strict=True)), strict=True)
    return Series(series.label, x, y)


def _reached(values: Values) -> list[Block]:
    """Where each curve came to the level that was asked for."""
    if "level" not in values:
        return []
    x, y = (values[key].rpartition(".")[2] for key in ("x", "y"))
    rows = [(found.get("by", found["run"]), _reached_at(found, x)) for found in values["reached"]]
    head = f"first {x} at which {y} comes to {number(values['level'])}"
    return [Table((values.get("by", "run"), head), tuple(rows))]


def _reached_at(found: Values, x: str) -> Cell:
    if found["x"] is None:
        return f"not reached by {x} {number(found['last'])}"
    return found["x"]


def _numbers(values: Values) -> list[Block]:
    return [_table(values), *(Note(_fit_text(values, fit)) for fit in values.get("fits", ()))]


def _points(name: str, values: Values) -> Curve | None:
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
