"""The inputs at which K is measured."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from ceflow.spec import Block, Mlp
from ceflow.variance import draw_inputs, exact_moments, sample_ntk


@pytest.mark.parametrize("law", ["iid", "rectified"])
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (256, 3, 3)])
def test_inputs_have_the_squared_length_of_their_number(shape, law):
    x = draw_inputs(shape, law, np.random.default_rng(0), count=3)
    assert x.shape == (3, *shape)
    np.testing.assert_allclose((x**2).reshape(3, -1).sum(axis=1), np.prod(shape), rtol=1e-12)


def test_rectified_inputs_are_correlated_as_theory_has_it():
    # E[max(u, 0) max(v, 0)]/E[max(u, 0)^2] = 1/pi for independent u and v: of 90,000 products of
    # deviation below 1, an error of 1/300; five of them.
    x = draw_inputs((10_000, 3, 3), "rectified", np.random.default_rng(1), count=1)[0]
    positions = x.reshape(-1, 9)
    gram = positions.T @ positions / len(positions)
    assert gram[~np.eye(9, dtype=bool)].mean() == pytest.approx(1 / np.pi, abs=5 / 300)


def test_inputs_of_one_generator_are_independent_and_repeat():
    first, second = (draw_inputs((400,), "iid", np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert abs(first[0] @ first[1]) / 400 < 6 / 20  # six deviations of 1/sqrt(400)


def test_kernel_of_an_mlp_is_as_large_as_its_input():
    model, x = Mlp(widths=(5, 6), inputs=3), np.array([1.0, 2.0, -2.0])
    unit, found = exact_moments(model), exact_moments(model, x)
    assert found == pytest.approx((3 * unit.mean, 9 * unit.second), rel=1e-12)  # |x|^2/3 = 3
    draws = [sample_ntk(model, 5, np.random.default_rng(3), given) for given in (None, x)]
    np.testing.assert_allclose(draws[1], 3 * draws[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "message"),
    [(np.ones(4), "one input of 3 numbers"), (np.ones((1, 3)), "not of shape"), (np.zeros(3), "0")],
)
def test_an_input_that_does_not_fit_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        exact_moments(Mlp(widths=(4,), inputs=3), x)


@pytest.mark.parametrize(
    ("model", "scale"),
    [
        (Mlp(widths=(4,), inputs=3), 1e200),
        (Mlp(widths=(4,), inputs=3), 1e-200),
        (Mlp(widths=(4,), inputs=3), 1e-80),
        (Block(widths=(4, 4), channels=1), 1e200),
        (Mlp(widths=(1,) * 3000, inputs=3), 1.0),
    ],
)
def test_moments_beyond_float64_are_refused(model, scale):
    x = scale * np.ones(3 if isinstance(model, Mlp) else (1, 3, 3))
    with pytest.raises(ValueError, match="moments of K over- or underflow float64: bring x"):
        exact_moments(model, x)


def test_moments_and_draws_without_weights_load_no_jax():
    code = (
        "import sys; from ceflow import variance; from ceflow.spec import Block\n"
        "block = Block(widths=[4, 4]); variance.exact_moments(block)\n"
        "from ceflow.seeding import Seed\n"
        "variance.estimate_moments(variance.sample_chunks(block, 2000, Seed(0)))\n"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("random", [0, None, np.random.RandomState(0)])
def test_what_draws_nothing_is_refused(random):
    for draw in (partial(draw_inputs, (3,), "iid"), partial(sample_ntk, Mlp(widths=[2]), 5)):
        with pytest.raises(ValueError, match=r"a generator is wanted, such as .*default_rng\(0\)"):
            draw(random)
