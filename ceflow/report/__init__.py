"""Reports from a run directory: in the terminal, and as figures.

`terminal` shows a run, with the `layers` of its network and its `trouble`; `sweeps` compares
runs. `tables` fits tables into a terminal, `plot` and `heatmap` draw with characters, `figures`
writes SVG, and `text` writes sizes and durations.
"""

from ceflow.report.figures import write_figures
from ceflow.report.terminal import plan_tree, run_report, runs_report, trouble_report

__all__ = ["plan_tree", "run_report", "runs_report", "trouble_report", "write_figures"]
