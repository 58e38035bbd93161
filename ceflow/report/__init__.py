"""Reports from a run directory: in the terminal, and as figures."""

from ceflow.report.figures import write_figures
from ceflow.report.terminal import plan_tree, run_report, runs_report, trouble_report

__all__ = ["plan_tree", "run_report", "runs_report", "trouble_report", "write_figures"]
