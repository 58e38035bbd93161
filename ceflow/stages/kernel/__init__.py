"""The `kernel` stage: a kernel matrix over the training inputs, and what follows from it."""

from ceflow.stages.kernel.forecast import forecast
from ceflow.stages.kernel.report import describe, overview
from ceflow.stages.kernel.run import run
from ceflow.stages.stage import Kind

KIND = Kind(forecast, run, describe, overview=overview)
