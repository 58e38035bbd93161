"""The kernel stage at work: the matrix by its method, then what is asked of it."""

from ceflow.stages.kernel import matrices
from ceflow.stages.kernel.findings import findings
from ceflow.stages.result import Untyped
from ceflow.stages.stage import Job, precision

METHODS = {
    "analytic": matrices.analytic,
    "empirical": matrices.empirical,
    "mean": matrices.mean,
}


def run(job: Job) -> Untyped:
    import numpy as np

    dataset = job.dataset()
    with precision(job.plan):
        found = METHODS[job.stage.method](job, dataset)
        values = findings(job, dataset, found)
    if job.stage.tile:  # on disk already
        return Untyped(**values, array=job.directory.array_name(job.name))
    kept = {"array": found.matrix, "stderr": found.stderr}
    arrays = {key: np.asarray(one) for key, one in kept.items() if one is not None}
    return Untyped(**values, **arrays)
