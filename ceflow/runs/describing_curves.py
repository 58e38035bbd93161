"""The report of a [collect] table of curves: where a level is reached, and the figure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ceflow.blocks import (
    Cell,
    Curve,
    Drawing,
    Heatmap,
    Note,
    ReportBlock,
    Series,
    Table,
    axis_name,
    counted,
    number,
)
from ceflow.runs.collected import CollectedCurves, OfRun, Reached, ValueAt, grouped
from ceflow.runs.curves import CLOCKS
from ceflow.runs.describing_differences import (
    difference_cell,
    difference_cells,
    differences_answer,
)
from ceflow.runs.labels import averaged, extremes, is_log, short, with_error
from ceflow.spec import history_path


def curves_blocks(collected: CollectedCurves) -> list[ReportBlock]:
    """State the answer, and tabulate where each curve reached the level, and its values `at`."""
    answer = curves_answer(collected)
    return [*([Note(answer)] if answer else []), *_levels(collected), *_at(collected)]


def curves_answer(collected: CollectedCurves) -> str:
    """Say which curve reaches the level first, which is least and greatest at the last x of `at` or
    at its end, and how many differences are certain.
    """
    names, kind = _quantities(collected), _kind(collected)
    if kind == "quantity" and not collected.at:  # which are not compared
        return ""
    if collected.level is not None or collected.at:
        said = _first(collected, names) if collected.level is not None else ""
        return "; ".join(filter(None, (said, *_said_at(collected, names))))
    if not _by_clock(collected):  # such curves have no end
        return ""
    _, y, _ = _axes(collected)
    key = f"{kind} " if kind else f"{collected.by} = " if collected.by else ""
    ends = [
        (float(each.y[-1]), f"{key}{_label(each, names)}", each.stderr[-1] if each.stderr else None)
        for each in collected.curves
        if each.y
    ]
    return extremes(f"at the end {y}", ends)


def _by_clock(collected: CollectedCurves) -> bool:
    """Tell whether curves are over time or steps, not over another number."""
    return history_path(collected.x)[1] in CLOCKS


def _first(collected: CollectedCurves, names: Mapping[str, str]) -> str:
    """Say which curve reaches the level first, and how many do not."""
    x, y, _ = (each.rpartition(".")[2] for each in _axes(collected))
    known = [
        (float(each.x), _label(each, names), each.stderr or 0.0)
        for each in collected.reached
        if each.x is not None
    ]
    level = number(collected.level or 0)
    every = len(collected.reached)
    if not known:
        return f"none of {every} comes to {y} {level}"
    first, label, error = min(known)
    rest = f"; {every - len(known)} of {every} do not come there" if len(known) < every else ""
    kind = _kind(collected) or collected.by or "run"
    where = with_error(first, error or None)
    said = f"{y} comes to {level} first with {kind} = {label}, at {x} {where}{rest}"
    compared = differences_answer(
        (each.difference for each in collected.reached), _against(collected)
    )
    return "; ".join(filter(None, (said, compared)))


def _against(collected: CollectedCurves) -> str:
    return f"{collected.by} = {collected.against}"


def _said_at(collected: CollectedCurves, names: Mapping[str, str]) -> Sequence[str]:
    """Say of each quantity where it is least and greatest at the last x that two curves reach, and
    how many of its differences are certain.
    """
    said = []
    for of, every in grouped(collected.at, lambda each: each.of):
        known = [
            (x, [each for each in row if each.y is not None])
            for x, row in grouped(every, lambda each: each.x)
        ]
        several = [(x, row) for x, row in known if len(row) > 1]
        if several:
            x, row = several[-1]
            what = f"at {history_path(collected.x)[1]} {number(x)} {_key(collected, of)}"
            key = f"{collected.by} = " if collected.by else ""
            of_runs = ((float(each.y or 0), f"{key}{each.run_label}", each.stderr) for each in row)
            said.append(extremes(what, list(of_runs)))
        found = (each.difference for each in every)
        said.append(differences_answer(found, _against(collected)))
    return said


def _key(collected: CollectedCurves, of: str) -> str:
    """Name a quantity at y."""
    path = of or next(iter(_quantities(collected)))
    return history_path(path)[1]


def _at(collected: CollectedCurves) -> list[ReportBlock]:
    """Tabulate the values at each x, a column for each curve, and the differences likewise."""
    blocks: list[ReportBlock] = []
    x = history_path(collected.x)[1]
    by = f", by {short(collected.by)}" if collected.by else ""
    for of, every in grouped(collected.at, lambda each: each.of):
        what = f"{_key(collected, of)} at equal {x}{by}"
        come = {each.x for each in every if each.y is not None}
        never = list(dict.fromkeys(number(each.x) for each in every if each.x not in come))
        every = [each for each in every if each.x in come]
        said = f"; no run comes to {x} {', '.join(never)}" if never else ""
        blocks.append(Note(f"{what}{averaged(collected.over)}{said}"))
        if every:
            blocks.append(_rows(x, every, [_value_cell(each) for each in every]))
        if not any(each.difference for each in every):
            continue
        pairs = max(each.difference.pairs for each in every if each.difference)
        which = f"{what}, less that of {collected.against}: differences within {collected.over}"
        cells = [difference_cell(each.difference, pairs) for each in every]
        said = (
            f"{which} ± s.e., of {counted(pairs, 'pair')}; * where the 95 % interval leaves out 0"
        )
        blocks += [Note(said), _rows(x, every, cells)]
    return blocks


def _rows(x: str, every: Sequence[ValueAt], cells: Sequence[Cell]) -> Table:
    """Make a table with a row for each x and a column for each curve, as far as they have cells."""
    table = {(each.x, each.run_label): cell for each, cell in zip(every, cells, strict=True)}
    labels = [
        label
        for label, column in grouped(table.items(), lambda each: each[0][1])
        if any(cell != "" for _, cell in column)
    ]
    xs = dict.fromkeys(each.x for each in every)
    rows = [(number(at), *(table.get((at, label), "") for label in labels)) for at in xs]
    return Table((x, *labels), tuple(row for row in rows if any(row[1:])))


def _value_cell(found: ValueAt) -> Cell:
    if found.y is None:
        return "not reached"
    rest = f" ({found.runs - found.missed} of {found.runs})" if found.missed else ""
    return f"{with_error(found.y, found.stderr)}{rest}"


def curves_drawing(name: str, collected: CollectedCurves) -> Drawing | None:
    """Draw one curve or row per quantity and run, in the order of `by`. Runs differ in colour and
    quantities in their dashes, so that curves which coincide are seen; those of one run in both.
    """
    names, runs = _quantities(collected), list(dict.fromkeys(c.run_label for c in collected.curves))
    quantities = list(names)
    series = tuple(
        Series(
            _label(each, names),
            tuple(each.x),
            tuple(each.y),
            error=tuple(each.stderr),
            colour=runs.index(each.run_label) if len(runs) > 1 else None,
            dash=quantities.index(each.of) if each.of else 0,
        )
        for each in collected.curves
    )
    if not series:
        return None
    x, y, title = _axes(collected)
    legend = ", ".join(filter(None, (_kind(collected), collected.by or "run")))
    legend = legend if runs != [""] else ""
    if collected.view == "heatmap":
        rows = tuple(_in_order(each) for each in series if len(set(each.x)) > 1)
        return Heatmap(name, title, x, y, rows, legend) if rows else None
    clock = _by_clock(collected)  # else a loss over a loss: axes alike
    log = all(value > 0 for each in series for value in (each.y if clock else each.x + each.y))
    log_x = is_log(collected.x_scale, log and not clock)
    log_y = is_log(collected.y_scale, log)
    return Curve(name, title, x, y, series, log_x=log_x, log_y=log_y, legend=legend)


def _quantities(collected: CollectedCurves) -> dict[str, str]:
    """Name the quantities at y by what differs between them: the stage, the key, or both.

    >>> curves = {"x": "stages.a.time", "view": "curves", "curves": []}
    >>> _quantities(CollectedCurves(y=["stages.a.loss", "stages.b.loss"], **curves))
    {'stages.a.loss': 'a', 'stages.b.loss': 'b'}
    """
    paths = [collected.y] if isinstance(collected.y, str) else collected.y
    parts = [history_path(path) for path in paths]
    stages, keys = ({part[index] for part in parts} for index in (0, 1))
    if len(keys) == 1 and len(stages) > 1:
        return {path: stage for path, (stage, _) in zip(paths, parts, strict=True)}
    if len(stages) == 1 and len(keys) > 1:
        return {path: key for path, (_, key) in zip(paths, parts, strict=True)}
    return {path: short(path) for path in paths}


def _kind(collected: CollectedCurves) -> str:
    """Say what differs between the quantities at y; '' if there is one."""
    names = _quantities(collected)
    stages = all(name == history_path(path)[0] for path, name in names.items())
    return "" if len(names) < 2 else "stage" if stages else "quantity"


def _label(found: OfRun, names: Mapping[str, str]) -> str:
    """Label a curve by its quantity, if there are several, and its run, if there is a sweep."""
    return ", ".join(filter(None, (names.get(found.of), found.run_label))) or "".join(
        names.values()
    )


def _axes(collected: CollectedCurves) -> tuple[str, str, str]:
    """Return the labels of both axes, and the title."""
    if isinstance(collected.y, str):
        title = f"{short(collected.y)} by {short(collected.x)}{averaged(collected.over)}"
        return axis_name(collected.x), axis_name(collected.y), title
    stages, keys = zip(*map(history_path, collected.y), strict=True)
    x = history_path(collected.x)[1] if len(set(stages)) > 1 else short(collected.x)
    names = dict.fromkeys(map(axis_name, keys))
    title = f"{' and '.join(dict.fromkeys(keys))} by {x}{averaged(collected.over)}"
    return axis_name(x), " and ".join(names), title


def _in_order(series: Series) -> Series:
    """Sort by x, since each cell of a heatmap covers an interval of x."""
    x, y = zip(*sorted(zip(series.x, series.y, strict=True)), strict=True)
    return replace(series, x=x, y=y, error=())


def _levels(collected: CollectedCurves) -> list[ReportBlock]:
    """Tabulate where each curve reached the level."""
    if collected.level is None:
        return []
    x, y = (history_path(path)[1] for path in (collected.x, next(iter(_quantities(collected)))))
    names = _quantities(collected)
    compared = (f"less {_against(collected)}", "95 %", "pairs") if collected.against else ()
    rows = tuple(
        (
            _label(each, names),
            _reached_at(each, x),
            *(difference_cells(each.difference) if compared else ()),
        )
        for each in collected.reached
    )
    head = collected.by or ("run" if any(each.run for each in collected.reached) else "")
    head = ", ".join(filter(None, (_kind(collected), head)))
    what = y if isinstance(collected.y, str) else "it"
    where = f"first {x} at which {what} comes to {number(collected.level)}"
    return [Table((head, where, *compared), rows)]


def _reached_at(collected: Reached, x: str) -> Cell:
    every = collected.runs
    if collected.x is not None:
        if collected.stderr is None and not collected.missed:
            return collected.x
        rest = f", in {every - collected.missed} of {every} runs" if collected.missed else ""
        return f"{with_error(collected.x, collected.stderr)}{rest}"
    return "not reached" + ("" if collected.last is None else f" by {x} {number(collected.last)}")
