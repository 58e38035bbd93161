"""The `flow` stage: gradient flow of parameters or of functions, and the NTK while it moves."""

from ceflow.stages.flow import forecast, report, run
from ceflow.stages.stage import Kind

KIND = Kind(forecast.forecast, run.run, report.describe)
