"""Infinitely wide convolutional networks, against networks of finite width, vectors and patches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import nodes
from ceflow.compiler.lowering import lower
from ceflow.kernels import analytic, analytic_error, block_kernel, empirical_ntk
from ceflow.kernels.infinite.images import image_kernels
from ceflow.spec import Mlp

RELU = "relu"


def convolution(
    shape: nodes.Image, channels: float, kernel: int = 3, stride: int = 1, groups: int = 1, b=0.0
) -> nodes.Convolution:
    return nodes.Convolution(shape, channels, kernel, stride, groups, 2.0, b)


def shallow(n: float, activation: str = RELU, pool: bool = True, b: float = 0.0) -> nodes.Chain:
    """Convolution, activation, pooling or not, dense."""
    image = (n, 4, 4)
    head = nodes.AveragePool(image) if pool else nodes.Flatten(image)
    return nodes.Chain(
        (
            convolution((3, 4, 4), n, b=b),
            nodes.Activation(activation, image),
            head,
            nodes.Dense(n if pool else 16 * n, 1, 1.0, b),
        )
    )


def residual(
    n: float, activation: str = RELU, pool: bool = True, b: float = 0.0, groups: int = 1
) -> nodes.Chain:
    """A stem, a block as ResNeXt's with a projection, and a head."""
    act = nodes.Activation
    body = nodes.Chain(
        (
            convolution((n, 4, 4), n, 1, b=b),
            act(activation, (n, 4, 4)),
            convolution((n, 4, 4), n, 3, 2, groups, b),
            act(activation, (n, 2, 2)),
            convolution((n, 2, 2), n, 1, b=b),
        )
    )
    return nodes.Chain(
        (
            convolution((3, 4, 4), n),
            act(activation, (n, 4, 4)),
            nodes.Residual(body, convolution((n, 4, 4), n, 1, 2)),
            act(activation, (n, 2, 2)),
            nodes.AveragePool((n, 2, 2)) if pool else nodes.Flatten((n, 2, 2)),
            nodes.Dense(n if pool else 4 * n, 1, 1.0, b),
        )
    )


def pooled_between(n: float) -> nodes.Chain:
    """Pooling over windows, and layers above it."""
    return nodes.Chain(
        (
            convolution((3, 4, 4), n),
            nodes.Activation(RELU, (n, 4, 4)),
            nodes.AveragePool((n, 4, 4), 2),
            convolution((n, 2, 2), n, 3, b=0.1),
            nodes.Activation("erf", (n, 2, 2)),
            nodes.AveragePool((n, 2, 2)),
            nodes.Dense(n, n, 2.0, 0.0),
            nodes.Activation(RELU, n),
            nodes.Dense(n, 1, 1.0, 0.0),
        )
    )


def inputs() -> np.ndarray:
    """Two unlike images, and one near the first."""
    x = np.random.default_rng(0).standard_normal((3, 3, 4, 4))
    x[2] = x[0] + 0.1 * x[2]
    return x


def limit(root: nodes.Node, x: np.ndarray, other: jax.Array | None = None) -> np.ndarray:
    """The NTK without its bound, which takes as long to compile."""
    return np.asarray(image_kernels(root, jnp.asarray(x), other)[1])


def draws_of(root: nodes.Chain, x: np.ndarray, count: int) -> np.ndarray:
    def draw(key: jax.Array) -> jax.Array:
        return empirical_ntk(lower(root, key), x, trace=True)

    keys = jax.random.split(jax.random.key(3), count)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys))(keys))


