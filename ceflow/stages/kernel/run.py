"""The kernel stage at work: the matrix by its method, then what is asked of it."""

from ceflow.stages.kernel import matrices
from ceflow.stages.kernel.findings import findings
from ceflow.stages.stage import Job, Outcome, precision

METHODS = {
    "analytic": matrices.analytic,
    "empirical": matrices.empirical,
    "mean": matrices.mean,
}


def run(job: Job) -> Outcome:
    import numpy as np

    dataset = job.dataset()
    with precision(job.plan):
        found = METHODS[job.stage.method](job, dataset)
        values = findings(job, dataset, found)
    if job.stage.tile:  # on disk already
        return Outcome(values | {"array": job.directory.array_name(job.name)})
    kept = {"array": found.matrix, "stderr": found.stderr}
    return Outcome(values, {key: np.asarray(one) for key, one in kept.items() if one is not None})
