"""The `train` stage: gradient descent of an infinitely wide network with a bottleneck."""

from ceflow.stages.stage import Kind
from ceflow.stages.train import forecast, report, run

KIND = Kind(forecast.forecast, run.run, report.describe)
