"""The curves of a run as SVG figures."""

import io
from typing import Any

from ceflow.compiler import Plan, compile
from ceflow.spec import variants
from ceflow.stages import Curve, kind_of
from ceflow.store import RunDirectory


def write_figures(directory: RunDirectory, plan: Plan) -> None:
    """Draw every curve of a run to `figures/STAGE-CURVE.svg`; of a sweep, of each of its runs."""
    if plan.document.sweep:
        for name, document in variants(plan.document).items():
            write_figures(RunDirectory(directory.path / name), compile(document))
    results = directory.read_json("results.json")["stages"]
    for name, values in results.items():
        for block in kind_of(plan.document.stages[name]).describe(values):
            if isinstance(block, Curve):
                directory.write_text(f"figures/{name}-{block.name}.svg", draw_svg(block))


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
        axes.legend(frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
