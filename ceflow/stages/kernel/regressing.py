"""Kernel regression in a kernel stage: errors, the posterior on test examples, and its scores."""

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ceflow import kernels
from ceflow.blocks import counted
from ceflow.data import Dataset
from ceflow.stages.kernel.keeping import parts_of
from ceflow.stages.kernel.methods import Computed
from ceflow.stages.kernel.result import KernelResult
from ceflow.stages.profiles import output_profile
from ceflow.stages.result import Values, measured, undefined
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int

    from ceflow.kernels import Matrix, Regression

WITHOUT_TEST = (
    "the regression has no test errors: the kernel in {name} was read without its rows of test"
    " examples; test_blocks = true reads them, if they were kept"
)

NOT_CONVERGED = (
    "the regression did not converge: after {iterations} its residual is {residual:.2g};"
    ' raise stages.{name}.ridge or tolerance, or use solver = "cholesky"'
)

TOLERANCE = 1e-6
"""Relative residual at which conjugate gradients end by default."""

LEVELS = (50, 90)
"""Probabilities, in per cent, of the intervals whose coverage is measured."""

SPREAD_FIELDS = ("std", "test_stddev")


class _Posterior(NamedTuple):
    """Posterior of the outputs on test examples; the noise of targets is apart."""

    mean: "Float[np.ndarray, 'm outputs']"
    variance: "Float[np.ndarray, ' m']"
    rounding: "Float[np.ndarray, ' m']"
    """How far rounding can move each variance."""
    noise: float
    """Variance of the noise of a target."""
    scale: float
    """Mean diagonal entry of the kernel, to which the ridge is relative."""


def regressed(job: Job, dataset: Dataset, computed: Computed, result: KernelResult) -> KernelResult:
    """Fit the training targets; add the errors, the posterior on test examples, and its scores.

    What is undefined is None, and a warning says why.
    """
    import numpy as np

    tested = len(dataset.test.x) > 0 and computed.knows_test
    if len(dataset.test.x) and not tested:
        result = result.warned(WITHOUT_TEST.format(name=job.stage.from_))
    scores = _score_fields(job) if tested and job.stage.solver == "cholesky" else ()
    try:
        errors, posterior = _fitted(job, dataset, computed, tested=tested)
    except (ValueError, ArithmeticError) as error:
        fields = [*_error_fields(job, tested=tested), *(SPREAD_FIELDS if scores else ()), *scores]
        return undefined(result, fields, f"the regression is undefined: {error}")
    result = result.model_copy(update=errors)
    if (result.residual or 0.0) > 1.01 * (job.stage.tolerance or TOLERANCE):
        iterations = counted(result.iterations or 0, "iteration")
        values = {"iterations": iterations, "residual": result.residual, "name": job.name}
        result = result.warned(NOT_CONVERGED.format(**values))
    if posterior is None:
        return result
    spread = partial(_spread, posterior)
    result = measured(result, SPREAD_FIELDS, spread, "the posterior standard deviation")
    if result.std is None:
        return result.model_copy(update=dict.fromkeys(scores))
    if not job.has_classes:
        mean, std = posterior.mean[None, None], np.asarray(result.std)[None]
        profile = output_profile(dataset.test.x, dataset.train, (), mean, std)
        result = result.model_copy(update={"posterior": profile} if profile else {})
    scored = partial(_scores, job, dataset, posterior)
    return measured(result, scores, scored, "the likelihood of the test targets")


def _error_fields(job: Job, *, tested: bool) -> list[str]:
    parts = ["train", *(["test"] if tested else [])]
    names = ["mse", *(["accuracy"] if job.has_classes else [])]
    return [f"{part}_{name}" for part in parts for name in names]


def _score_fields(job: Job) -> tuple[str, ...]:
    if job.has_classes:
        return ("test_nll", "probabilities", "test_log_loss", "test_calibration_error")
    return ("test_nll", *(f"test_coverage_{level}" for level in LEVELS))


