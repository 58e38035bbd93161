"""Kernels of a block: the limit of infinite width against blocks that are drawn."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import analytic, block_kernel, empirical_ntk
from ceflow.spec import Block

CHANNELS = 4


def block(n: int = 64, **keys: Any) -> Block:
    return Block(**({"channels": CHANNELS, "widths": (n, n), "outputs": 1} | keys))


def patches(count: int = 3) -> np.ndarray:
    """Unlike ones, and one near the first."""
    x = np.random.default_rng(0).standard_normal((count, CHANNELS, 3, 3))
    x[-1] = x[0] + 0.1 * x[-1]
    return x


def draws_of(model: Block, x: np.ndarray, count: int) -> np.ndarray:
    def draw(key: jax.Array) -> jax.Array:
        return empirical_ntk(lower(expand(model), key), x, trace=True)

    keys = jax.random.split(jax.random.key(3), count)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys))(keys))


def relu(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E[phi phi] and E[phi' phi'] for variances a and b and covariance c."""
    angle = np.arccos(np.clip(c / np.sqrt(a * b), -1, 1))
    value = np.sqrt(a * b) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    return value, (np.pi - angle) / (2 * np.pi)


def by_hand(x: np.ndarray, y: np.ndarray, last: float, projection: bool) -> float:
    """The three layers written out: positions by themselves, their mean, one position."""
    a, b, c = (2 * (one * two).mean(axis=0) for one, two in ((x, x), (y, y), (x, y)))
    ntk = c
    both, slope = relu(a, b, c)
    a, b = 2 * (a / 2).mean(), 2 * (b / 2).mean()
    c = 2 * both.mean()
    ntk = c + 2 * (slope * ntk).mean()
    both, slope = relu(a, b, c)
    ntk = last * (both + slope * ntk)
    return float(ntk + projection * last * (x * y).mean(axis=0)[1, 1])


@pytest.mark.parametrize("projection", [False, True])
def test_the_limit_is_its_recursion_written_out(projection: bool, x64: None):
    model, x = block(projection=projection, last_variance=0.7), patches()
    expected = [[by_hand(one, two, 0.7, projection) for two in x] for one in x]
    # arccos loses half of the digits at equal patches
    np.testing.assert_allclose(analytic(model, x).ntk, expected, rtol=1e-7)


@pytest.mark.parametrize(
    "keys",
    [{}, {"projection": True, "cardinality": 2}, {"activation": "erf"}],
    ids=["relu", "projected groups", "erf"],
)
def test_blocks_that_are_drawn_come_near_the_limit(keys: Any, x64: None):
    x, count = patches(), 400
    draws = draws_of(block(64, **keys), x, count)
    expected = np.asarray(analytic(block(**keys), x).ntk)
    standard = draws.std(axis=0) / np.sqrt(count)
    # five standard errors, for six entries in three cases 1e-5 by chance; and the mean's own
    # distance from the limit, 1/n for each of three layers
    assert (np.abs(draws.mean(axis=0) - expected) < 5 * standard + 3 / 64 * expected.max()).all()
    assert (standard < 0.02 * expected.max()).all()  # so 15 % would be seen


def test_rows_are_patches(x64: None):
    x = patches()
    whole = analytic(block(), x)
    np.testing.assert_array_equal(analytic(block(), x.reshape(3, -1)).ntk, whole.ntk)
    kernel = block_kernel(block(), "nngp")
    np.testing.assert_array_equal(kernel(x), whole.nngp)
    np.testing.assert_array_equal(kernel(x[:1], x[1:]), whole.nngp[:1, 1:])


def test_widths_groups_and_outputs_do_not_matter_to_the_limit(x64: None):
    x = patches()
    one, other = block(3), Block(channels=CHANNELS, widths=[5, 7], cardinality=4)
    np.testing.assert_array_equal(analytic(one, x).ntk, analytic(other, x).ntk)


def test_float32_is_near_float64():
    x = patches()
    with jax.enable_x64(True):
        exact = np.asarray(analytic(block(), x).ntk)
    kernel = analytic(block(), x.astype(np.float32)).ntk
    assert kernel.dtype == jnp.float32
    # some tens of roundings of 6e-8
    np.testing.assert_allclose(kernel, exact, rtol=0, atol=2e-6 * exact.max())


@pytest.mark.parametrize("shape", [(2, 35), (2, CHANNELS, 3, 4), (2, 9, CHANNELS)])
def test_examples_that_are_no_patches_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"\(examples, 4, 3, 3\)"):
        analytic(block(), np.ones(shape))
