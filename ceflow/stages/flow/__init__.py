"""The `flow` stage: gradient flow of parameters or of functions, and the NTK while it moves."""

from ceflow.stages.flow.forecast import forecast
from ceflow.stages.flow.report import describe
from ceflow.stages.flow.run import run
from ceflow.stages.stage import Kind

KIND = Kind(forecast, run, describe)
