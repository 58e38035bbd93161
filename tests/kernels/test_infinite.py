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
    """NNGP and NTK by the recursion of covariances."""
    size, b = len(u), mpf(spec.bias_variance)
    suu, suv, svv = (exact_dot(p, q) / size for p, q in ((u, u), (u, v), (v, v)))
    ntk = mpf(0)
    for index in range(len(spec.widths) + 1):
        last = index == len(spec.widths)
        c = mpf(spec.last_variance if last else spec.weight_variance)
        suu, suv, svv = (c * s + b for s in (suu, suv, svv))
        ntk = suv + c * ntk
        if last:
            continue
        dual = EXACT[spec.activation]
        (suu, _), (suv, slope), (svv, _) = (
            dual(suu, suu, suu),
            dual(suu, suv, svv),
            dual(svv, svv, svv),
        )
        ntk *= slope
    return suv, ntk


def exact_kinked(below: float) -> Callable[..., tuple[Any, Any]]:
    """`phi = (1 + a)/2 z + (1 - a)/2 |z|`; of |z|, the folded normal's covariance."""
    a = mpf(below)

    def dual(q1: Any, c: Any, q2: Any) -> tuple[Any, Any]:
        root = mpmath.sqrt(q1 * q2)
        t = exact_acos(c / root) if root else mpf(0)
        folded = root * 2 / mp.pi * (mpmath.sin(t) + (mp.pi / 2 - t) * mpmath.cos(t))
        odd, even = ((1 + a) / 2) ** 2, ((1 - a) / 2) ** 2
        return odd * c + even * folded, odd + even * (1 - 2 * t / mp.pi)

    return dual


def exact_erf(q1: Any, c: Any, q2: Any) -> tuple[Any, Any]:
    d = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / mp.pi * mpmath.asin(2 * c / mpmath.sqrt(d)), 4 / mp.pi / mpmath.sqrt(d - 4 * c**2)


def exact_gelu(q1: Any, c: Any, q2: Any) -> tuple[Any, Any]:
    d = (1 + q1) * (1 + q2)
    p, rest = mpf(1) / 4 + mpmath.asin(c / mpmath.sqrt(d)) / (2 * mp.pi), d - c**2
    m = 1 / (2 * mp.pi * mpmath.sqrt(rest))
    both = 1 / (1 + q1) + 1 / (1 + q2)
    return c * p + m * (q1 * q2 + c**2 * (both - 1)), p + c * m * (both + 1 / rest)


def exact_sin(q1: Any, c: Any, q2: Any) -> tuple[Any, Any]:
    scale = mpmath.exp(-(q1 + q2) / 2)
    return scale * mpmath.sinh(c), scale * mpmath.cosh(c)


EXACT: dict[str, Callable[..., tuple[Any, Any]]] = {
    "relu": exact_kinked(0.0),
    "leaky-relu": exact_kinked(0.01),
    "abs": exact_kinked(-1.0),
    "linear": exact_kinked(1.0),
    "erf": exact_erf,
    "gelu": exact_gelu,
    "sin": exact_sin,
    "cos": lambda *q: exact_sin(*q)[::-1],
}


def both(spec: Mlp | Ensemble, x1: Any, x2: Any = None, **options: Any) -> tuple[Any, Any]:
    kernels = analytic(spec, x1, x2, **options)
    return kernels.nngp, kernels.ntk


def pair_at(separation: float, opposite: bool, seed: int, size: int = 9) -> np.ndarray:
    """Two vectors of different lengths about `separation` apart from equal or opposite ones."""
    u, w = np.random.default_rng(seed).standard_normal((2, size))
    u, w = u / np.linalg.norm(u), w - (w @ u) / (u @ u) * u
    v = np.cos(separation) * u + np.sin(separation) * w / np.linalg.norm(w)
    return np.stack([1.7 * u, -0.6 * v if opposite else 0.6 * v])


def random_rows(count: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, size))


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


SLOW = pytest.param("odd with biases", marks=pytest.mark.slow)
"""Where all of it is in use at once, and takes longest to compile."""


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
    for found, truth in zip(both(spec, x), np.moveaxis(exact, 2, 0), strict=True):
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


@pytest.mark.parametrize("name", sorted(EXACT.keys() - {"relu", "linear"}))
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_kernels_of_other_activations(dtype: str, name: Any):
    spec = Mlp(widths=(INF,) * 3, activation=name, bias_variance=0.2, weight_variance=1.3)
    rows = [[1, 2], [1, 2], [-1, -2], [0, 0], [3, -1], [2, 4.001]]
    with jax.enable_x64(dtype == "float64"):
        assert max(kernel_errors(spec, padded(rows).astype(dtype))) <= KERNEL_ERROR[dtype]


