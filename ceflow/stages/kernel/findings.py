"""What is asked of a kernel: its distance, its spectrum, how it goes with the targets."""

import math
from typing import TYPE_CHECKING

from ceflow import kernels
from ceflow.data import Dataset
from ceflow.spec import Circle
from ceflow.stages.kernel.matrices import Found, reference_of
from ceflow.stages.measures import measured
from ceflow.stages.stage import Job, Values

if TYPE_CHECKING:
    import numpy as np

    from ceflow.kernels import Matrix

ROWS = 1024
"""Test examples whose predictions are made at a time."""


def findings(job: Job, dataset: Dataset, found: Found) -> Values:
    """The numbers of a kernel stage, those of its method included; null where one is undefined."""
    stage, values = job.stage, _described(job, found) | found.values
    if stage.reference:
        values["reference"] = stage.reference
        if "distance" not in values:
            measured(values, ["distance"], lambda: _distance(job, found), "the distance")
    if stage.spectrum:
        ends = kernels.Spectrum._fields
        measured(values, ends, lambda: kernels.spectrum(found.matrix)._asdict(), "the spectrum")
    if stage.alignment:
        _align(values, found.matrix, dataset.train.y)
    if stage.ridge is not None:
        keys = _regression_keys(job, dataset)
        measured(values, keys, lambda: _regression(job, dataset, found), "the regression")
    if isinstance(job.plan.document.data, Circle):
        values["profile"] = _profile(dataset, found)
    return values


def _distance(job: Job, found: Found) -> Values:
    reference = reference_of(job)
    assert reference is not None
    return {"distance": kernels.relative_distance(found.matrix, reference)}


def _align(values: Values, matrix: "Matrix", targets: "np.ndarray") -> None:
    for key, centred in (("alignment", False), ("alignment_centred", True)):

        def align(key: str = key, centred: bool = centred) -> Values:
            return {key: kernels.alignment(matrix, targets, centred=centred)}

        measured(values, [key], align, "the centred alignment" if centred else "the alignment")


def _described(job: Job, found: Found) -> Values:
    import numpy as np

    diagonal = found.matrix.diagonal()
    if diagonal.ndim > 1:  # (outputs, outputs, N)
        diagonal = np.trace(diagonal)
    trace = float(diagonal.sum(dtype=float))
    if not math.isfinite(trace):
        raise ValueError(
            "the kernel is not finite: its inputs or variances are too large; make them smaller,"
            ' or try precision = "float64"'
        )
    return {
        "kind": job.stage.kind,
        "method": job.stage.method,
        "shape": list(found.matrix.shape),
        "trace": trace,
    }


def _regression(job: Job, dataset: Dataset, found: Found) -> Values:
    import numpy as np

    mean = float(found.matrix.diagonal().mean(dtype=float))
    if not mean:
        raise ValueError("the kernel is 0: are all inputs 0?")
    try:
        coefficients = kernels.fit(found.matrix, dataset.train.y, job.stage.ridge * mean)
    except ValueError:
        least = kernels.rounding_ridge(found.matrix) / mean
        if job.stage.ridge >= least:
            raise
        raise ValueError(
            f"the kernel is singular to rounding; set stages.{job.name}.ridge to {least:.1e} or"
            " more"
        ) from None
    parts = {"train": (found.matrix @ coefficients, dataset.train.y)}
    if len(dataset.test.x):
        starts = range(0, len(dataset.test.x), ROWS)
        blocks = [found.between(slice(start, start + ROWS)) @ coefficients for start in starts]
        parts["test"] = np.concatenate(blocks), dataset.test.y
    values: Values = {}
    for part, (predictions, targets) in parts.items():
        values[f"{part}_mse"] = float(np.square(predictions - targets).mean())
        if _has_classes(job):
            values[f"{part}_accuracy"] = kernels.accuracy(predictions, targets)
    return values


def _regression_keys(job: Job, dataset: Dataset) -> list[str]:
    parts = ["train", *(["test"] if len(dataset.test.x) else [])]
    names = ["mse", *(["accuracy"] if _has_classes(job) else [])]
    return [f"{part}_{name}" for part in parts for name in names]


def _has_classes(job: Job) -> bool:
    return getattr(job.plan.document.data, "targets", "raw") != "raw"


def _profile(dataset: Dataset, found: Found) -> Values:
    """The kernel of the circle's middle point with all, by the angle between them."""
    import numpy as np

    middle = len(dataset.train.x) // 2
    angles = np.linspace(-np.pi, np.pi, len(dataset.train.x))
    row = slice(middle, middle + 1)
    values: Values = {
        "angles": (angles - angles[middle]).tolist(),
        "kernel": _row(found.matrix[row, :]),
    }
    if found.stderr is not None:
        values["stderr"] = _row(found.stderr[row, :])
    return values


def _row(block: "np.ndarray") -> list[float]:
    """One row of numbers; of a kernel over all outputs, its mean over them."""
    import numpy as np

    mean = block if block.ndim == 2 else np.trace(block, axis1=2, axis2=3) / block.shape[-1]
    return mean[0].astype(float).tolist()
