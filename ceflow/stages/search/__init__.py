"""The `search` stage: the optimally smooth and compact ensembles (CE Algorithm 2)."""

from ceflow.stages.search import forecast, report, run
from ceflow.stages.stage import Kind

KIND = Kind(forecast.forecast, run.run, report.describe, forecast.expect, faults=forecast.faults)
