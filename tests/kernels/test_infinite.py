"""Infinite-width kernels against mpmath at 50 digits, against wide finite nets, by hand."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from ceflow.compiler import compile
from ceflow.kernels import analytic, empirical_ntk
from ceflow.kernels.angles import angles, safe_norm, safe_sqrt
from ceflow.kernels.duals import DUALS, relu_angle, relu_slope
from ceflow.nets import ACTIVATIONS
from ceflow.spec import Document, Ensemble, Mlp

mp.dps = 60
INF = math.inf
SEPARATIONS = [1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12]


# references, all from cosines at 60 digits: half of them are lost near 0 and pi, 30 are left


def exact_dot(u: np.ndarray, v: np.ndarray) -> Any:
    return mpmath.fsum(mpf(float(a)) * mpf(float(b)) for a, b in zip(u, v, strict=True))


def exact_acos(cosine: Any) -> Any:
    return mpmath.acos(max(mpf(-1), min(mpf(1), cosine)))


def exact_angle(u: np.ndarray, v: np.ndarray) -> Any:
    return exact_acos(exact_dot(u, v) / mpmath.sqrt(exact_dot(u, u) * exact_dot(v, v)))


def exact_kernels(spec: Mlp, u: np.ndarray, v: np.ndarray) -> tuple[Any, Any]:
    """NNGP and NTK by the recursion of covariances, for ReLU and linear networks."""
    size, b = len(u), mpf(spec.bias_variance)
    suu, suv, svv = (exact_dot(p, q) / size for p, q in ((u, u), (u, v), (v, v)))
    ntk = mpf(0)
    for index in range(len(spec.widths) + 1):
        last = index == len(spec.widths)
        c = mpf(spec.last_variance if last else spec.weight_variance)
        suu, suv, svv = (c * s + b for s in (suu, suv, svv))
        ntk = suv + c * ntk
        if last or spec.activation == "linear":
            continue
        root = mpmath.sqrt(suu * svv)
        t = exact_acos(suv / root) if root else mpf(0)
        suv = root * (mpmath.sin(t) + (mp.pi - t) * mpmath.cos(t)) / (2 * mp.pi)
        suu, svv, ntk = suu / 2, svv / 2, ntk * (mp.pi - t) / (2 * mp.pi)
    return suv, ntk


def pair_at(separation: float, opposite: bool, seed: int, size: int = 9) -> np.ndarray:
    """Two vectors of different lengths about `separation` apart from equal or opposite ones."""
    u, w = np.random.default_rng(seed).standard_normal((2, size))
    u, w = u / np.linalg.norm(u), w - (w @ u) / (u @ u) * u
    v = np.cos(separation) * u + np.sin(separation) * w / np.linalg.norm(w)
    return np.stack([1.7 * u, -0.6 * v if opposite else 0.6 * v])


def random_rows(count: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, size))


# angles

# An angle of at most pi is a float64 with spacing 4.4e-16 from 2 on; the units u, v are rounded to
# some 1e-16 each, which turns them by as much.
ANGLE_ERROR = {"float64": 1e-15, "float32": 5e-7}


def angle_error(x1: np.ndarray, x2: np.ndarray) -> float:
    """The largest absolute error over all pairs; the truth is that of the rounded vectors."""
    found = np.asarray(jax.jit(angles)(x1, x2))
    assert found.dtype == x1.dtype
    return max(
        abs(float(exact_angle(u, v) - mpf(float(found[i, j]))))
        for i, u in enumerate(x1)
        for j, v in enumerate(x2)
    )


@pytest.mark.parametrize("size", [1, 2, 10, 100])
@pytest.mark.parametrize("dtype", ANGLE_ERROR)
def test_angles_of_random_pairs(dtype: str, size: int):
    x = random_rows(12, size, seed=size).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        assert angle_error(x[:6], x[6:]) <= ANGLE_ERROR[dtype]


@pytest.mark.parametrize("opposite", [False, True])
@pytest.mark.parametrize("separation", SEPARATIONS)
@pytest.mark.parametrize("dtype", ANGLE_ERROR)
def test_angles_near_zero_and_pi(dtype: str, separation: float, opposite: bool):
    with jax.enable_x64(dtype == "float64"):
        pairs = np.stack([pair_at(separation, opposite, seed) for seed in range(6)]).astype(dtype)
        assert angle_error(pairs[:, 0], pairs[:, 1]) <= ANGLE_ERROR[dtype]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_angles_of_equal_and_opposite_rows_are_exact(size: int, x64: None):
    x = jnp.asarray(random_rows(5, size, seed=3))
    np.testing.assert_array_equal(jnp.diagonal(angles(x, x)), 0)
    np.testing.assert_array_equal(jnp.diagonal(angles(x, -x)), math.pi)
    np.testing.assert_array_equal(jnp.diagonal(angles(x, 4 * x)), 0)  # a power of two: exact


def test_the_angle_with_a_zero_vector_is_zero(x64: None):
    x = jnp.concatenate([jnp.zeros((1, 3)), random_rows(2, 3, seed=4)])
    found = angles(x, x)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_array_equal(found[:, 0], 0)
    assert found[1, 2] > 0


@pytest.mark.parametrize("length", [1e-30, 1e-10, 1e10, 1e30])
def test_angles_do_not_depend_on_lengths(length: float, x64: None):
    x = jnp.asarray(random_rows(4, 3, seed=5))
    np.testing.assert_allclose(angles(length * x, x), angles(x, x), rtol=0, atol=1e-15)


def test_safe_roots_have_a_gradient_of_zero_at_zero(x64: None):
    assert jax.grad(safe_sqrt)(0.0) == 0
    assert safe_sqrt(jnp.float64(-1e-20)) == 0
    np.testing.assert_array_equal(jax.grad(safe_norm)(jnp.zeros(3)), 0)
    assert jax.grad(safe_sqrt)(4.0) == 0.25


# dual activations

RELU_ANGLES = [
    0.0,
    *(10.0**-k for k in range(1, 16)),
    *np.linspace(0.01, 3.14, 60),
    *np.nextafter(0.5, [0, 1]),
    0.5,
    *(math.pi - 10.0**-k for k in range(1, 16)),
    math.pi,
]


def exact_relu_angle(angle: float) -> Any:
    t = mpf(angle)
    return exact_acos((mpmath.sin(t) + (mp.pi - t) * mpmath.cos(t)) / mp.pi)


def relu_angle_errors(dtype: str) -> np.ndarray:
    t = np.array(RELU_ANGLES, dtype)
    found = np.asarray(relu_angle(jnp.asarray(t)))
    assert found.dtype == t.dtype
    return np.array(
        [
            abs(float(exact_relu_angle(float(a)) - mpf(float(b))))
            for a, b in zip(t, found, strict=True)
        ]
    )


@pytest.mark.parametrize("dtype", ANGLE_ERROR)
def test_the_angle_after_relu(dtype: str):
    with jax.enable_x64(dtype == "float64"):
        assert relu_angle_errors(dtype).max() <= ANGLE_ERROR[dtype]


def test_the_angle_after_relu_keeps_its_relative_digits_near_zero(x64: None):
    t = np.array([10.0**-k for k in range(1, 16)])
    exact = np.array([float(exact_relu_angle(v)) for v in t])
    # about ten operations, each rounded to 1.1e-16
    np.testing.assert_allclose(relu_angle(jnp.asarray(t)), exact, rtol=1e-15)


def test_the_angle_after_relu_has_slope_one_at_zero_and_none_at_pi(x64: None):
    slope = jax.jit(jax.vmap(jax.grad(relu_angle)))
    # d cos t'/dt = -(pi - t) sin t / pi, t' = pi/2 at pi
    t = jnp.array([0.0, 1e-9, 0.3, 0.5, 1.0, 3.0, math.pi])
    after = relu_angle(t[2:])
    expected = (math.pi - t[2:]) * jnp.sin(t[2:]) / (math.pi * jnp.sin(after))
    # at 1e-9 the slope is 1 - O(t); elsewhere some ten roundings, magnified by 1/t
    np.testing.assert_allclose(slope(t)[:2], 1, rtol=1e-8)
    np.testing.assert_allclose(slope(t)[2:], expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", DUALS)
def test_duals_are_gaussian_expectations(name: str, x64: None):
    # By Gauss-Hermite in two dimensions for the linear one (exact for polynomials), by integration
    # over the wedge where both are positive for ReLU: two ways round each formula.
    q, t = 1.0, 0.8
    if name == "linear":
        z, w = np.polynomial.hermite_e.hermegauss(4)
        z1, z2 = z[:, None], math.cos(t) * z[:, None] + math.sin(t) * z
        weight = w[:, None] * w / (2 * math.pi)
        moment, slope = (weight * z1 * z2).sum(), 1.0
    else:
        # z1 = r cos(a), z2 = r cos(a - t): both positive for t - pi/2 < a < pi/2; E[r^2] = 2
        a, w = np.polynomial.legendre.leggauss(40)
        half = (math.pi - t) / 2
        a, w = half * a + t / 2, half * w
        moment = 2 * (w * np.cos(a) * np.cos(a - t)).sum() / (2 * math.pi)
        slope = w.sum() / (2 * math.pi)
    dual = DUALS[name]
    found = dual.gain * q * jnp.cos(dual.angle(jnp.array(t)))
    assert float(found) == pytest.approx(moment, rel=1e-13)
    assert float(dual.slope(jnp.array(t))) == pytest.approx(slope, rel=1e-13)


def test_the_slope_of_relu_is_half_at_equal_and_none_at_opposite_inputs(x64: None):
    np.testing.assert_array_equal(relu_slope(jnp.array([0.0, math.pi])), [0.5, 0.0])


# kernels

SPECS = {
    "one layer": Mlp(widths=(INF,)),
    "two layers": Mlp(widths=(INF,) * 2),
    "five layers": Mlp(widths=(INF,) * 5),
    "ten layers": Mlp(widths=(INF,) * 10),
    "biases": Mlp(widths=(INF,) * 4, bias_variance=0.3),
    "large biases": Mlp(widths=(INF,) * 2, bias_variance=50.0),
    "tiny biases": Mlp(widths=(INF,) * 3, bias_variance=1e-12),
    "odd variances": Mlp(widths=(INF,) * 3, weight_variance=1.37, last_variance=0.41),
    "odd with biases": Mlp(
        widths=(INF,) * 3, weight_variance=0.9, last_variance=2.5, bias_variance=0.07
    ),
    "linear": Mlp(widths=(INF,) * 3, activation="linear", weight_variance=1.0),
    "linear with biases": Mlp(
        widths=(INF,) * 3, activation="linear", weight_variance=1.2, bias_variance=0.2
    ),
}


def padded(rows: list[list[float]]) -> np.ndarray:
    """Rows with zeros behind, all of one shape: each kernel is compiled once."""
    x = np.zeros((6, 9))
    x[: len(rows), : len(rows[0])] = rows
    return x


INPUTS: dict[str, Callable[[], np.ndarray]] = {
    "random": lambda: random_rows(6, 9, seed=7),
    "on a line": lambda: padded([[1.5], [-0.2], [0.7]]),
    "equal, opposite, zero": lambda: padded([[1, 2], [1, 2], [-1, -2], [0, 0], [3, -1], [2, 4]]),
    "long and short": lambda: padded([[1e6, 1e5], [1e-6, 3e-6], [1.0, 0.0]]),
    "near equal": lambda: np.concatenate([pair_at(10.0**-k, False, k) for k in (3, 6, 9)]),
    "near opposite": lambda: np.concatenate([pair_at(10.0**-k, True, k) for k in (3, 6, 9)]),
}

# A few roundings a layer, and the NTK of ten layers is a sum of eleven terms; relative to
# sqrt(K(u,u) K(v,v)), for entries at opposite inputs may cancel to nothing.
KERNEL_ERROR = {"float64": 2e-15, "float32": 1e-6}


def kernel_errors(spec: Mlp, x: np.ndarray) -> tuple[float, float]:
    """The largest errors of NNGP and NTK, relative to the diagonals."""
    exact = np.array([[exact_kernels(spec, u, v) for v in x] for u in x])
    errors = []
    for found, truth in zip(analytic(spec, jnp.asarray(x)), np.moveaxis(exact, 2, 0), strict=True):
        assert found.dtype == x.dtype
        difference = truth - np.vectorize(lambda k: mpf(float(k)), otypes=[object])(found)
        size = np.vectorize(lambda k: float(mpmath.sqrt(k)))(np.outer(*[truth.diagonal()] * 2))
        error = np.abs(difference).astype(float)
        assert (error[size == 0] == 0).all()  # a zero input without biases: exactly nothing
        errors.append((error[size > 0] / size[size > 0]).max())
    return errors[0], errors[1]


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("name", SPECS)
def test_kernels_in_float64(name: str, inputs: str, x64: None):
    assert max(kernel_errors(SPECS[name], INPUTS[inputs]())) <= KERNEL_ERROR["float64"]


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("name", ["five layers", "odd with biases"])
def test_kernels_in_float32(name: str, inputs: str):
    x = INPUTS[inputs]().astype(np.float32)
    assert max(kernel_errors(SPECS[name], x)) <= KERNEL_ERROR["float32"]


@pytest.mark.parametrize("name", ["five layers", "odd with biases", "linear"])
def test_two_batches_are_a_part_of_one(name: str, x64: None):
    x = INPUTS["random"]()
    whole, part = analytic(SPECS[name], x), analytic(SPECS[name], x[:3], x[2:])
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_allclose(a[:3, 2:], b, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("layers", [1, 2, 5, 16])
def test_the_diagonal_is_the_number_of_layers(layers: int, x64: None):
    x = random_rows(5, 7, seed=8)
    x *= np.sqrt(7) / np.linalg.norm(x, axis=1, keepdims=True)
    kernels = analytic(Mlp(widths=(INF,) * layers), x)
    # |x|^2 = d: NNGP 1 and NTK H + 1; the norm is rounded, and H + 1 terms added
    np.testing.assert_allclose(jnp.diagonal(kernels.ntk), layers + 1, rtol=1e-14)
    np.testing.assert_allclose(jnp.diagonal(kernels.nngp), 1, rtol=1e-14)


@pytest.mark.parametrize("layers", [1, 2, 6])
def test_a_linear_networks_kernels_are_inner_products(layers: int, x64: None):
    x = random_rows(5, 7, seed=9)
    spec = Mlp(widths=(INF,) * layers, activation="linear", weight_variance=1.0)
    kernels, gram = analytic(spec, x), x @ x.T / 7
    # cos and sin of an angle, times lengths: absolute to the largest entry
    atol = 1e-15 * np.abs(gram).max() * (layers + 1)
    np.testing.assert_allclose(kernels.nngp, gram, rtol=0, atol=atol)
    np.testing.assert_allclose(kernels.ntk, (layers + 1) * gram, rtol=0, atol=atol * (layers + 1))


@pytest.mark.parametrize("name", SPECS)
def test_kernels_are_symmetric_and_positive_semidefinite(name: str, x64: None):
    x = np.concatenate([INPUTS["random"]()[:3], -INPUTS["random"]()[1:3], np.zeros((1, 9))])
    for kernel in analytic(SPECS[name], x):
        # rounding alone may break either, by some 1e-16 of the largest
        np.testing.assert_allclose(kernel, kernel.T, rtol=0, atol=1e-14 * np.abs(kernel).max())
        eigenvalues = np.linalg.eigvalsh(np.asarray(kernel))
        assert eigenvalues[0] >= -1e-14 * eigenvalues[-1]


@pytest.mark.parametrize("name", ["five layers", "odd with biases", "linear"])
def test_an_ensemble_has_its_members_kernels(name: str, x64: None):
    x = INPUTS["random"]()
    ensemble = Ensemble(multiplicity=7, member=SPECS[name])
    for a, b in zip(analytic(ensemble, x), analytic(SPECS[name], x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_widths_and_sizes_written_do_not_matter(x64: None):
    x = INPUTS["random"]()
    finite = Mlp(widths=(3, 17), inputs=9, outputs=4, bias_variance=0.2)
    infinite = Mlp(widths=(INF, INF), bias_variance=0.2)
    for a, b in zip(analytic(finite, x), analytic(infinite, x), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - DUALS.keys()))
def test_an_activation_without_a_closed_form_is_refused(name: Any):
    with pytest.raises(ValueError, match=f"{name}; use empirical_ntk"):
        analytic(Mlp(widths=(INF,), activation=name), np.ones((2, 3)))


@pytest.mark.parametrize(
    ("x1", "x2"),
    [(np.ones((2, 3)), np.ones((2, 4))), (np.ones(3), None), (np.ones((2, 3, 1)), None)],
)
def test_inputs_of_a_wrong_shape_are_refused(x1: np.ndarray, x2: np.ndarray | None):
    with pytest.raises(ValueError, match=r"must be \(examples, inputs\)"):
        analytic(SPECS["one layer"], x1, x2)


# gradients


@pytest.mark.parametrize("which", ["nngp", "ntk"])
@pytest.mark.parametrize("name", ["two layers", "odd with biases"])
def test_gradients_are_finite_at_equal_opposite_and_zero_inputs(name: str, which: str, x64: None):
    x = jnp.asarray(INPUTS["equal, opposite, zero"]())

    def total(x1: jax.Array, x2: jax.Array) -> jax.Array:
        return getattr(analytic(SPECS[name], x1, x2), which).sum()

    for gradient in jax.jit(jax.grad(total, (0, 1)))(x, x):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0.01


@pytest.mark.parametrize("which", ["nngp", "ntk"])
@pytest.mark.parametrize("name", ["odd with biases", "linear"])
def test_gradients_are_those_of_differences(name: str, which: str, x64: None):
    spec, (u, v) = SPECS[name], random_rows(2, 3, seed=10)
    gradient = jax.jit(jax.grad(lambda v: getattr(analytic(spec, u[None], v[None]), which)[0, 0]))(
        v
    )
    step = 2.0**-30
    index = ("nngp", "ntk").index(which)
    for axis in range(3):
        ahead, behind = (
            exact_kernels(spec, u, v + sign * step * np.eye(3)[axis])[index] for sign in (1, -1)
        )
        # central differences of exact values: their error is step^2, 1e-18, but the points are
        # rounded to 1e-16 and divided by a step of 1e-9
        assert float(gradient[axis]) == pytest.approx(
            float((ahead - behind) / (2 * step)), abs=1e-6
        )


def test_the_nngp_gradient_at_equal_inputs_is_half_that_of_the_diagonal(x64: None):
    x = jnp.asarray(random_rows(1, 5, seed=11))
    gradient = jax.jit(jax.grad(lambda other: analytic(SPECS["two layers"], x, other).nngp[0, 0]))(
        x
    )
    # the diagonal is |x|^2/d, so K(x, x') changes by x/d
    np.testing.assert_allclose(gradient, x / 5, rtol=1e-13)


# wide finite networks


def draws_of(spec: Mlp, x: np.ndarray, count: int) -> np.ndarray:
    """NTKs of independent networks with one output, (count, n, n)."""
    plan = compile(Document(model=spec.model_copy(update={"inputs": x.shape[1], "outputs": 1})))

    def draw(key: jax.Array) -> jax.Array:
        return empirical_ntk(plan.module(key), x, trace=True)

    keys = jax.random.split(jax.random.key(13), count)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=50))(keys))


POINTS = np.array([[1.0, 0.5, -0.3], [0.8, 0.7, -0.4], [-1.0, 0.2, 0.6]])

# Six standard errors of a mean of thousands of nearly normal numbers: 2e-9 an entry, below 1e-7
# for the six entries of three points.
SIX = 6


@pytest.mark.parametrize("bias_variance", [0.0, 0.3])
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_with_one_hidden_layer_the_mean_is_the_kernel_at_any_width(
    activation: Any, bias_variance: float, x64: None
):
    spec = Mlp(
        widths=(32,), activation=activation, weight_variance=1.6, bias_variance=bias_variance
    )
    draws = draws_of(spec, POINTS, 4000)
    error = np.abs(draws.mean(axis=0) - analytic(spec, POINTS).ntk)
    standard = draws.std(axis=0) / np.sqrt(len(draws))
    assert (error <= SIX * standard).all()
    assert (standard < 0.01 * draws.mean(axis=0).diagonal().max()).all()  # so 6 % would be seen


def test_wide_networks_come_near_the_kernel(x64: None):
    spec = Mlp(widths=(256, 256, 256), bias_variance=0.1)
    draws = draws_of(spec, POINTS, 200)
    expected = analytic(spec, POINTS).ntk
    error = np.abs(draws.mean(axis=0) - expected)
    # off the diagonal the mean at width n differs from the limit by O(H/n): 3/256, with a factor
    # 2 to spare, of the largest entry
    allowed = SIX * draws.std(axis=0) / np.sqrt(len(draws)) + 2 * 3 / 256 * jnp.max(expected)
    assert (error <= allowed).all()


@pytest.mark.parametrize("bias_variance", [0.0, 0.3])
def test_outputs_of_wide_networks_have_the_nngp_as_covariance(bias_variance: float, x64: None):
    # with one hidden layer E[f f'] is the NNGP at any width; outputs of one net are uncorrelated
    spec = Mlp(widths=(64,), inputs=3, outputs=10, last_variance=1.5, bias_variance=bias_variance)
    plan = compile(Document(model=spec))

    def products(key: jax.Array) -> jax.Array:
        module: Any = plan.module(key)
        outputs = jax.vmap(module)(jnp.asarray(POINTS))
        return outputs @ outputs.T / 10

    keys = jax.random.split(jax.random.key(14), 4000)
    draws = np.asarray(jax.jit(lambda keys: jax.lax.map(products, keys, batch_size=100))(keys))
    error = np.abs(draws.mean(axis=0) - analytic(spec, POINTS).nngp)
    standard = draws.std(axis=0) / np.sqrt(len(draws))
    assert (error <= SIX * standard).all()
    assert (standard < 0.02).all()