@pytest.mark.parametrize("b", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_with_one_hidden_layer_the_mean_is_the_kernel_at_any_width(
    activation: str, pool: bool, b: float, x64: None
):
    x = inputs()
    draws = draws_of(shallow(16, activation, pool, b), x, 1500)
    expected = limit(shallow(16, activation, pool, b), x)
    standard = draws.std(axis=0) / np.sqrt(len(draws))
    # six different entries in each of eight cases: five standard errors, 3e-5 by chance
    assert (np.abs(draws.mean(axis=0) - expected) < 5 * standard).all()
    assert (standard < 0.01 * expected.max()).all()  # so 5 % would be seen


@pytest.mark.parametrize(
    "build",
    [
        residual,
        pytest.param(lambda n: residual(n, pool=False), marks=pytest.mark.slow),
        pytest.param(lambda n: residual(n, "tanh", b=0.2, groups=4), marks=pytest.mark.slow),
        pooled_between,
    ],
    ids=["pooled", "flattened", "grouped with biases", "pooled between"],
)
def test_wide_networks_come_near_the_kernel(build: Any, x64: None):
    x = inputs()
    draws = draws_of(build(96), x, 60)
    expected = limit(build(float("inf")), x)
    # the mean at n channels is off by O(layers/n), 5/96; and five standard errors of the mean
    allowed = 5 * draws.std(axis=0) / np.sqrt(60) + 5 / 96 * expected.max()
    assert (np.abs(draws.mean(axis=0) - expected) < allowed).all()


@pytest.mark.parametrize("head", [nodes.AveragePool, nodes.Flatten])
def test_on_one_position_a_convolution_is_a_dense_layer(head: Any, x64: None):
    x = np.random.default_rng(1).standard_normal((5, 4))
    root = nodes.Chain(
        (
            nodes.Convolution((4, 1, 1), 8, 1, 1, 1, 2.0, 0.3),
            nodes.Activation(RELU, (8, 1, 1)),
            head((8, 1, 1)),
            nodes.Dense(8, 8, 2.0, 0.3),
            nodes.Activation(RELU, 8),
            nodes.Dense(8, 1, 1.0, 0.3),
        )
    )
    nngp, ntk = image_kernels(root, jnp.asarray(x[..., None, None]), None)
    vectors = analytic(Mlp(widths=(8, 8), bias_variance=0.3), x)
    np.testing.assert_allclose(ntk, vectors.ntk, rtol=1e-13)
    np.testing.assert_allclose(nngp, vectors.nngp, rtol=1e-13)


def test_one_layer_is_the_mean_over_patches(x64: None):
    # without pooling, and with: the kernel of patches as vectors, averaged
    x = inputs()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    patches = np.stack(
        [padded[:, :, i : i + 3, j : j + 3].reshape(3, -1) for i in range(4) for j in range(4)], 1
    ).reshape(48, 27)
    every = np.asarray(analytic(Mlp(widths=(8,)), patches).ntk).reshape(3, 16, 3, 16)
    flat, pooled = (limit(shallow(8, pool=pool), x) for pool in (False, True))
    np.testing.assert_allclose(flat, np.einsum("apbp->ab", every) / 16, rtol=1e-12)
    np.testing.assert_allclose(pooled, every.mean(axis=(1, 3)), rtol=1e-12)


@pytest.mark.parametrize("build", [shallow, pytest.param(pooled_between, marks=pytest.mark.slow)])
def test_kernels_are_symmetric_and_positive_semidefinite(build: Any, x64: None):
    x = inputs()
    x = np.concatenate([x, x[:1], -x[:1], np.zeros((1, 3, 4, 4))])
    for kernel in analytic(build(4), x)[:2]:
        np.testing.assert_array_equal(kernel, kernel.T)
        np.testing.assert_allclose(kernel[0], kernel[3], rtol=1e-12)  # equal images
        assert np.isfinite(kernel).all()
        eigenvalues = np.linalg.eigvalsh(np.asarray(kernel))
        assert eigenvalues[0] > -1e-13 * eigenvalues[-1]


def test_two_batches_give_a_block(x64: None):
    x = inputs()
    block = limit(shallow(4), x[:1], jnp.asarray(x[1:]))
    np.testing.assert_array_equal(block, limit(shallow(4), x)[:1, 1:])


@pytest.mark.parametrize("build", [shallow, pytest.param(residual, marks=pytest.mark.slow)])
def test_float32_is_near_float64(build: Any):
    x = inputs()
    with jax.enable_x64(True):
        exact = limit(build(4), x)
    _, kernel, error = analytic(build(4), x.astype(np.float32))
    assert kernel.dtype == jnp.float32
    assert np.abs(kernel - exact).max() <= error * exact.max()
    assert error < 1e-3
    # some tens of roundings of 6e-8
    np.testing.assert_allclose(kernel, exact, rtol=0, atol=2e-6 * exact.max())


def test_lengths_that_differ_cost_no_digits_of_angles(x64: None):
    """A network of relu is homogeneous: the kernel of x and 3x is three times that of x."""
    x = inputs()[:1]
    _, kernel, error = analytic(shallow(4), np.concatenate([x, 3 * x]))
    assert abs(kernel[0, 1] - 3 * kernel[0, 0]) <= error * kernel[1, 1]
    assert error < 1e-12


@pytest.mark.slow
@pytest.mark.filterwarnings("error::ceflow.kernels.InaccurateKernelWarning")
@pytest.mark.parametrize("pool", [True, False])
def test_ten_layers_are_within_bounds_that_are_small(pool: bool):
    layers = [convolution((3, 4, 4), 4), nodes.Activation(RELU, (4, 4, 4))]
    layers += 9 * [convolution((4, 4, 4), 4), nodes.Activation(RELU, (4, 4, 4))]
    head = nodes.AveragePool((4, 4, 4)) if pool else nodes.Flatten((4, 4, 4))
    root = nodes.Chain((*layers, head, nodes.Dense(4 if pool else 64, 1, 1.0, 0.0)))
    x = inputs().astype(np.float32)
    x = np.concatenate([x, np.float32(1.1) * x, -x])
    with jax.enable_x64(True):
        _, exact, small = map(np.asarray, analytic(root, x.astype(float)))
    _, kernel, error = analytic(root, x)
    assert np.abs(np.asarray(kernel) - exact).max() <= error * exact.max()
    assert error < 2e-3
    assert small < 1e-11


@pytest.mark.slow
def test_gradients_are_finite_at_equal_and_zero_images(x64: None):
    x = jnp.asarray(np.concatenate([inputs(), np.zeros((1, 3, 4, 4))]))
    gradient = jax.grad(lambda other: analytic(shallow(4), x, other).ntk.sum())(x)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0.01


IMAGE = (4, 4, 4)
MAPPED = convolution((3, 4, 4), 4)
ACTIVE = nodes.Activation(RELU, IMAGE)
HEAD = (nodes.AveragePool(IMAGE), nodes.Dense(4, 1, 1.0, 0.0))
REFUSED = {
    "an activation of a sum": (
        (MAPPED, ACTIVE, nodes.Residual(convolution(IMAGE, 4)), ACTIVE, *HEAD),
        "relu acts on values that are not Gaussian",
    ),
    "correlated branches": (
        (MAPPED, nodes.Residual(nodes.Chain((convolution(IMAGE, 4), ACTIVE))), *HEAD),
        "neither branch of a residual connection",
    ),
    "an activation at the end": (
        (MAPPED, nodes.AveragePool(IMAGE), nodes.Activation(RELU, 4)),
        "the outputs are not Gaussian",
    ),
    "an image at the end": ((MAPPED, ACTIVE, convolution(IMAGE, 1)), "the outputs are an image"),
    "positions at the end": ((MAPPED, nodes.Flatten(IMAGE)), "the outputs are not Gaussian"),
    "a scale at the end": ((MAPPED, *HEAD, nodes.Scale(1, 2.0)), "a scale acts on the outputs"),
    "a norm at the end": ((MAPPED, *HEAD, nodes.LayerNorm(1)), "a layer norm acts on the outputs"),
    "inputs beside a body": (
        (nodes.Residual(convolution((3, 4, 4), 3)), nodes.AveragePool((3, 4, 4))),
        "the shortcut of a residual connection has only as many channels as the inputs",
    ),
    "a filter of each input": (
        (convolution((3, 4, 4), 3, groups=3), convolution((3, 4, 4), 4), *HEAD),
        "a depthwise convolution has only as many channels as the inputs",
    ),
    "a dense layer on an image": (
        (MAPPED, ACTIVE, nodes.Dense(64, 1, 1.0, 0.0)),
        "an image of 4 x 4 x 4 and not a vector of 64",
    ),
    "a shortcut of another shape": (
        (MAPPED, nodes.Residual(convolution(IMAGE, 4), convolution(IMAGE, 4, 1, 2)), *HEAD),
        "an image of 4 x 2 x 2 and not an image of 4 x 4 x 4",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(
    "ask", [analytic, analytic_error, lambda root, x: block_kernel(root, "ntk")(x)]
)
def test_trees_without_a_kernel_are_refused(name: str, ask: Any):
    layers, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        ask(nodes.Chain(layers), inputs())


def test_a_function_in_place_of_the_activations_is_refused():
    with pytest.raises(ValueError, match="in its layers"):
        analytic(shallow(4), inputs(), activation=jnp.tanh)


@pytest.mark.slow
def test_the_error_of_quadrature_is_bounded(x64: None):
    # one position: the bound is that of the network on vectors, but that lengths which differ cost
    # some digits of a covariance here
    x = np.random.default_rng(1).standard_normal((5, 4))
    root = nodes.Chain(
        (
            nodes.Convolution((4, 1, 1), 8, 1, 1, 1, 2.0, 0.0),
            nodes.Activation("tanh", (8, 1, 1)),
            nodes.Flatten((8, 1, 1)),
            nodes.Dense(8, 1, 1.0, 0.0),
        )
    )
    ours = analytic(root, x[..., None, None])
    vectors = analytic(Mlp(widths=(8,), activation="tanh"), x)
    np.testing.assert_allclose(ours.ntk, vectors.ntk, rtol=1e-12)
    assert float(vectors.error) <= float(ours.error) <= 10 * float(vectors.error)
    # of a kink what is lost of a covariance, 1e-15, counts by its root in the angle
    assert 0 < analytic(shallow(4), inputs()).error < 1e-6


@pytest.mark.parametrize("shape", [(2, 48), (2, 3, 4, 5), (2, 4, 4, 4)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"\(examples, 3, 4, 4\)"):
        analytic(shallow(4), np.ones(shape))
