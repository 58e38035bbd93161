"""Parts, verdicts, and the bounds on noise."""

import math

import numpy as np
import pytest

from ceflow.claims import Part, Verdict, eq_41
from ceflow.claims.verdict import noise_bound, noise_reach

GOOD, BAD = Part(1.1, 1.0, 0.2), Part(0.5, 0.0, 0.1)


def test_a_claim_holds_if_all_its_parts_do():
    assert Verdict({"a": GOOD}).holds
    found = Verdict({"a": GOOD, "b": BAD})
    assert not found.holds
    assert found.worst == "b"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_does_not_hold(value):
    found = Verdict({"a": Part(value, 0.0, 1.0), "b": BAD})
    assert (found.holds, found.worst) == (False, "a")


@pytest.mark.parametrize("variances", [[1.0], [1.0] * 30, [1.0, 0.1, 0.01], [1.0] + [0.02] * 50])
def test_noise_is_within_its_bounds(variances):
    """Of 200,000 draws at most 1 in 10,000 beyond, and 6 standard errors of that count; and the
    bound is no more than twice the 99.99 % quantile, so it can be exceeded by what is no noise."""
    variances = np.array(variances)
    normal = np.random.default_rng(0).normal(size=(200_000, len(variances)))
    norms = np.sqrt((normal**2 * variances).sum(1))
    for bound in (noise_bound(variances), noise_reach() * variances.sum() ** 0.5):
        assert (norms > bound).sum() <= 20 + 6 * 20**0.5
    assert noise_bound(variances) < 2 * np.quantile(norms, 0.9999)


def test_a_limit_of_zero_is_nothing_to_be_relative_to():
    # With a kink, where the two points of every pair have opposite signs.
    zero = np.zeros((1, 1))
    with pytest.raises(ValueError, match=r"limit is 0 at every pair of points.*take more points"):
        eq_41._part(zero + 1, np.ones((1, 1, 1)), zero, zero)
