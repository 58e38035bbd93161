"""The loop from a document to its results, and where they are kept."""

from ceflow.runs.collected import read_collected
from ceflow.runs.failures import Failure, RunError
from ceflow.runs.needs import Needs, forecast_needs, require_memory
from ceflow.runs.record import known_results
from ceflow.runs.results import Results, results_schema
from ceflow.runs.running import Run, reopen, run

__all__ = [
    "Failure",
    "Needs",
    "Results",
    "Run",
    "RunError",
    "forecast_needs",
    "known_results",
    "read_collected",
    "reopen",
    "require_memory",
    "results_schema",
    "run",
]
