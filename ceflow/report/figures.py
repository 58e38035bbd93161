"""The curves of a run as SVG figures."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ceflow.compiler import Plan, compile
from ceflow.report.collected import collected_curve
from ceflow.report.courses import with_course
from ceflow.spec import variants
from ceflow.stages import Curve, kind_of
from ceflow.store import RunDirectory

LONG = 30
"""Characters of a label that does not stand inside the axes."""


def write_figures(directory: RunDirectory, plan: Plan) -> None:
    """Draw every curve of a run to `figures/STAGE-CURVE.svg`.

    Of a sweep, those of each of its runs, and in its own directory the curves of all runs together.
    """
    alike: dict[str, dict[str, Curve]] = {}
    for run, document in variants(plan.document).items() if plan.document.sweep else ():
        below, its_plan = RunDirectory(directory.path / run), compile(document)
        write_figures(below, its_plan)
        for name, curve in _curves(below, its_plan):
            alike.setdefault(name, {})[run] = curve
    together = ((name, _overlaid(curves)) for name, curves in alike.items())
    collected = directory.read_json("results.json").get("collect", {})
    gathered = (
        (f"collect-{name}", collected_curve(name, each)) for name, each in collected.items()
    )
    for name, curve in [*_curves(directory, plan), *together, *gathered]:
        if curve is not None:
            directory.write_text(f"figures/{name}.svg", draw_svg(curve))


def _curves(directory: RunDirectory, plan: Plan) -> Iterator[tuple[str, Curve]]:
    """Every curve that the stages of a run have to show, by the name of its file."""
    for name, values in directory.read_json("results.json")["stages"].items():
        shown = with_course(directory, name, values)
        for block in kind_of(plan.document.stages[name]).describe(shown):
            if isinstance(block, Curve):
                yield f"{name}-{block.name}", block


def _overlaid(curves: dict[str, Curve]) -> Curve:
    """The same curve of several runs as one: of each its first series, under the run's name."""
    series = tuple(replace(curve.series[0], label=run) for run, curve in curves.items())
    return replace(next(iter(curves.values())), series=series)


def draw_svg(curve: Curve) -> str:
    """One curve as the text of an SVG; the same curve gives the same text."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {"svg.hashsalt": "ceflow", "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for series in curve.series:
            marks: Any = {"linestyle": "none", "marker": "o"} if series.style == "points" else {}
            axes.plot(series.x, series.y, label=series.label, **marks)
        axes.set(title=curve.title, xlabel=curve.x_label, ylabel=curve.y_label)
        axes.set_xscale("log" if curve.log_x else "linear")
        axes.set_yscale("log" if curve.log_y else "linear")
        if max(len(series.label) for series in curve.series) > LONG:
            figure.legend(frameon=False, loc="outside lower left", fontsize="small")
        else:
            axes.legend(frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
