"""The closed form of E[K] and E[K^2] against tables, exact rationals and hand formulas."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceflow.spec import Mlp
from ceflow.variance import exact_moments, sample_ntk

ROUNDING = 1e-12
"""A few hundred positive terms in double precision, none of which cancel by more than 10."""

widths_lists = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple)


def alpha_of(model: Mlp) -> float:
    return math.log(exact_moments(model).ratio) / math.fsum(1 / n for n in model.widths)


@pytest.mark.parametrize(
    ("width", "expected"),
    [(20, 3.33148), (40, 3.39650), (80, 3.42322), (200, 3.43671), (500, 3.44148)],
)
def test_alpha_of_five_hidden_layers_is_the_table_of_theory_section_3(width, expected):
    assert alpha_of(Mlp(widths=(width,) * 5)) == pytest.approx(expected, abs=5.1e-6)  # 5 digits


@pytest.mark.parametrize(
    ("depth", "expected"), [(1, 3.00), (2, 3.22), (5, 3.44), (16, 3.59), (32, 3.63)]
)
def test_limit_of_alpha_at_great_width_depends_on_depth(depth, expected):
    # At n = 10^6 alpha is within 1e-4 of its limit; the table has two decimals.
    assert alpha_of(Mlp(widths=(10**6,) * depth)) == pytest.approx(expected, abs=0.0051)


def test_widths_two_three_have_mean_three_and_second_moment_52():
    assert exact_moments(Mlp(widths=(2, 3))) == pytest.approx((3.0, 52.0), rel=1e-14)


@given(widths=st.lists(st.integers(1, 2000), min_size=1, max_size=8).map(tuple))
def test_mean_is_hidden_layers_plus_one_whatever_the_widths(widths):
    assert exact_moments(Mlp(widths=widths)).mean == pytest.approx(len(widths) + 1, rel=ROUNDING)


Moment = Callable[[Callable[[int, int], int]], Fraction]
"""From a polynomial of k and k - 1 (0 at k = 0) to its mean over k."""


def over_units(width: int, activation: str) -> Moment:
    """Means over the number of active units k: Binomial(n, 1/2), or n for a linear network."""
    if activation == "linear":
        return lambda term: Fraction(term(width, width - 1))
    share = [Fraction(math.comb(width, k), 2**width) for k in range(width + 1)]
    return lambda term: sum((p * term(k, max(k - 1, 0)) for k, p in enumerate(share)), Fraction(0))


def second_moment(model: Mlp) -> Fraction:
    """E[K^2] without floats or matrices: the recursion of (f^2, A, T) written out, exactly.

    Going down a layer of scale s: f' = s X f, A' = s (I f + Y A), T' = A' + s X T with
    X ~ chi2(k), Y ~ chi2(k - 1), I = [k > 0]; E[chi2(k)] = k, E[chi2(k)^2] = k (k + 2).
    """
    c = Fraction(model.weight_variance)
    top = Fraction(model.last_variance) / int(model.widths[-1])
    ff, rest = 3 * top**2, top**2  # E[xi^4] = 3, and 1 for all the others
    fa = ft = aa = at = tt = rest
    below = (*model.widths[:-1],)
    for width, under in zip(reversed(model.widths), (*reversed(below), None), strict=True):
        mean = over_units(int(width), model.activation)
        s2 = (c / int(under) if under else c) ** 2
        xx, yy = mean(lambda k, j: k * (k + 2)), mean(lambda k, j: j * (j + 2))
        x, y, xy = mean(lambda k, j: k), mean(lambda k, j: j), mean(lambda k, j: k * j)
        alive = mean(lambda k, j: int(k > 0))
        new_fa = s2 * (x * ff + xy * fa)
        new_aa = s2 * (alive * ff + 2 * y * fa + yy * aa)
        cross = s2 * (x * ft + xy * at)  # E[A' s X T]
        ff, fa, ft, aa, at, tt = (
            s2 * xx * ff,
            new_fa,
            new_fa + s2 * xx * ft,
            new_aa,
            new_aa + cross,
            new_aa + 2 * cross + s2 * xx * tt,
        )
    return tt


@settings(max_examples=60, deadline=None)  # the first example loads modules
@given(
    widths=widths_lists,
    activation=st.sampled_from(["relu", "linear"]),
    weight=st.sampled_from([0.5, 1.0, 2.0]),
    last=st.sampled_from([0.25, 1.0, 3.0]),
)
def test_second_moment_is_the_exact_rational_sum_over_active_units(
    widths, activation, weight, last
):
    model = Mlp(widths=widths, activation=activation, weight_variance=weight, last_variance=last)
    exact = float(second_moment(model))
    assert exact_moments(model).second == pytest.approx(exact, rel=ROUNDING)


def test_rational_sum_itself_gives_52_exactly():
    assert second_moment(Mlp(widths=(2, 3))) == 52


@pytest.mark.parametrize("width", [1, 2, 7, 500, 10**6])
def test_one_relu_layer_is_a_mean_of_independent_units(width):
    # K = (2/n) sum_i b_i (g_i^2 + w_i^2), b ~ Bernoulli(1/2): E[K] = 2, Var(K) = 12/n.
    assert exact_moments(Mlp(widths=(width,))) == pytest.approx((2, 4 + 12 / width), rel=ROUNDING)


@pytest.mark.parametrize("width", [1, 2, 7, 500])
def test_one_linear_layer_is_a_sum_of_two_chi_squares(width):
    # K = c v (chi2(n) + chi2(n))/n: E[K] = 2 c v, E[K^2] = (c v)^2 (4 + 4/n).
    model = Mlp(widths=(width,), activation="linear", weight_variance=3.0, last_variance=0.5)
    assert exact_moments(model) == pytest.approx((3.0, 1.5**2 * (4 + 4 / width)), rel=ROUNDING)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (5, 2), (30, 70)])
def test_two_linear_layers_follow_from_wishart_moments(n, m):
    # K n m = |W h|^2 + |h|^2 |w|^2 + |W^T w|^2, h and w and W (m, n) Gaussian. Each square has mean
    # n(n+2) m(m+2); cross terms with the middle one n(n+2) m^2 and n^2 m(m+2); that of the outer
    # two E[tr(W W^T)^2] = (n m)^2 + 2 n m.
    squares = 3 * n * (n + 2) * m * (m + 2)
    crosses = n * (n + 2) * m**2 + n**2 * m * (m + 2) + (n * m) ** 2 + 2 * n * m
    model = Mlp(widths=(n, m), activation="linear", weight_variance=1.0)
    expected = (squares + 2 * crosses) / (n * m) ** 2
    assert exact_moments(model) == pytest.approx((3.0, expected), rel=ROUNDING)


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(("weight", "last"), [(1.0, 4.0), (3.5, 1.0), (0.3, 0.2)])
def test_mean_scales_as_the_product_of_the_variances_and_the_ratio_not_at_all(
    activation, weight, last
):
    unit = exact_moments(Mlp(widths=(4, 7, 5), activation=activation, weight_variance=1.0))
    model = Mlp(widths=(4, 7, 5), activation=activation, weight_variance=weight, last_variance=last)
    moments = exact_moments(model)
    assert moments.mean == pytest.approx(weight**3 * last * unit.mean, rel=ROUNDING)
    assert moments.ratio == pytest.approx(unit.ratio, rel=ROUNDING)


def test_moments_do_not_depend_on_the_number_of_inputs():
    assert exact_moments(Mlp(widths=(4, 4), inputs=1)) == exact_moments(
        Mlp(widths=(4, 4), inputs=784)
    )


def test_variance_falls_to_zero_at_great_width():
    # Var/E^2 is about alpha H/n, with alpha below 4.
    assert 0 < exact_moments(Mlp(widths=(10**7,) * 3)).ratio - 1 < 4 * 3 / 10**7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias_variance": 0.1}, "bias"),
        ({"widths": [4, math.inf]}, "infinite width"),
        ({"activation": "erf"}, "erf"),
        ({"activation": "tanh"}, "tanh"),
    ],
)
def test_models_without_a_closed_form_are_refused_by_both(change, message):
    import numpy as np

    keys: dict[str, Any] = {"widths": [4, 4]} | change
    model = Mlp(**keys)
    with pytest.raises(ValueError, match=message):
        exact_moments(model)
    with pytest.raises(ValueError, match=message):
        sample_ntk(model, 10, np.random.default_rng(0))
