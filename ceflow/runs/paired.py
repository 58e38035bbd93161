"""Means of several runs, and differences between runs that share their seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from ceflow.runs.collected import PairedDifference
from ceflow.spec import same_value


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and its standard error, by the scatter; of one value the error is None.

    >>> mean_and_error([1.0, 3.0]), mean_and_error([2.0])
    ((2.0, 1.0), (2.0, None))
    """
    import numpy as np

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None
    return mean, float(np.std(values, ddof=1) / np.sqrt(len(values)))


def difference_from(
    against: Any, value: str, own: Mapping[str, float], others: Mapping[str, float]
) -> PairedDifference | None:
    """Compare the runs of a value with those of `against`; both are numbers by their seed.

    None if nothing is compared, if this is the value of `against`, or if no seed has both.
    """
    pairs = [number - others[seed] for seed, number in own.items() if seed in others]
    if against is None or same_value(against, value) or not pairs:
        return None
    return paired_difference(pairs)


def paired_difference(differences: Sequence[float]) -> PairedDifference:
    """Compute the mean of differences, its standard error, and its 95 % interval by Student's
    distribution with one degree of freedom less than there are pairs; one pair has neither.

    >>> found = paired_difference([1.0, 2.0, 3.0])
    >>> found.mean, round(found.stderr, 4), [round(end, 3) for end in found.interval]
    (2.0, 0.5774, [-0.484, 4.484])
    """
    mean, stderr = mean_and_error(differences)
    if stderr is None:
        return PairedDifference(mean=mean, pairs=1)
    from scipy.special import stdtrit

    from ceflow.variance.fit import CONFIDENCE_LEVEL

    reach = stderr * float(stdtrit(len(differences) - 1, (1 + CONFIDENCE_LEVEL) / 2))
    interval = (mean - reach, mean + reach)
    return PairedDifference(mean=mean, stderr=stderr, interval=interval, pairs=len(differences))
