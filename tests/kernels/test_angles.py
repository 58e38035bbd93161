"""Angles of input vectors against mpmath and 80-bit floats: everywhere, and in any block."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from ceflow.kernels.infinite.angles import angles, rows, safe_norm
from ceflow.kernels.infinite.polynomials import safe_sqrt

mp.dps = 60
SEPARATIONS = [2e-2, 1.6e-2, 1.5e-2, 1e-3, 1e-5, 1.1e-6, 9e-7, 1e-8, 1e-10, 1e-12]
"""On both sides of the angles below which differences are taken, 2^-6 and 2^-20."""

# The bounds. An angle near pi is a float64 with spacing 4.4e-16.
ERROR = {"float64": 1e-15, "float32": 5e-7}


def slowly(cases: Iterable[str], *quick: str) -> list[Any]:
    """Cases that repeat what others hold are slow, all but a few."""
    return [pytest.param(c, marks=() if c in quick else pytest.mark.slow) for c in cases]


@jax.jit
def between(x1: Any, x2: Any) -> jax.Array:
    return angles(rows(jnp.asarray(x1)), rows(jnp.asarray(x2)))


def exact_dot(u: np.ndarray, v: np.ndarray) -> Any:
    return mpmath.fsum(mpf(float(a)) * mpf(float(b)) for a, b in zip(u, v, strict=True))


def exact_angle(u: np.ndarray, v: np.ndarray) -> Any:
    cosine = exact_dot(u, v) / mpmath.sqrt(exact_dot(u, u) * exact_dot(v, v))
    return mpmath.acos(max(mpf(-1), min(mpf(1), cosine)))


def normal(count: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, size))


def images(count: int, size: int, seed: int) -> np.ndarray:
    """Non-negative, half of it zeros: sums of thousands of positive terms."""
    return np.maximum(normal(count, size, seed), 0)


def error_80_bits(
    x1: np.ndarray, x2: np.ndarray, between: Callable[..., jax.Array] = between
) -> float:
    """The largest error over all pairs; np.longdouble keeps 1e-19 of `2 atan2(|u-v|, |u+v|)`."""
    found = np.asarray(between(x1, x2))
    assert found.dtype == x1.dtype
    one, two = (x.astype(np.longdouble) for x in (x1, x2))
    one, two = (x / np.sqrt((x * x).sum(axis=1, keepdims=True)) for x in (one, two))
    return max(
        float(np.abs(2 * np.arctan2(length(u - two), length(u + two)) - t).max())
        for u, t in zip(one, found, strict=True)
    )


def length(x: np.ndarray) -> np.ndarray:
    return np.sqrt((x * x).sum(axis=1))


@pytest.mark.parametrize("draw", [normal, images])
@pytest.mark.parametrize(("size", "count"), [(1, 64), (2, 320), (17, 320), (784, 64), (3072, 32)])
@pytest.mark.parametrize("dtype", ERROR)
def test_angles_of_random_pairs(
    dtype: str, size: int, count: int, draw: Callable[[int, int, int], np.ndarray]
):
    assert np.finfo(np.longdouble).eps < 2e-19
    x = draw(2 * count, size, 1).astype(dtype)
    x[~x.any(axis=1)] = 1  # directions of zero vectors are another test
    with jax.enable_x64(dtype == "float64"):
        assert error_80_bits(x[:count], x[count:]) <= ERROR[dtype]


@pytest.mark.parametrize("size", [2, 784])
@pytest.mark.parametrize("draw", [normal, images])
@pytest.mark.parametrize("dtype", ERROR)
def test_angles_near_zero_and_pi(
    dtype: str, draw: Callable[[int, int, int], np.ndarray], size: int
):
    random = np.random.default_rng(size)
    one, two = [], []
    for separation in SEPARATIONS:
        for sign in (1, -1):
            u, w = draw(1, size, 3)[0] + 0.01, random.standard_normal(size)
            u, w = u / np.linalg.norm(u), w - (w @ u) / (u @ u) * u
            v = np.cos(separation) * u + np.sin(separation) * w / np.linalg.norm(w)
            one, two = [*one, 1.7 * u], [*two, sign * 0.6 * v]
    x1, x2 = np.array(one, dtype), np.array(two, dtype)
    with jax.enable_x64(dtype == "float64"):
        found = np.diagonal(np.asarray(between(x1, x2)))
    for u, v, t in zip(x1, x2, found, strict=True):
        assert abs(exact_angle(u, v) - mpf(float(t))) <= ERROR[dtype]


@pytest.mark.parametrize("size", [1, 7, 784])
@pytest.mark.parametrize("dtype", ERROR)
def test_angles_of_equal_and_opposite_rows_are_exact(dtype: str, size: int):
    x = normal(5, size, 3).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        np.testing.assert_array_equal(jnp.diagonal(between(x, x)), 0)
        np.testing.assert_array_equal(jnp.diagonal(between(x, -x)), np.dtype(dtype).type(np.pi))
        np.testing.assert_array_equal(jnp.diagonal(between(x, 4 * x)), 0)  # a power of two: exact


@pytest.mark.slow
def test_pairs_said_to_be_one_row_have_angle_zero(x64: None):
    x = rows(jnp.asarray(normal(5, 30, 4)))
    found = angles(x, x, jnp.eye(5, dtype=bool))
    np.testing.assert_array_equal(found, angles(x, x))
    np.testing.assert_array_equal(angles(x, x, jnp.ones((5, 5), bool)), 0)


def test_the_angle_with_a_zero_vector_is_zero(x64: None):
    x = jnp.concatenate([jnp.zeros((1, 3)), normal(2, 3, 4)])
    found = between(x, x)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_array_equal(found[:, 0], 0)
    assert found[1, 2] > 0


@pytest.mark.parametrize("length", [1e-30, 1e-10, 1e10, 1e30])
def test_angles_do_not_depend_on_lengths(length: float, x64: None):
    x = jnp.asarray(normal(4, 3, 5))
    np.testing.assert_allclose(between(length * x, x), between(x, x), rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", ERROR)
def test_squared_lengths_keep_their_digits(dtype: str):
    x = images(20, 3072, 6).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        found = np.asarray(rows(jnp.asarray(x)).square)
    # the root, its square and a product: three roundings; a plain sum of 3072 terms is ten off
    exact = np.array([float(exact_dot(row, row)) for row in x])
    np.testing.assert_allclose(found, exact, rtol=float(3 * np.finfo(dtype).eps))


def test_more_near_pairs_than_a_chunk_holds(x64: None):
    x = np.ones((40, 50)) + 1e-9 * normal(40, 50, 7)  # 1600 pairs, 512 to a chunk
    assert error_80_bits(x, x) <= ERROR["float64"]


TRANSFORMED = {
    "vmap": lambda u, v: jax.vmap(between)(u[None], v[None])[0],
    "jvp": lambda u, v: jax.jvp(between, (u, v), (u, v))[0],
    "vjp": lambda u, v: jax.vjp(between, u, v)[0],
    "vmap of vjp": lambda u, v: jax.vmap(lambda u: jax.vjp(between, u, v)[0])(u[None])[0],
    "scan": lambda u, v: jax.lax.scan(lambda _, u: (None, between(u, v)), None, u[None])[1][0],
}


@pytest.mark.parametrize("name", slowly(TRANSFORMED, "vmap", "jvp"))
def test_float32_products_are_float64_under_every_transformation(name: str):
    # angles of about 0.03: a product in float32 would be wrong by some 6e-8/0.03 = 2e-6
    u = normal(64, 100, 10)
    v = (u + 0.03 * normal(64, 100, 11)).astype("float32")
    u = u.astype("float32")
    for transformed in (TRANSFORMED[name], jax.jit(TRANSFORMED[name])):
        assert error_80_bits(u, v, transformed) <= ERROR["float32"]
    assert jnp.arange(1.0).dtype == "float32"  # and float64 is nowhere else


@jax.grad
def slope(u: jax.Array, v: jax.Array) -> jax.Array:
    return jnp.sin(20 * between(u, v)).sum()


SLOPES = {
    "grad": slope,
    "vmap of grad": lambda u, v: jax.vmap(slope, (0, None))(u[None], v)[0],
    "grad of checkpoint": jax.grad(
        lambda u, v: jax.checkpoint(lambda u: jnp.sin(20 * between(u, v)).sum())(u)
    ),
    "grad of vmap": jax.grad(
        lambda u, v: jnp.sin(20 * jax.vmap(between, (None, 0))(u, v[None])).sum()
    ),
    "jvp of grad": lambda u, v: jax.jvp(lambda u: slope(u, v), (u,), (jnp.cos(u),))[1],
}


@pytest.mark.parametrize("name", slowly(SLOPES, "vmap of grad"))
def test_float32_derivatives_are_those_of_float64(name: str):
    u, v = (normal(5, 100, seed).astype("float32") for seed in (12, 13))
    found = jax.jit(SLOPES[name])(u, v)
    assert found.dtype == "float32"
    with jax.enable_x64(True):
        exact = np.asarray(SLOPES[name](u.astype("float64"), v.astype("float64")))
    # the argument of the sine, about 30, is rounded by 2e-6, and second derivatives have 20 of it
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-5 * np.abs(exact).max())


@pytest.mark.parametrize("size", [100])
def test_gradients_are_those_of_the_arccosine(size: int, x64: None):
    u, v = jnp.asarray(normal(2, size, 8))

    def by_cosine(u: jax.Array) -> jax.Array:
        return jnp.arccos(u @ v / safe_norm(u) / safe_norm(v))

    found = jax.grad(lambda u: between(u[None], v[None])[0, 0])(u)
    # the arccosine's derivative is 1/sin t: some tens of roundings
    np.testing.assert_allclose(found, jax.grad(by_cosine)(u), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("size", [3])
def test_gradients_are_finite_at_equal_opposite_and_zero_rows(size: int):
    x = jnp.concatenate([normal(2, size, 9), jnp.zeros((1, size))])
    x = jnp.concatenate([x, -x[:1], x[:1] * 1.001])
    gradient = jax.jit(jax.grad(lambda x: between(x, x).sum()))(x)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0.01


def test_safe_roots_have_a_gradient_of_zero_at_zero(x64: None):
    assert jax.grad(safe_sqrt)(0.0) == 0
    assert safe_sqrt(jnp.float64(-1e-20)) == 0
    np.testing.assert_array_equal(jax.grad(safe_norm)(jnp.zeros(3)), 0)
    assert jax.grad(safe_sqrt)(4.0) == 0.25
