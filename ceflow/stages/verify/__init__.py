"""The `verify` stage: claims of the papers, each with a number and a verdict."""

from ceflow.stages.stage import Kind
from ceflow.stages.verify.forecast import forecast
from ceflow.stages.verify.report import describe
from ceflow.stages.verify.run import run

KIND = Kind(forecast, run, describe)
