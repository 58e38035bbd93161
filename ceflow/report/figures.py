"""The curves and heatmaps of a run as figures, in SVG or PDF."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ceflow.blocks import Curve, Series
from ceflow.blocks.svg import draw_pdf, draw_svg
from ceflow.compiler import Plan
from ceflow.runs import Results, known_results, read_collected
from ceflow.runs.describing import collected_drawing
from ceflow.store import Damaged, RunDirectory

Kind = Literal["svg", "pdf"]
"""The format of a figure, which its file's name ends with."""

MOST_DASHES = 4
"""Maximum number of runs whose curves differ in dashes too."""


def write_figures(
    directory: RunDirectory, plan: Plan, kind: Kind = "svg", *, again: bool = False
) -> None:
    """Draw every curve of a run to `figures/STAGE-CURVE.svg` or `.pdf`, except those that exist,
    unless they are to be drawn `again`.

    In a sweep, the figures of each run are drawn, and in the sweep's own directory those that
    compare the runs.
    """
    for run, its_plan in plan.runs.items() if plan.document.sweep else ():
        write_figures(RunDirectory(directory.path / run), its_plan, kind, again=again)
    known = known_results(directory, plan.document.stages)[0] if directory.exists else {}
    collected, _ = read_collected(known)
    gathered = (
        (f"collect-{name}", collected_drawing(name, each)) for name, each in collected.items()
    )
    together = curves_of_runs(directory, plan)
    for name, drawing in [*_curves(directory, plan), *together, *gathered]:
        file = f"figures/{name}.{kind}"
        if drawing is None or (not again and _is_drawn(directory.path / file)):
            continue
        if kind == "svg":
            directory.write_text(file, draw_svg(drawing))
        else:
            directory.write_bytes(file, draw_pdf(drawing))


def curves_of_runs(directory: RunDirectory, plan: Plan) -> Iterator[tuple[str, Curve]]:
    """Yield each curve that several runs of a sweep have, laid over each other, with its name."""
    every: dict[str, dict[str, Curve]] = {}
    for run, its_plan in plan.runs.items() if plan.document.sweep else ():
        every[run] = {}
        with suppress(Damaged):  # the others are drawn all the same
            every[run].update(_curves(RunDirectory(directory.path / run), its_plan))
    return alike(every)


def alike(every: Mapping[str, Mapping[str, Curve]], least: int = 1) -> Iterator[tuple[str, Curve]]:
    """Lay curves of equal name in several runs over each other, if `least` runs or more have it
    and all of these have it over the same axis.
    """
    for name in dict.fromkeys(name for curves in every.values() for name in curves):
        same = {run: curves[name] for run, curves in every.items() if name in curves}
        if len(same) >= least and len({curve.x_label for curve in same.values()}) == 1:
            yield name, overlaid(same)


def _is_drawn(path: Path) -> bool:
    """Tell whether a figure exists and is complete. A stage that is run again removes its
    figures.
    """
    return path.is_file() and path.read_bytes().rstrip().endswith((b"</svg>", b"%%EOF"))


def _curves(directory: RunDirectory, plan: Plan) -> Iterator[tuple[str, Curve]]:
    """Yield every curve of the stages of a run, with the name of its file."""
    if not directory.exists:
        return
    results = known_results(directory, plan.document.stages)[0]["stages"]
    for stage, name, drawing in Results(directory, plan.document, results).drawings():
        if isinstance(drawing, Curve):
            yield f"{stage}-{name}", drawing


def overlaid(curves: Mapping[str, Curve]) -> Curve:
    """Combine the same curve of several runs: the first series of each, labelled by its run. Those
    that are equal are drawn once, labelled by the first run and the number of others.

    If a curve has several series, the axis says which one is shown, or each label if runs differ.
    """
    whole = next(iter(curves.values()))
    firsts = {run: curve.series[0] for run, curve in curves.items()}
    label, *others = dict.fromkeys(each.label for each in firsts.values())
    equal: dict[Series, list[str]] = {}
    for run, each in firsts.items():
        equal.setdefault(each, []).append(run)
    series = tuple(
        replace(
            each,
            label=", ".join([_named(runs, len(firsts)), *([each.label] if others else [])]),
            dash=index if len(equal) <= MOST_DASHES else 0,  # curves that nearly coincide are seen
        )
        for index, (each, runs) in enumerate(equal.items())
    )
    said = len(whole.series) > 1 and not others
    return replace(whole, series=series, y_label=whole.y_label + (f" ({label})" if said else ""))


def _named(runs: Sequence[str], count: int) -> str:
    """Name runs whose curves are equal, of so many runs.

    >>> _named(["a"], 3), _named(["a", "b"], 3), _named(["a", "b", "c"], 3)
    ('a', 'a and 1 more', 'all 3 runs')
    """
    if len(runs) == count > 1:
        return "both runs" if count == 2 else f"all {count} runs"
    return runs[0] + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")
