"""The `train` stage: gradient descent of an infinitely wide network with a bottleneck."""

from ceflow.stages.stage import Kind
from ceflow.stages.train.forecast import forecast
from ceflow.stages.train.report import describe
from ceflow.stages.train.run import run

KIND = Kind(forecast, run, describe)
