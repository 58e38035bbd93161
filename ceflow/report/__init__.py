"""Reports from a run directory: in the terminal, as a web page, and as figures.

`sections` lists what is shown: `sweeps` and `comparing` compare runs, `costs` tells what they took,
`trouble` what went wrong. `terminal` prints it, with the `layers` of a network; there `tables` fits
tables into the columns, `plot` and `heatmap` draw with characters. `page` writes it as one HTML
file, `figures` as SVG, and `text` writes sizes and durations.
"""

from ceflow.report.comparing import compared
from ceflow.report.figures import write_figures
from ceflow.report.page import comparison_page, run_page, write_page
from ceflow.report.terminal import (
    comparison_report,
    plan_tree,
    run_report,
    runs_report,
    trouble_report,
)

__all__ = [
    "compared",
    "comparison_page",
    "comparison_report",
    "plan_tree",
    "run_page",
    "run_report",
    "runs_report",
    "trouble_report",
    "write_figures",
    "write_page",
]
