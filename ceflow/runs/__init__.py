"""The loop from a document to its results, and where they are kept.

`running` makes the plan and one run or the many of a sweep, in `directories`, once what each needs
is `prepared` and fits the `machine` at its `rates`. `loop` does the stages of one, `sweeping` the
runs of many: both are `work` that may end in `failures`. A `record` says what is done, `results`
read it back by `reading`, with the `numbers` that JSON has. `collecting` gathers what is
`collectable` and `collected` over a sweep, or `curves`.
"""

from ceflow.runs.collected import read_collected
from ceflow.runs.failures import Failure, RunError
from ceflow.runs.prepared import Needs, Prepared, prepare
from ceflow.runs.record import known_results
from ceflow.runs.results import Results, results_schema
from ceflow.runs.running import Run, open_run, reopen, run, run_prepared

__all__ = [
    "Failure",
    "Needs",
    "Prepared",
    "Results",
    "Run",
    "RunError",
    "known_results",
    "open_run",
    "prepare",
    "read_collected",
    "reopen",
    "results_schema",
    "run",
    "run_prepared",
]
