"""The `variance` stage: moments of an NTK entry over widths, and alpha (CE Algorithm 1)."""

from ceflow.stages.stage import Job, Kind, Outcome
from ceflow.stages.variance import forecast, report
from ceflow.stages.variance.fitting import fitted
from ceflow.stages.variance.measuring import inputs_of, measure, members_of, method_of

__all__ = ["KIND"]


def run(job: Job) -> Outcome:
    method, members = method_of(job.stage, job.model), members_of(job.stage, job.model)
    points, lost, x = [], [], inputs_of(job)
    for index, (ratio, member) in enumerate(members, 1):
        try:
            points.append({"ratio": ratio, **measure(job, method, member, x)})
        except (ValueError, ArithmeticError) as error:
            lost.append(f"left out, as its moments are undefined: {error}")
        job.progress(index, len(members))
    values = fitted(job.stage, method, points)
    return Outcome(values | {"warnings": [*lost, *values["warnings"]]})


KIND = Kind(forecast.forecast, run, report.describe)
