"""Monte Carlo over the weights of any module.

Statistical tests: a z-score beyond Z = 6 has probability 2e-9, and there are 20 of them. Seeds are
fixed.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.kernels import empirical_ntk
from ceflow.seeding import Seed
from ceflow.spec import Block, Ensemble, Mlp
from ceflow.variance import draw_inputs, draw_ntk, estimate_moments, exact_moments

Z = 6.0
PATCH = draw_inputs((4, 3, 3), "rectified", np.random.default_rng(0))


def z_score(values: np.ndarray, expected: float) -> float:
    values = values.astype(float)
    return float((values.mean() - expected) / (values.std(ddof=1) / np.sqrt(len(values))))


def drawn(network, x1, x2=None, **options) -> np.ndarray:
    return np.concatenate(list(draw_ntk(network, x1, x2, **options)))


class Product(eqx.Module):
    """Two outputs, a and 3 a (w.x): K^11 = 9 ((w.x)(w.x') + a^2 x.x'), no layer of ceflow's."""

    w: jax.Array
    a: jax.Array

    def __call__(self, x):
        return jnp.stack([self.a, 3 * self.a * (self.w @ x)])


def product(key):
    w = jax.random.normal(key, (3,))
    return Product(w[:2], w[2])


def test_any_module_is_drawn_from_the_function_that_makes_it():
    x1, x2 = jnp.array([1.0, 2.0]), jnp.array([2.0, -0.5])
    keys = jax.random.split(Seed(4).fold(0).jax(), 50)
    nets = [product(key) for key in keys]
    expected = [9 * ((n.w @ x1) * (n.w @ x2) + n.a**2 * (x1 @ x2)) for n in nets]
    # float32, of terms that may cancel
    found = drawn(product, x1, x2, draws=50, seed=4, output=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(drawn(product, x1, draws=50, seed=4), 1)


def test_draws_are_those_of_the_empirical_ntk(x64):
    def build(key):
        return eqx.nn.MLP(3, 4, 8, 2, activation=jnp.tanh, dtype=jnp.float64, key=key)

    x1, x2 = np.random.default_rng(1).standard_normal((2, 3))
    keys = jax.random.split(Seed(0).fold(0).jax(), 20)
    entry = eqx.filter_jit(lambda k: empirical_ntk(build(k), x1[None], x2[None])[0, 0, 2, 2])
    expected = [entry(key) for key in keys]
    np.testing.assert_allclose(drawn(build, x1, x2, draws=20, output=2), expected, rtol=1e-12)


def test_modules_with_state_of_their_own_shape_compile_once():
    traced = []

    def build(key):
        traced.append(key)
        return product(key)

    first, *_ = draw_ntk(build, jnp.ones(2), draws=3000)
    assert len(first) == 1024
    assert len(traced) == 2  # the shapes, and the one program


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("widths", [(2, 3), (8, 8)], ids=str)
def test_block_modules_have_the_exact_moments(widths, activation):
    model = Block(channels=4, widths=widths, activation=activation, weight_variance=1.5)
    moments = exact_moments(model, PATCH[0])
    draws = drawn(model, PATCH[0], draws=20_000)
    assert abs(z_score(draws, moments.mean)) < Z
    assert abs(z_score(draws**2, moments.second)) < Z


def test_variance_of_a_block_of_groups_is_that_of_one_over_their_number():
    model = Block(channels=4, widths=(6, 6))
    moments = exact_moments(model, PATCH[0])
    grouped = model.model_copy(update={"cardinality": 5})
    draws = drawn(grouped, PATCH[0], draws=8000)
    assert abs(z_score(draws, moments.mean)) < Z
    squares = (draws.astype(float) - moments.mean) ** 2
    assert abs(z_score(squares, (moments.second - moments.mean**2) / 5)) < Z


@pytest.mark.parametrize("activation", ["tanh", "erf"])
def test_blocks_of_any_activation_are_drawn(activation):
    model = Block(channels=4, widths=(6, 6), activation=activation)
    found = estimate_moments(draw_ntk(model, PATCH[0], draws=2000))
    assert 0 < found.mean < 3
    assert found.ratio > 1 + 5 * found.ratio_stderr


def test_off_diagonal_entry_of_a_linear_block_has_the_mean_of_its_inputs():
    # Every layer of a linear block is linear in the products of positions: (c/9) sum of x_p.x'_p.
    model = Block(channels=4, widths=(6, 6), activation="linear", weight_variance=1.0)
    expected = 3 * float((PATCH[0] * PATCH[1]).sum()) / 36
    assert abs(z_score(drawn(model, *PATCH, draws=8000), expected)) < Z


def test_any_output_of_a_model_has_the_law_of_the_first():
    model = Mlp(widths=(3,), outputs=4)
    first, last = (drawn(model, np.ones(2), draws=3, output=output) for output in (0, 3))
    np.testing.assert_array_equal(first, last)
    with pytest.raises(ValueError, match="no output 4: the network has 4"):
        drawn(model, np.ones(2), draws=3, output=4)


def test_an_ensemble_is_drawn_whole():
    member = Mlp(widths=(8, 8))
    moments = exact_moments(member)
    draws = drawn(Ensemble(multiplicity=4, member=member), np.ones(3), draws=2000)
    squares = (draws.astype(float) - moments.mean) ** 2
    assert abs(z_score(squares, (moments.second - moments.mean**2) / 4)) < Z


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "draws must be a whole number of 1 or more, not 0"),
        ({"draws": 5, "output": 2}, "there is no output 2: the network has 2, from 0"),
        ({"draws": 5, "output": -1}, "there is no output -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        draw_ntk(product, jnp.ones(2), **options)
