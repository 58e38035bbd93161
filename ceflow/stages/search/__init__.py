"""The `search` stage: the optimally smooth and compact ensembles (CE Algorithm 2)."""

from ceflow.stages.search.forecast import expect, forecast
from ceflow.stages.search.report import describe
from ceflow.stages.search.run import run
from ceflow.stages.stage import Kind

KIND = Kind(forecast, run, describe, expect)
