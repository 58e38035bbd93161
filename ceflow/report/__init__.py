"""Reports from a run directory: in the terminal, and as figures.

`terminal` shows a run, with the network of `layers` and what `trouble` there was; `sweeps` and
`collected` show many. `plot` and `heatmap` draw with characters, `figures` writes SVG, and `text`
is how sizes and durations are read.
"""

from ceflow.report.figures import write_figures
from ceflow.report.terminal import plan_tree, run_report, runs_report, trouble_report

__all__ = ["plan_tree", "run_report", "runs_report", "trouble_report", "write_figures"]
