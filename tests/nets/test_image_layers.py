"""Convolution, pooling and residual connection against Equinox's own and by hand."""

from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import nodes
from ceflow.compiler.lowering import lower
from ceflow.nets import Convolution, Dense, Residual, average_pool, global_average

X = jax.random.normal(jax.random.key(0), (6, 9, 8))


def reference(convolution: Convolution, x: jax.Array) -> jax.Array:
    """The same weights in Equinox's convolution, scaled by hand."""
    out, per_group, kernel, _ = convolution.weight.shape
    plain = eqx.nn.Conv2d(
        x.shape[0],
        out,
        kernel,
        stride=convolution.stride,
        padding=kernel // 2,
        groups=convolution.groups,
        use_bias=False,
        key=jax.random.key(1),
    )
    plain = eqx.tree_at(lambda module: module.weight, plain, convolution.weight)
    scaled = plain(x) * (convolution.weight_variance / (per_group * kernel**2)) ** 0.5
    if convolution.bias is None:
        return scaled
    return scaled + convolution.bias_variance**0.5 * convolution.bias[:, None, None]


PAIRS = {
    (1, 1, 1, 0.5), (1, 2, 2, 0.0), (1, 3, 1, 0.0), (1, 6, 2, 0.5),
    (3, 1, 2, 0.0), (3, 2, 1, 0.5), (3, 3, 2, 0.5), (3, 6, 1, 0.0),
    (5, 1, 1, 0.0), (5, 2, 2, 0.5), (5, 3, 1, 0.5), (5, 6, 2, 0.0),
}  # fmt: skip
"""Kernel, groups, stride and variance of the bias: every pair of values is in one of these."""


@pytest.mark.parametrize(
    ("kernel", "groups", "stride", "bias_variance"),
    [
        pytest.param(*case, marks=() if case in PAIRS else pytest.mark.slow)
        for case in product((1, 3, 5), (1, 2, 3, 6), (1, 2), (0.0, 0.5))
    ],
)
def test_convolution_is_equinox_scaled(
    kernel: int, groups: int, stride: int, bias_variance: float, x64: None
):
    convolution = Convolution(
        6,
        12,
        kernel=kernel,
        stride=stride,
        groups=groups,
        weight_variance=1.7,
        bias_variance=bias_variance,
        key=jax.random.key(2),
    )
    x = X.astype(float)
    # sums of at most 150 products in another order
    np.testing.assert_allclose(convolution(x), reference(convolution, x), rtol=0, atol=1e-13)


def test_groups_as_products_have_the_gradients_of_the_convolution(x64: None):
    convolution = Convolution(6, 4, kernel=3, groups=2, key=jax.random.key(2))
    x = X.astype(float)

    def total(function):
        return lambda module, x: (function(module, x) ** 2).sum()

    ours = eqx.filter_grad(total(lambda module, x: module(x)))(convolution, x)
    theirs = eqx.filter_grad(total(reference))(convolution, x)
    np.testing.assert_allclose(ours.weight, theirs.weight, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("x", "message"),
    [(jnp.ones((4, 8, 8)), r"6 channels was given"), (X[None], "one example"), (X[:, 0], "shape")],
)
def test_a_wrong_shape_is_said(x: jax.Array, message: str):
    with pytest.raises(ValueError, match=message):
        Convolution(6, 6, kernel=3, key=jax.random.key(0))(x)


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="cannot be split into 4 groups"):
        Convolution(6, 8, kernel=3, groups=4, key=jax.random.key(0))


@pytest.mark.parametrize("window", [1, 2, 3])
def test_average_pool_by_hand(window: int):
    height, width = 9 // window, 8 // window
    cut = np.asarray(X)[:, : height * window, : width * window]
    expected = cut.reshape(6, height, window, width, window).mean(axis=(2, 4))
    np.testing.assert_allclose(average_pool(X, window), expected, rtol=1e-5, atol=1e-6)


def test_global_average_by_hand():
    np.testing.assert_allclose(global_average(X), np.asarray(X).mean(axis=(1, 2)), atol=1e-6)


def test_residual_adds_its_branches():
    body, shortcut = (Dense(3, 3, key=jax.random.key(seed)) for seed in (0, 1))
    x = jnp.arange(3.0)
    np.testing.assert_array_equal(Residual(body)(x), x + body(x))
    np.testing.assert_array_equal(Residual(body, shortcut)(x), shortcut(x) + body(x))


def block(groups: int = 2) -> nodes.Chain:
    """A residual block between a stem and a head, as its layers."""
    relu = nodes.Activation("relu", (8, 9, 8))
    body = nodes.Chain(
        (
            nodes.Convolution((8, 9, 8), 4, 1, 1, 1, 2.0, 0.0),
            nodes.Convolution((4, 9, 8), 4, 3, 2, groups, 2.0, 0.1),
            nodes.Convolution((4, 5, 4), 8, 1, 1, 1, 2.0, 0.0),
        )
    )
    shortcut = nodes.Convolution((8, 9, 8), 8, 1, 2, 1, 2.0, 0.0)
    return nodes.Chain(
        (
            nodes.Convolution((6, 9, 8), 8, 3, 1, 1, 2.0, 0.0),
            relu,
            nodes.Residual(body, shortcut),
            nodes.AveragePool((8, 5, 4), 2),
            nodes.Flatten((8, 2, 2)),
            nodes.Dense(32, 3, 1.0, 0.0),
        )
    )


def test_counts_and_shapes_of_layers_are_those_of_their_modules():
    root = block()
    module = lower(root, jax.random.key(0))
    arrays = jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))
    assert sum(array.size for array in arrays) == root.parameters
    assert module(X).shape == (root.outputs,) == (3,)  # pyright: ignore
    for layer, part in zip(root.layers, module.layers, strict=True):  # pyright: ignore
        shape = jax.eval_shape(part, jnp.ones(shape_of(layer.inputs))).shape
        assert shape == shape_of(layer.outputs)


def shape_of(shape: nodes.Shape) -> tuple[int, ...]:
    return tuple(map(int, shape)) if isinstance(shape, tuple) else (int(shape),)


def test_flops_of_a_grouped_convolution_by_hand():
    convolution = nodes.Convolution((8, 16, 16), 4, 3, 2, 4, 1.0, 0.0)
    assert convolution.outputs == (4, 8, 8)
    assert convolution.parameters == 4 * 2 * 9
    assert convolution.flops == 2 * (4 * 2 * 9) * 64
