"""Running a document, and keeping the results.

`running` starts one run or a sweep, in `directories`, after the needs of each stage are `prepared`
`running` starts one run or a sweep, in `directories`, after the needs of each stage are `prepared`
and compared with the `machine`, at its `rates`; `reopening` plans a begun one again. `loop` runs
the stages of one run, `sweeping` the runs of a sweep: both are `work` that can end in `failures`.
`record` keeps what is done; `results` reads it back by `reading`, with the `numbers` that JSON can
hold, and `arrays` by name; `summaries` tells it in a few lines, or as a table. `collecting` gathers
what runs have `measured` into `collected` tables, as far as they are `collectable`, or into
`curves` and their values at `levels`, with means and `paired` differences, and `tabulating`
compares networks whose results are `published`; `describing` shows all of them, by
`describing_points`, `describing_tables`, `describing_curves` and `describing_differences`, with
the same `labels`. `kept` finds the weights that a stage has trained, and the examples that it saw.
"""

from ceflow.runs.collected import read_collected
from ceflow.runs.failures import Failure, Interrupted, RunError
from ceflow.runs.kept import Trained, trained
from ceflow.runs.prepared import Needs, Prepared, prepare
from ceflow.runs.record import known_results
from ceflow.runs.reopening import reopen
from ceflow.runs.results import Results, results_schema
from ceflow.runs.running import Run, open, run, run_prepared

__all__ = [
    "Failure",
    "Interrupted",
    "Needs",
    "Prepared",
    "Results",
    "Run",
    "RunError",
    "Trained",
    "known_results",
    "open",
    "prepare",
    "read_collected",
    "reopen",
    "results_schema",
    "run",
    "run_prepared",
    "trained",
]