def _fitted(
    job: Job, dataset: Dataset, computed: Computed, *, tested: bool
) -> tuple[Values, _Posterior | None]:
    """Fit the training targets; return the errors, and the posterior on test examples."""
    kernel, targets = computed.kernel, dataset.train.y
    mean = float(kernel.diagonal().mean(dtype=float))
    if not mean:
        raise ValueError("the kernel is 0: are all inputs 0?")
    noise = job.stage.ridge * mean
    if job.stage.solver == "cg":
        return _iterated(job, dataset, computed, noise, tested=tested), None
    try:
        with kernels.regression(kernel, targets, noise) as fit:
            errors = _errors(job, "train", kernel @ fit.coefficients, targets)
            if not tested:
                return errors, None
            mean_and_spread = _predicted(fit, dataset, computed)
    except kernels.SingularError:
        raise _singular(job, kernel, mean) from None
    posterior = _Posterior(*mean_and_spread, noise, mean)
    errors |= _errors(job, "test", posterior.mean, dataset.test.y)
    predictions = posterior.mean.astype(job.plan.document.precision)
    return errors | {"predictions": predictions, "noise": noise}, posterior


def _iterated(
    job: Job, dataset: Dataset, computed: Computed, noise: float, *, tested: bool
) -> Values:
    """Fit the training targets by conjugate gradients; return the errors and the predictions."""
    import numpy as np

    kernel, targets = computed.kernel, dataset.train.y
    tolerance = job.stage.tolerance or TOLERANCE
    fit = kernels.conjugate_gradients(kernel, targets, noise, tolerance=tolerance)
    found = {"iterations": fit.iterations, "residual": fit.residual}
    found |= _errors(job, "train", kernel @ fit.coefficients, targets)
    if not tested:
        return found
    parts = parts_of(len(dataset.test.x))
    means = np.concatenate([computed.cross(part) @ fit.coefficients for part in parts])
    predictions = means.astype(job.plan.document.precision)
    return found | _errors(job, "test", means, dataset.test.y) | {"predictions": predictions}


def _singular(job: Job, kernel: "Matrix", mean: float) -> ValueError:
    least = kernels.rounding_ridge(kernel) / mean
    return ValueError(
        f"the kernel is singular to rounding; set stages.{job.name}.ridge to {least:.1e} or more"
    )


def _errors(job: Job, part: str, predictions: "np.ndarray", targets: "np.ndarray") -> Values:
    import numpy as np

    errors = {f"{part}_mse": float(np.square(predictions - targets).mean())}
    if job.has_classes:
        errors[f"{part}_accuracy"] = kernels.accuracy(predictions, targets)
    return errors


def _predicted(
    fit: "Regression", dataset: Dataset, computed: Computed
) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Compute posterior means and variances, and how far rounding can move each variance."""
    import numpy as np

    own, found = computed.test_diagonal(), []
    for part in parts_of(len(dataset.test.x)):
        cross = computed.cross(part)
        found.append((cross @ fit.coefficients, *fit.variances(cross, own[part])))
    means, variances, rounding = map(np.concatenate, zip(*found, strict=True))
    return means, variances, rounding


def _spread(posterior: _Posterior) -> Values:
    """Return the posterior standard deviations without noise, and their root mean square."""
    import numpy as np

    negative = int((posterior.variance < -posterior.rounding).sum())
    if negative:
        raise ValueError(
            f"the variance of {negative} test examples is negative; the kernel of training and test"
            " examples is not positive semidefinite"
        )
    variance = posterior.variance.clip(0)
    return {"std": np.sqrt(variance), "test_stddev": float(np.sqrt(variance.mean()))}


def _scores(job: Job, dataset: Dataset, posterior: _Posterior) -> Values:
    """Score the test targets by the predictive law: the posterior with the noise of targets."""
    import numpy as np

    variance, targets = posterior.variance.clip(0) + posterior.noise, dataset.test.y
    unknown = int((variance <= posterior.rounding).sum())
    if unknown:
        least = posterior.rounding.max() / posterior.scale
        raise ValueError(
            f"the variance of {unknown} test examples is within rounding of 0, as that of training"
            f" examples is without noise; set stages.{job.name}.ridge to {least:.1e} or more"
        )
    law = kernels.Predictive(posterior.mean, variance)
    scores: Values = {"test_nll": law.nll(targets)}
    if not job.has_classes:
        return scores | {
            f"test_coverage_{level}": law.coverage(targets, level / 100) for level in LEVELS
        }
    logarithms, classes = law.log_probabilities(), _classes(targets)
    return scores | {
        "probabilities": np.exp(logarithms),
        "test_log_loss": kernels.log_loss(logarithms, classes),
        "test_calibration_error": kernels.calibration_error(np.exp(logarithms), classes),
    }


def _classes(targets: "Float[np.ndarray, 'm outputs']") -> "Int[np.ndarray, ' m']":
    """Return the number of each example's class, from one-hot or signed targets."""
    return targets.argmax(axis=1) if targets.shape[1] > 1 else (targets[:, 0] > 0).astype(int)
