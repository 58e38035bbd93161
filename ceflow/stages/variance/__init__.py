"""The `variance` stage: moments of an NTK entry over widths, and alpha (CE Algorithm 1)."""

from ceflow.stages.stage import Job, Kind, Outcome
from ceflow.stages.variance import forecast, report
from ceflow.stages.variance.fitting import fitted
from ceflow.stages.variance.measuring import inputs_of, measure, members_of, method_of

__all__ = ["KIND"]


def run(job: Job) -> Outcome:
    method, members, points = method_of(job.stage, job.model), members_of(job.stage, job.model), []
    x = inputs_of(job)
    for index, (ratio, member) in enumerate(members, 1):
        points.append({"ratio": ratio, **measure(job, method, member, x)})
        job.progress(index, len(members))
    return Outcome(fitted(job.stage, method, points))


KIND = Kind(forecast.forecast, run, report.describe)
