"""Gaussian predictions and how well they agree with targets: likelihood, coverage, classes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import erfcx, log_ndtr, logsumexp, ndtri

from ceflow.kernels.costs import PREDICTIVE_ENTRIES, PREDICTIVE_NODES

MOST_NEWTON_STEPS = 60
"""Maximum number of Newton steps to a peak; ten are usual."""

NEGLIGIBLE = 1e9
"""Gap, in standard deviations, to a rival that cannot win: the output itself."""

BINS = 15
"""Number of bins of confidence in an expected calibration error."""


class Predictive(NamedTuple):
    """Independent Gaussian predictions of each output; all outputs of an example have one variance.

    >>> law = Predictive(np.zeros((1, 1)), np.ones(1))
    >>> round(law.nll(np.zeros((1, 1))), 4)
    0.9189
    >>> law.coverage(np.array([[0.6]]), 0.5), law.coverage(np.array([[0.7]]), 0.5)
    (1.0, 0.0)
    """

    mean: Float[np.ndarray, "m outputs"]
    variance: Float[np.ndarray, " m"]

    def nll(self, targets: Float[np.ndarray, "m outputs"]) -> float:
        """Compute the mean of `-log N(y; mean, variance)` over examples and outputs, in nats."""
        variance = self.variance[:, None]
        squares = np.square(targets - self.mean) / variance
        return float((squares + np.log(2 * np.pi * variance)).mean() / 2)

    def coverage(self, targets: Float[np.ndarray, "m outputs"], level: float) -> float:
        """Compute the fraction of targets inside the central intervals of this probability."""
        half = ndtri((1 + level) / 2) * np.sqrt(self.variance[:, None])
        return float((np.abs(targets - self.mean) <= half).mean())

    def log_probabilities(self) -> Float[np.ndarray, "m classes"]:
        """Compute the log probability of each class: that its output is the largest.

        With s the standard deviation, phi and Phi the density and the distribution function of a
        standard normal number, the probability of class a is

            int phi(u) prod_(b != a) Phi(u + (mean_a - mean_b)/s) du

        by a Gauss-Hermite rule about the peak of the integrand: relative errors are about 1e-10,
        also of small probabilities. With one output there are two classes: that it is below 0, and
        above 0.

        >>> np.exp(Predictive(np.array([[1.0, 0.0]]), np.array([0.5])).log_probabilities())
        array([[0.84134475, 0.15865525]])
        >>> np.exp(Predictive(np.array([[2.0]]), np.array([4.0])).log_probabilities())
        array([[0.15865525, 0.84134475]])
        """
        scaled = self.mean / np.sqrt(self.variance)[:, None]
        if scaled.shape[1] == 1:
            return np.concatenate([log_ndtr(-scaled), log_ndtr(scaled)], axis=1)
        rows = max(1, PREDICTIVE_ENTRIES // (scaled.shape[1] ** 2 * PREDICTIVE_NODES))
        parts = [_log_largest(scaled[i : i + rows]) for i in range(0, len(scaled), rows)]
        return np.concatenate(parts)


def _log_largest(
    scaled: Float[np.ndarray, "k classes"],
) -> Float[np.ndarray, "k classes"]:
    """Compute the log probability that each of these means plus normal noise is the largest."""
    gaps = scaled[:, :, None] - scaled[:, None, :]
    gaps[:, *np.diag_indices(scaled.shape[1])] = NEGLIGIBLE
    peaks, curvatures = _peaks(gaps)
    nodes, weights = np.polynomial.hermite_e.hermegauss(PREDICTIVE_NODES)
    points = peaks[..., None] + nodes / np.sqrt(curvatures)[..., None]
    heights = log_ndtr(points[..., None, :] + gaps[..., None]).sum(axis=-2) - points**2 / 2
    terms = heights + nodes**2 / 2 + np.log(weights / np.sqrt(2 * np.pi))
    return logsumexp(terms, axis=-1) - np.log(curvatures) / 2


def _peaks(
    gaps: Float[np.ndarray, "k classes classes"],
) -> tuple[Float[np.ndarray, "k classes"], Float[np.ndarray, "k classes"]]:
    """Find where `-u^2/2 + sum_b log Phi(u + gap_b)` is largest, and minus its second derivative.

    Its derivative is convex and falls, so that Newton's method converges from anywhere.
    """
    peaks, curvatures = np.zeros(gaps.shape[:-1]), np.ones(gaps.shape[:-1])
    for _ in range(MOST_NEWTON_STEPS):
        points = peaks[..., None] + gaps
        ratios = np.sqrt(2 / np.pi) / erfcx(-points / np.sqrt(2))  # phi/Phi
        bends = (ratios * (ratios + points)).clip(0, 1)  # which rounding alone could leave
        curvatures = 1 + bends.sum(axis=-1)
        steps = (ratios.sum(axis=-1) - peaks) / curvatures
        peaks = peaks + steps
        if (np.abs(steps) <= 1e-6 * (1 + np.abs(peaks))).all():
            break
    return peaks, curvatures


def log_loss(
    log_probabilities: Float[np.ndarray, "m classes"], classes: Int[np.ndarray, " m"]
) -> float:
    """Compute the mean of minus the log probability of the true class, in nats."""
    return float(-log_probabilities[np.arange(len(classes)), classes].mean())


def calibration_error(
    probabilities: Float[np.ndarray, "m classes"], classes: Int[np.ndarray, " m"]
) -> float:
    """Compute the expected calibration error with 15 bins (Guo et al., ICML 2017, eq. 3).

    Examples are sorted by the probability of their likeliest class into bins of equal width; the
    error is the mean over examples of |accuracy - mean confidence| of their bin. It is 0 in
    expectation for calibrated probabilities only if there are many examples.

    >>> round(calibration_error(np.array([[0.9, 0.1]] * 2), np.array([0, 1])), 12)
    0.4
    """
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == classes
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    apart = np.bincount(bins, hits - confidence, minlength=BINS)
    return float(np.abs(apart).sum() / len(classes))
