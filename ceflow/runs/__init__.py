"""The loop from a document to its results, and where they are kept."""

from ceflow.runs.collected import read_collected
from ceflow.runs.failures import Failure, RunError
from ceflow.runs.prepared import Needs, Prepared, prepare
from ceflow.runs.record import known_results
from ceflow.runs.results import Results, results_schema
from ceflow.runs.running import Run, reopen, run, run_prepared

__all__ = [
    "Failure",
    "Needs",
    "Prepared",
    "Results",
    "Run",
    "RunError",
    "known_results",
    "prepare",
    "read_collected",
    "reopen",
    "results_schema",
    "run",
    "run_prepared",
]