@pytest.mark.slow
def test_gradients_pass_through_many_blocks(x64: None):
    x, weight = jnp.asarray(random_rows(130, 20, seed=15)), random_rows(130, 130, seed=16)

    def total(x: jax.Array, tile: int) -> jax.Array:
        return (weight * analytic(SPECS["two layers"], x, tile=tile).ntk).sum()

    one, many = (jax.jit(jax.grad(total), static_argnums=1)(x, tile) for tile in (512, 64))
    # sums of 130 terms in another order; half of each is of the mirrored block
    np.testing.assert_allclose(one, many, rtol=0, atol=1e-13 * np.abs(one).max())


@pytest.mark.parametrize("name", ["five layers", SLOW, "linear"])
def test_two_batches_are_a_part_of_one(name: str, x64: None):
    x = INPUTS["random"]()
    whole, part = both(SPECS[name], x), both(SPECS[name], x[:3], x[2:])
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
    for kernel in both(SPECS[name], x):
        # rounding alone may break either, by some 1e-16 of the largest
        np.testing.assert_allclose(kernel, kernel.T, rtol=0, atol=1e-14 * np.abs(kernel).max())
        eigenvalues = np.linalg.eigvalsh(np.asarray(kernel))
        assert eigenvalues[0] >= -1e-14 * eigenvalues[-1]


@pytest.mark.parametrize("name", ["five layers", SLOW, "linear"])
def test_an_ensemble_has_its_members_kernels(name: str, x64: None):
    x = INPUTS["random"]()
    ensemble = Ensemble(multiplicity=7, member=SPECS[name])
    for a, b in zip(both(ensemble, x), both(SPECS[name], x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_widths_and_sizes_written_do_not_matter(x64: None):
    x = INPUTS["random"]()
    finite = Mlp(widths=(3, 17), inputs=9, outputs=4, bias_variance=0.2)
    infinite = Mlp(widths=(INF, INF), bias_variance=0.2)
    for a, b in zip(both(finite, x), both(infinite, x), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("x1", "x2"),
    [(np.ones((2, 3)), np.ones((2, 4))), (np.ones(3), None), (np.ones((2, 3, 1)), None)],
)
def test_inputs_of_a_wrong_shape_are_refused(x1: np.ndarray, x2: np.ndarray | None):
    with pytest.raises(ValueError, match=r"must be \(examples, inputs\)"):
        analytic(SPECS["one layer"], x1, x2)


# gradients


@pytest.mark.parametrize("which", [pytest.param("nngp", marks=pytest.mark.slow), "ntk"])
@pytest.mark.parametrize("name", ["two layers", SLOW])
def test_gradients_are_finite_at_equal_opposite_and_zero_inputs(name: str, which: str, x64: None):
    x = jnp.asarray(INPUTS["equal, opposite, zero"]())

    def total(x1: jax.Array, x2: jax.Array) -> jax.Array:
        return getattr(analytic(SPECS[name], x1, x2), which).sum()

    for gradient in jax.jit(jax.grad(total, (0, 1)))(x, x):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0.01


@pytest.mark.parametrize("which", [pytest.param("nngp", marks=pytest.mark.slow), "ntk"])
@pytest.mark.parametrize("name", [SLOW, "linear"])
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


# what is refused


def test_a_tile_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1 row, not 0"):
        analytic(SPECS["one layer"], np.ones((2, 3)), tile=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_refused(bad: float):
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match="x2 holds NaN or infinity"):
        analytic(SPECS["one layer"], x, np.where([[1], [0]], x, bad))


def test_a_module_is_refused():
    model = Mlp(widths=[4], inputs=3, outputs=1)
    module: Any = compile(Document(model=model)).module(jax.random.key(0))
    with pytest.raises(TypeError, match=r"wanted, not .*: empirical_ntk takes modules"):
        analytic(module, np.ones((2, 3)))


def test_inputs_that_are_not_of_the_model_are_refused():
    with pytest.raises(ValueError, match=r"x1 must be \(examples, 3\), not \(2, 5\)"):
        analytic(Mlp(widths=[math.inf], inputs=3), np.ones((2, 5)))


def test_whole_numbers_are_inputs_too():
    x = np.array([[1, 2], [3, 4]])
    whole, real = (analytic(SPECS["one layer"], v).ntk for v in (x, x + 0.0))
    np.testing.assert_array_equal(whole, real)
