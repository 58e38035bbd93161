"""The closed forms of a constant kernel, and the trained Gaussian process."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg

from ceflow.dynamics import ConstantKernel, TrainedStddev, trained_gaussian
from ceflow.kernels import Kernels, analytic
from ceflow.spec import Mlp

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(9, 12))
JOINT = POINTS @ POINTS.T
K, CROSS, OWN = JOINT[:6, :6], JOINT[6:, :6], JOINT[6:, 6:]
Y, F0, TEST0 = (RANDOM.normal(size=(size, 2)) for size in (6, 6, 3))


@pytest.mark.parametrize("t", [0.0, 1e-8, 0.1, 3.0])
def test_training_points_by_the_matrix_exponential(t):
    expected = Y + scipy.linalg.expm(-K * t) @ (F0 - Y)
    np.testing.assert_allclose(ConstantKernel(K).train(t, F0, Y), expected, atol=1e-12)


@pytest.mark.parametrize("t", [1e-8, 0.1, 3.0])
def test_test_points_by_the_matrix_exponential(t):
    factor = CROSS @ np.linalg.solve(K, np.eye(6) - scipy.linalg.expm(-K * t))
    expected = TEST0 + factor @ (Y - F0)
    np.testing.assert_allclose(ConstantKernel(K).test(t, CROSS, TEST0, F0, Y), expected, atol=1e-12)


def test_infinite_time_is_kernel_regression():
    frozen = ConstantKernel(K)
    np.testing.assert_allclose(frozen.train(np.inf, F0, Y), Y, atol=1e-12)
    expected = TEST0 + CROSS @ np.linalg.solve(K, Y - F0)
    np.testing.assert_allclose(frozen.test(np.inf, CROSS, TEST0, F0, Y), expected, atol=1e-10)


def test_nothing_moves_at_time_0():
    frozen = ConstantKernel(K)
    np.testing.assert_allclose(frozen.train(0, F0, Y), F0, atol=1e-14)
    assert frozen.test(0, CROSS, TEST0, F0, Y).tolist() == TEST0.tolist()


@pytest.mark.parametrize("t", [0.0, 1.0, 1e300, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_null_space_stays_where_it_is(t, dtype):
    doubled = np.array([0, 0, 1, 2])  # a point twice: targets that disagree cannot be met
    kernel, cross = K[np.ix_(doubled, doubled)].astype(dtype), CROSS[:, doubled]
    frozen = ConstantKernel(kernel)
    y, f0 = Y[:4], F0[doubled]
    train, test = frozen.train(t, f0, y), frozen.test(t, cross, TEST0, f0, y)
    once = ConstantKernel(K[:3, :3] * np.array([2, 1, 1]) ** 0.5 * np.array([[2], [1], [1]]) ** 0.5)
    root = np.array([[2], [1], [1]]) ** 0.5
    merged = np.stack([(y[0] + y[1]) / 2, y[2], y[3]])
    expected = once.train(t, root * f0[1:], root * merged) / root
    # Eigenvalues of a float32 kernel are off by its rounding.
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(train[1:], expected, atol=tolerance)
    np.testing.assert_allclose(train[0], train[1], atol=tolerance)
    assert np.isfinite(test).all()


def test_no_division_by_a_zero_eigenvalue():
    frozen = ConstantKernel(np.diag([2.0, 0.0]))
    assert frozen.response(np.inf, np.ones((2, 1))).tolist() == [[0.5], [0.0]]
    assert frozen.decay(np.inf, np.ones((2, 1))).tolist() == [[0.0], [1.0]]


def test_kernels_with_axes_of_outputs():
    mixing = np.array([[2.0, 0.5], [0.5, 1.0]])
    kernel = np.einsum("ij,ab->ijab", K, mixing)
    cross = np.einsum("ij,ab->ijab", CROSS, mixing)
    values, vectors = np.linalg.eigh(mixing)
    ours = ConstantKernel(kernel)
    train, test = ours.train(0.2, F0, Y), ours.test(0.2, cross, TEST0, F0, Y)
    for value, vector in zip(values, vectors.T, strict=True):
        one = ConstantKernel(value * K)
        np.testing.assert_allclose(train @ vector, one.train(0.2, F0 @ vector, Y @ vector))
        expected = one.test(0.2, value * CROSS, TEST0 @ vector, F0 @ vector, Y @ vector)
        np.testing.assert_allclose(test @ vector, expected, atol=1e-12)


def test_the_mean_counts_time_by_the_examples():
    summed, mean = ConstantKernel(K), ConstantKernel(K, "mean")
    np.testing.assert_allclose(summed.train(0.5, F0, Y), mean.train(3.0, F0, Y), atol=1e-13)
    one, two = (k.test(t, CROSS, TEST0, F0, Y) for k, t in ((summed, 0.5), (mean, 3.0)))
    np.testing.assert_allclose(one, two, atol=1e-12)


def test_the_mean_over_all_counts_time_by_the_outputs_too():
    mean, every = ConstantKernel(K, "mean"), ConstantKernel(K, "mean-all", Y.shape[1])
    time = 0.5 * Y.shape[1]
    np.testing.assert_allclose(mean.train(0.5, F0, Y), every.train(time, F0, Y), atol=1e-13)
    whole = ConstantKernel(K[:, :, None, None] * np.eye(Y.shape[1]), "mean-all")
    np.testing.assert_allclose(mean.train(0.5, F0, Y), whole.train(time, F0, Y), atol=1e-13)
    with pytest.raises(ValueError, match="say how many"):
        ConstantKernel(K, "mean-all")


def test_what_is_no_kernel_is_refused():
    for kernel in (CROSS, np.zeros((0, 0)), np.zeros(3), np.zeros((2, 2, 3, 1))):
        with pytest.raises(ValueError, match="a square matrix of 1 row or more, not of shape"):
            ConstantKernel(kernel)
    with pytest.raises(ValueError, match="a kernel is symmetric"):
        ConstantKernel(np.array([[1.0, 5.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="eigenvalue -1; it must be positive semidefinite"):
        ConstantKernel(np.diag([1.0, -1.0]))
    with pytest.raises(ValueError, match="NaN or infinity"):
        ConstantKernel(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="0 or more, not -1"):
        ConstantKernel(K).train(-1.0, F0, Y)


def test_outputs_that_do_not_go_with_the_kernel_are_refused():
    frozen = ConstantKernel(K)
    with pytest.raises(ValueError, match=r"outputs are \(\d, \d\), and targets \(\d,\)"):
        frozen.train(1.0, F0, Y[:, 0])
    with pytest.raises(ValueError, match=r"does not go with a kernel of \d training points"):
        frozen.train(1.0, F0.T, Y.T)
    with pytest.raises(ValueError, match="targets hold NaN"):
        frozen.train(1.0, F0, np.nan * Y)
    with pytest.raises(ValueError, match="do not go with a kernel of test and training points"):
        frozen.test(1.0, CROSS, TEST0[:1], F0, Y)


# The trained Gaussian process.
def kernels(nngp, ntk) -> list[Any]:
    whole: Any = np.asarray(nngp), np.asarray(ntk)
    return [Kernels(*(part[rows] for part in whole)) for rows in
            (np.s_[:6, :6], np.s_[6:, :6], np.s_[6:, 6:])]  # fmt: skip


MLP = Mlp(widths=[50, 50], activation="erf")
WIDE = analytic(MLP, RANDOM.normal(size=(9, 4)))


def test_at_time_0_it_is_the_nngp():
    train, cross, test = kernels(WIDE.nngp, WIDE.ntk)
    law = trained_gaussian(ConstantKernel(train.ntk), Y, 0.0, train, cross, test)
    assert law.mean.tolist() == np.zeros((3, 2)).tolist()
    np.testing.assert_array_equal(law.covariance, test.nngp)


def test_where_both_kernels_are_one_it_is_the_posterior():
    train, cross, test = kernels(JOINT, JOINT)
    law = trained_gaussian(ConstantKernel(K), Y, np.inf, train, cross, test)
    np.testing.assert_allclose(law.mean, CROSS @ np.linalg.solve(K, Y), atol=1e-10)
    posterior = OWN - CROSS @ np.linalg.solve(K, CROSS.T)
    np.testing.assert_allclose(law.covariance, posterior, atol=1e-10)


@pytest.mark.parametrize("t", [0.5, np.inf])
def test_the_law_is_that_of_functions_drawn_and_trained(t):
    train, cross, test = kernels(WIDE.nngp, WIDE.ntk)
    frozen = ConstantKernel(train.ntk)
    law = trained_gaussian(frozen, Y[:, :1], t, train, cross, test)
    draws = 40_000
    prior = np.asarray(WIDE.nngp, float)
    values, vectors = np.linalg.eigh(prior)
    f = (vectors * np.sqrt(np.maximum(values, 0))) @ RANDOM.normal(size=(9, draws))
    trained = frozen.test(t, np.asarray(cross.ntk), f[6:], f[:6], np.repeat(Y[:, :1], draws, 1))
    # 5 standard errors of a mean and of a covariance: wrong once in 10^5 seeds.
    spread = 5 * np.sqrt(np.diag(law.covariance) / draws)
    assert (np.abs(trained.mean(axis=1) - law.mean[:, 0]) < spread).all()
    scale = np.sqrt(np.diag(law.covariance))
    difference = np.abs(np.cov(trained) - law.covariance) / np.outer(scale, scale)
    assert difference.max() < 5 * (2 / draws) ** 0.5


def stddev(t: float) -> tuple[np.ndarray, np.ndarray]:
    train, cross, test = kernels(WIDE.nngp, WIDE.ntk)
    return TrainedStddev(ConstantKernel(train.ntk), train, cross, np.diag(test.nngp))(t)


def test_at_time_0_it_spreads_as_the_nngp():
    """The standard deviation at all points."""
    found = np.concatenate(stddev(0.0))
    np.testing.assert_allclose(found, np.sqrt(np.diag(WIDE.nngp).astype(float)), rtol=1e-12)


@pytest.mark.parametrize("t", [0.3, 20.0])
def test_the_spread_is_that_of_the_covariance(t):
    """On training points by the matrix exponential, on test points by the whole covariance."""
    train, cross, test = kernels(WIDE.nngp, WIDE.ntk)
    decay = scipy.linalg.expm(-train.ntk.astype(float) * t)
    law = trained_gaussian(ConstantKernel(train.ntk), Y, t, train, cross, test)
    expected = np.diag(decay @ train.nngp @ decay), np.diag(law.covariance)
    for found, variance in zip(stddev(t), expected, strict=True):
        # rounding of the kernels' size, 1
        np.testing.assert_allclose(np.square(found), variance, rtol=1e-9, atol=1e-14)


def test_at_infinite_time_training_points_do_not_spread():
    """And test points as the closed form of kernel regression on functions drawn says."""
    nngp, ntk = (np.asarray(part, float) for part in (WIDE.nngp, WIDE.ntk))
    regression = np.linalg.solve(ntk[:6, :6], ntk[:6, 6:]).T
    rows = np.concatenate([-regression, np.eye(3)], axis=1)  # F* - A F_0
    on_train, on_test = stddev(np.inf)
    assert on_train.tolist() == [0.0] * 6
    np.testing.assert_allclose(on_test, np.sqrt(np.diag(rows @ nngp @ rows.T)), rtol=1e-9)


DRAWS, WIDTH = 1000, 400


def test_wide_networks_drawn_and_linearised_spread_so(x64):
    """Networks of one hidden layer, each under its own NTK, with targets of 0: others would add the
    scatter of these kernels, which infinite width has not. Relative to the standard deviation of
    infinite width theirs is off by 1/width, and its error over the draws is 1/sqrt(2 draws): 5 of
    these are exceeded at one of 27 numbers once in 60,000 seeds.
    """
    import jax
    import jax.numpy as jnp

    x = jnp.asarray(RANDOM.normal(size=(9, 3)) / np.sqrt(3))
    erf = jax.scipy.special.erf

    def network(weights, point):
        hidden = erf(weights[0] @ point)
        return weights[1] @ hidden / np.sqrt(WIDTH)

    def drawn(key):
        keys = jax.random.split(key)
        weights = jax.random.normal(keys[0], (WIDTH, 3)), jax.random.normal(keys[1], (WIDTH,))
        outputs = jax.vmap(network, (None, 0))(weights, x)
        # the gradients by hand: of v.erf(W x)/sqrt(n)
        inside = x @ weights[0].T
        slopes = weights[1] * 2 / np.sqrt(np.pi) * jnp.exp(-(inside**2))
        return outputs, (erf(inside) @ erf(inside).T + slopes @ slopes.T * (x @ x.T)) / WIDTH

    outputs, ntks = map(np.asarray, jax.lax.map(drawn, jax.random.split(jax.random.key(1), DRAWS)))
    kernel = analytic(Mlp(widths=[WIDTH], activation="erf", weight_variance=3.0), x)
    train, cross, test = kernels(kernel.nngp, kernel.ntk)
    spread = TrainedStddev(ConstantKernel(train.ntk), train, cross, np.diag(test.nngp))
    times, trained = (0.0, 0.5, 4.0), np.empty((3, DRAWS, 9))
    for index, (f, ntk) in enumerate(zip(outputs, ntks, strict=True)):
        frozen, y = ConstantKernel(ntk[:6, :6]), np.zeros(6)
        for row, t in zip(trained, times, strict=True):
            row[index, :6] = frozen.train(t, f[:6], y)
            row[index, 6:] = frozen.test(t, ntk[6:, :6], f[6:], f[:6], y)
    expected = np.array([np.concatenate(spread(t)) for t in times])
    apart = np.abs(trained.std(axis=1, ddof=1) / expected - 1)
    assert apart.max() < 5 / np.sqrt(2 * DRAWS)
