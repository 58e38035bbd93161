"""The block against its formula written out, and against an ensemble of single groups."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import compile
from ceflow.kernels import empirical_ntk
from ceflow.nets import Convolution
from ceflow.spec import Block, Document

CHANNELS, OUTPUTS, M, WIDTHS = 4, 3, 3, (5, 2)


def block(**keys: Any) -> Block:
    given = {"channels": CHANNELS, "widths": WIDTHS, "outputs": OUTPUTS, "weight_variance": 1.7}
    return Block(**(given | keys))


def module_of(model: Block, seed: int = 0) -> Any:
    return compile(Document(model=model)).module(jax.random.key(seed))


def convolutions(module: Any) -> list[Convolution]:
    """The three of the path, and the projection's."""
    found = jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, Convolution))
    return [node for node in found if isinstance(node, Convolution)]


def weights(module: Any) -> list[np.ndarray]:
    return [np.asarray(layer.weight) for layer in convolutions(module)]


def patches(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, CHANNELS, 3, 3))


def by_hand(model: Block, arrays: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Position by position and group by group."""
    first, second, third, *centre = arrays
    (n1, n2), m, c = model.widths, model.cardinality, model.weight_variance
    h = np.zeros((m * n1, 3, 3))
    for i in range(3):
        for j in range(3):
            z = np.sqrt(c / CHANNELS) * first[:, :, 0, 0] @ x[:, i, j]
            h[:, i, j] = np.maximum(z, 0)
    z = np.zeros(m * n2)
    for out in range(m * n2):
        group = out // n2
        seen = h[group * n1 : (group + 1) * n1]
        z[out] = np.sqrt(c / (9 * n1)) * (second[out] * seen).sum()
    last = model.last_variance
    y = np.sqrt(last / (m * n2)) * third[:, :, 0, 0] @ np.maximum(z, 0)
    if centre:
        y += np.sqrt(last / CHANNELS) * centre[0][:, :, 0, 0] @ x[:, 1, 1]
    return y


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("cardinality", [1, M])
def test_a_block_is_its_formula(cardinality: int, projection: bool, x64: None):
    model = block(cardinality=cardinality, projection=projection, last_variance=0.6)
    module = module_of(model)
    for x in patches():
        expected = by_hand(model, weights(module), x)
        np.testing.assert_allclose(module(jnp.asarray(x)), expected, rtol=0, atol=1e-13)


def groups_of(module: Any) -> list[Any]:
    """A block of m groups as m blocks of one, with its weights."""
    first, second, third = weights(module)
    rows = np.split(first, M), np.split(second, M), np.split(third, M, axis=1)
    return [
        eqx.tree_at(
            lambda one: [layer.weight for layer in convolutions(one)],
            module_of(block()),
            [jnp.asarray(array) for array in arrays],
        )
        for arrays in zip(*rows, strict=True)
    ]


def test_a_block_is_the_ensemble_of_its_groups(x64: None):
    module = module_of(block(cardinality=M))
    groups, x = groups_of(module), jnp.asarray(patches())
    together = sum(jax.vmap(group)(x) for group in groups) / np.sqrt(M)
    np.testing.assert_allclose(jax.vmap(module)(x), together, rtol=0, atol=1e-13)
    mean = sum(empirical_ntk(group, x) for group in groups) / M
    np.testing.assert_allclose(empirical_ntk(module, x), mean, rtol=0, atol=1e-12)


def test_the_projection_adds_its_own_kernel(x64: None):
    # K of sqrt(c/channels) W x: c/channels of the inner product of the centres, for every output
    x = patches()
    with_it, without = (
        block(cardinality=M, projection=p, last_variance=0.6) for p in (True, False)
    )
    one, other = module_of(with_it), module_of(without)
    one = eqx.tree_at(
        lambda module: [layer.weight for layer in convolutions(module)[:3]],
        one,
        [layer.weight for layer in convolutions(other)],
    )
    centres = x[:, :, 1, 1]
    added = 0.6 / CHANNELS * np.einsum("ac,bc->ab", centres, centres)
    expected = np.asarray(empirical_ntk(other, x)) + added[:, :, None, None] * np.eye(OUTPUTS)
    np.testing.assert_allclose(empirical_ntk(one, x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("padding", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_zeros_around_or_a_cut(
    stride: int, kernel: int, groups: int, padding: int, x64: None
):
    # groups take another way on a CPU
    made = {"kernel": kernel, "groups": groups, "stride": stride, "key": jax.random.key(0)}
    x = jax.random.normal(jax.random.key(1), (4, 9, 8))
    width = max(padding, 0)
    padded = jnp.pad(x, ((0, 0), (width, width), (width, width)))
    cut = -min(padding, 0)
    there = padded[:, cut : 9 + 2 * width - cut, cut : 8 + 2 * width - cut]
    ours = Convolution(4, 2, padding=padding, **made)(x)
    theirs = Convolution(4, 2, padding=0, **made)(there)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)
