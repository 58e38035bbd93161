"""The loop from a document to its results, and where they are kept."""

from ceflow.runs.needs import Needs, forecast_needs, require_memory
from ceflow.runs.running import Run, reopen, run

__all__ = ["Needs", "Run", "forecast_needs", "reopen", "require_memory", "run"]
