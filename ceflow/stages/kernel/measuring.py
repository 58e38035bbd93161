"""Measurements of a kernel: its distance, its spectrum, its alignment with the targets."""

import math
from functools import partial
from typing import TYPE_CHECKING

from ceflow import kernels
from ceflow.data import Dataset
from ceflow.stages.kernel.keeping import keep
from ceflow.stages.kernel.learning import ENDS, FULL_SPECTRUM, full_spectrum
from ceflow.stages.kernel.methods import WHY_ZERO, Computed, reference_of
from ceflow.stages.kernel.regressing import regressed
from ceflow.stages.kernel.result import KernelResult, Profile
from ceflow.stages.result import Values, measured
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ceflow.kernels import Matrix


def measure(job: Job, dataset: Dataset, computed: Computed) -> KernelResult:
    """Measure what the stage requests; undefined numbers are None, and a warning says why."""
    files, computed = keep(job, dataset, computed)
    stage, kernel, file = job.stage, computed.kernel, computed.file
    read: Values = files if file is None else files | {"file": stage.from_}
    result = KernelResult(
        **computed.about,
        **read,
        kind=stage.kind,
        method=stage.method if file is None else file.method,
        shape=list(kernel.shape),
        trace=_trace(kernel),
    )
    if result.trace <= len(kernel) * smallest(job.plan.document.precision):
        result = result.warned(
            f"the kernel is 0, or near the smallest numbers of {job.plan.document.precision}:"
            f" {WHY_ZERO}, or the inputs or variances too small"
        )
    if stage.reference:
        result = _compared(job, result, kernel)
    if stage.spectrum == "full":
        whole = partial(full_spectrum, kernel, dataset.train.y, stage.ridge)
        result = measured(result, FULL_SPECTRUM, whole, "the spectrum")
    elif stage.spectrum:
        result = measured(result, ENDS, lambda: kernels.spectrum(kernel)._asdict(), "the spectrum")
    if stage.alignment:
        result = _aligned(result, kernel, dataset.train.y)
    if stage.ridge is not None:
        result = regressed(job, dataset, computed, result)
    if job.plan.document.data and job.plan.document.data.is_circle:
        result = result.model_copy(update={"profile": _profile(dataset, computed)})
    return result


def smallest(precision: str) -> float:
    """Return the number below which products of this precision lose digits.

    >>> smallest("float32")
    9.86...e-32
    """
    import numpy as np

    limits = np.finfo(precision)
    return float(limits.tiny / limits.eps)


def _trace(kernel: "Matrix") -> float:
    import numpy as np

    diagonal = kernel.diagonal()
    if diagonal.ndim > 1:  # (outputs, outputs, N)
        diagonal = np.trace(diagonal)
    trace = float(diagonal.sum(dtype=float))
    if not math.isfinite(trace):
        raise ValueError(
            "the kernel is not finite: its inputs or variances are too large; make them smaller,"
            ' or try precision = "float64"'
        )
    return trace


def _compared(job: Job, result: KernelResult, kernel: "Matrix") -> KernelResult:
    """Name the reference, and measure the distance unless the draws already did."""
    result = result.model_copy(update={"reference": job.stage.reference})
    if "distance" in result:
        return result

    def distance() -> dict[str, float]:
        reference = reference_of(job)
        assert reference is not None
        return {"distance": kernels.relative_distance(kernel, reference)}

    return measured(result, ["distance"], distance, "the distance")


def _aligned(
    result: KernelResult, kernel: "Matrix", targets: "Float[np.ndarray, 'n outputs']"
) -> KernelResult:
    ways = (
        ("alignment", False, "the alignment"),
        ("alignment_centred", True, "the centred alignment"),
    )
    for field, centred, name in ways:
        measure = partial(_alignment, kernel, targets, field, centred=centred)
        result = measured(result, [field], measure, name)
    return result


def _alignment(
    kernel: "Matrix", targets: "Float[np.ndarray, 'n outputs']", field: str, *, centred: bool
) -> Values:
    return {field: kernels.alignment(kernel, targets, centred=centred)}


def _profile(dataset: Dataset, computed: Computed) -> Profile:
    """Return the kernel between the circle's middle point and all points, by angle."""
    import numpy as np

    middle = len(dataset.train.x) // 2
    angles = np.linspace(-np.pi, np.pi, len(dataset.train.x))
    row, stderr = slice(middle, middle + 1), computed.about.stderr
    profile = Profile(
        angles=(angles - angles[middle]).tolist(), kernel=_row(computed.kernel[row, :])
    )
    if stderr is None:
        return profile
    return profile.model_copy(update={"stderr": _row(np.asarray(stderr)[row, :])})


def _row(block: "Float[np.ndarray, '1 n ...']") -> list[float]:
    """Return one row of a kernel; for a kernel over all outputs, its mean over them."""
    import numpy as np

    mean = block if block.ndim == 2 else np.trace(block, axis1=2, axis2=3) / block.shape[-1]
    return mean[0].astype(float).tolist()
