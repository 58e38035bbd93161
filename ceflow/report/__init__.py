"""Reports from a run directory: in the terminal, and as figures.

`terminal` shows a run, with the `layers` of its network and its `trouble`; `sweeps` and
`comparing` compare runs. `tables` fits tables into a terminal, `plot` and `heatmap` draw with
characters, `figures` writes SVG, and `text` writes sizes and durations.
"""

from ceflow.report.comparing import compared
from ceflow.report.figures import write_figures
from ceflow.report.terminal import (
    comparison_report,
    plan_tree,
    run_report,
    runs_report,
    trouble_report,
)

__all__ = [
    "compared",
    "comparison_report",
    "plan_tree",
    "run_report",
    "runs_report",
    "trouble_report",
    "write_figures",
]
