"""Drift of the NTK from its initial value."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ceflow.kernels import norm


class Median(NamedTuple):
    """A median over replicas, and its standard error."""

    value: Float[np.ndarray, "..."]
    stderr: Float[np.ndarray, "..."]


def drift_pairs(count: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Return the index pairs over which the drift of a kernel of `count` examples is measured.

    The pairs are all i < j; for a single example, the pair is i = j = 0.

    >>> [each.tolist() for each in drift_pairs(3)], [each.tolist() for each in drift_pairs(1)]
    ([[0, 0, 1], [1, 2, 2]], [[0], [0]])
    """
    rows, columns = np.triu_indices(count, 1 if count > 1 else 0)
    return rows, columns


def entry_drift(
    kernels: Float[np.ndarray, "*times"], initial: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "*times"]:
    """Compute `|K_ij(t) - K_ij(0)|` for each entry; `initial` has no axis of times."""
    return np.abs(np.asarray(kernels, float) - np.asarray(initial, float))


def relative_drift(
    kernels: Float[np.ndarray, "replicas ..."], initial: Float[np.ndarray, "replicas ..."]
) -> Float[np.ndarray, " replicas"]:
    """Compute `|K(t) - K(0)|/|K(0)|` of each replica, in Frobenius norm.

    It is 0 if K(t) and K(0) are both 0, and NaN if only K(0) is 0.

    >>> relative_drift(np.array([[3e-200], [0.0], [1.0]]), np.array([[2e-200], [0.0], [0.0]]))
    array([0.5, 0. , nan])
    """
    drifts = []
    for now, start in zip(np.asarray(kernels, float), np.asarray(initial, float), strict=True):
        away, size = norm(now - start), norm(start)
        drifts.append(away / size if size else np.nan if away else 0.0)
    return np.array(drifts)


def median_drift(
    kernels: Float[np.ndarray, "replicas ..."], initial: Float[np.ndarray, "replicas ..."]
) -> Median:
    """Compute Theorem 1's statistic (CE eq. 7): the median over replicas of `|K_ij(t) - K_ij(0)|`.

    The median is used because the drift has heavy tails. Its standard error is half the distance
    between two order statistics: those whose ranks are one standard deviation of a binomial count,
    sqrt(R)/2 for R replicas, below and above the middle. This is valid for any distribution. Raises
    `ValueError` for fewer than 4 replicas, or arrays of different shapes.

    >>> value, stderr = median_drift(np.arange(9.0), np.zeros(9))
    >>> float(value), float(stderr)
    (4.0, 1.5)
    """
    kernels, initial = np.asarray(kernels, float), np.asarray(initial, float)
    if kernels.shape != initial.shape:
        raise ValueError(
            f"kernels of shape {kernels.shape} do not go with initial ones of {initial.shape}: give"
            " each replica its own"
        )
    drifts = np.sort(entry_drift(kernels, initial), axis=0)
    count = len(drifts)
    if count < 4:
        raise ValueError(f"a median over {count} replicas has no standard error: take 4 or more")
    reach = np.sqrt(count) / 2
    middle = (count - 1) / 2
    low, high = np.floor(middle - reach), np.ceil(middle + reach)
    low, high = (int(np.clip(rank, 0, count - 1)) for rank in (low, high))
    # Ranks are integers: scale their actual distance to one standard deviation.
    stderr = (drifts[high] - drifts[low]) * reach / (high - low)
    return Median(np.median(drifts, axis=0), stderr)
