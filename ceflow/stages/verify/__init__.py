"""The `verify` stage: claims of the papers, each with a number and a verdict."""

from ceflow.stages.stage import Kind
from ceflow.stages.verify import forecast, report, run

KIND = Kind(forecast.forecast, run.run, report.describe)
