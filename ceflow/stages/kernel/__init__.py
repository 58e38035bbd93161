"""The `kernel` stage: a kernel matrix over the training inputs, and what follows from it."""

from ceflow.stages.kernel import forecast, report, run
from ceflow.stages.stage import Kind

KIND = Kind(forecast.forecast, run.run, report.describe, overview=report.overview)
