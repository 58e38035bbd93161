"""Batch normalisation against formulas in NumPy: training, inference, and layers around it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.nets import BatchNorm, Convolution, Ensemble, Frozen, Residual, is_stateful

SHAPE = (6, 3, 4, 5)
"""Of a batch of images."""


def images(seed: int = 0) -> np.ndarray:
    return 3 + 2 * np.random.default_rng(seed).standard_normal(SHAPE)


def batched(module: Any) -> Callable[..., Any]:
    return jax.vmap(module, axis_name="batch", in_axes=(0, None), out_axes=(0, None))


def norm_and_state() -> tuple[BatchNorm, eqx.nn.State]:
    """With a scale and a shift that are not the initial ones."""
    norm, state = eqx.nn.make_with_state(BatchNorm)(3)
    arrays = jnp.array([1.5, 0.5, -1.0]), jnp.array([0.1, 0.2, 0.3])
    return eqx.tree_at(lambda one: (one.weight, one.bias), norm, arrays), state


def reference(norm: BatchNorm, x: np.ndarray, mean: Any, variance: Any) -> np.ndarray:
    def along(values: Any) -> np.ndarray:
        return np.asarray(values)[:, None, None]

    standard = (x - along(mean)) / np.sqrt(along(variance) + 1e-5)
    return along(norm.weight) * standard + along(norm.bias)


AXES = (0, 2, 3)
COUNT = 6 * 4 * 5


@pytest.mark.parametrize("bits", [32, 64])
def test_training_takes_the_statistics_of_the_batch(bits: int):
    with jax.enable_x64(bits == 64):
        norm, state = norm_and_state()
        x = images().astype(f"float{bits}")
        y, _ = batched(norm)(jnp.asarray(x), state)
        assert y.dtype.name == f"float{bits}"
        expected = reference(norm, x, x.mean(AXES), x.var(AXES))
        # numbers of order 5, some roundings
        np.testing.assert_allclose(y, expected, rtol=0, atol=50 * float(jnp.finfo(y.dtype).eps))


def test_running_statistics_move_to_those_of_each_batch(x64: None):
    norm, state = norm_and_state()
    mean, variance = np.zeros(3), np.ones(3)
    for seed in range(4):
        x = images(seed)
        _, state = batched(norm)(jnp.asarray(x), state)
        mean = 0.9 * mean + 0.1 * x.mean(AXES)
        variance = 0.9 * variance + 0.1 * x.var(AXES) * COUNT / (COUNT - 1)
    ours = state.get(norm.statistics)
    np.testing.assert_allclose(ours, (mean, variance), rtol=1e-13)
    y, after = batched(eqx.nn.inference_mode(norm))(jnp.asarray(images(9)), state)
    np.testing.assert_allclose(y, reference(norm, images(9), mean, variance), rtol=0, atol=1e-13)
    assert eqx.tree_equal(after, state)


def test_before_any_training_inference_normalises_by_0_and_1(x64: None):
    norm, state = norm_and_state()
    x = images()[0]
    y = Frozen(norm, state)(jnp.asarray(x))
    np.testing.assert_allclose(y, reference(norm, x, np.zeros(3), np.ones(3)), rtol=1e-14)


def test_at_inference_one_example_is_as_in_a_batch(x64: None):
    norm, state = norm_and_state()
    _, state = batched(norm)(jnp.asarray(images()), state)
    frozen, x = Frozen(norm, state), jnp.asarray(images(1))
    whole = jax.vmap(frozen)(x)
    np.testing.assert_allclose(whole[2], frozen(x[2]), rtol=1e-15)
    inference, _ = batched(eqx.nn.inference_mode(norm))(x, state)
    np.testing.assert_allclose(inference, whole, rtol=1e-15)


def test_gradients_in_training_are_those_of_the_formula(x64: None):
    norm, state = norm_and_state()
    weights = jnp.asarray(np.random.default_rng(5).standard_normal(SHAPE))

    def ours(x: Any) -> Any:
        return (weights * batched(norm)(x, state)[0]).sum()

    x, step = images(), 1e-6
    gradient = np.asarray(jax.grad(ours)(jnp.asarray(x)))
    for index in ((0, 0, 0, 0), (3, 1, 2, 4), (5, 2, 3, 0)):
        moves = np.zeros(SHAPE)
        moves[index] = step
        rise = (ours(jnp.asarray(x + moves)) - ours(jnp.asarray(x - moves))) / (2 * step)
        # central differences: 1e-16/1e-6 of sums of order 100, and step squared
        assert gradient[index] == pytest.approx(float(rise), abs=1e-7)


def test_a_constant_channel_has_finite_outputs_and_gradients():
    norm, state = eqx.nn.make_with_state(BatchNorm)(2)
    x = jnp.ones((4, 2, 3, 3))
    y, state = batched(norm)(x, state)
    np.testing.assert_array_equal(y, 0)
    gradient = jax.grad(lambda x: (batched(norm)(x, state)[0] ** 2).sum())(x)
    assert np.isfinite(gradient).all()


def test_a_large_offset_loses_no_digits():
    # a difference of squares would: 1e4^2 times 6e-8 is 6, beside a variance of 1
    norm, state = eqx.nn.make_with_state(BatchNorm)(1)
    x = np.random.default_rng(0).standard_normal((64, 1, 4, 4)).astype(np.float32)
    y, _ = batched(norm)(jnp.asarray(x + 1e4), state)
    plain, _ = batched(norm)(jnp.asarray(x), state)
    # the inputs themselves are rounded to 1e4 x 6e-8
    np.testing.assert_allclose(y, plain, rtol=0, atol=4e-3)


def test_training_outside_of_a_batch_says_how():
    norm, state = norm_and_state()
    with pytest.raises(ValueError, match="axis_name='batch'"):
        norm(jnp.ones((3, 2, 2)), state)


def test_a_batch_of_one_number_a_channel_is_refused():
    norm, state = norm_and_state()
    with pytest.raises(ValueError, match="larger batch"):
        batched(norm)(jnp.ones((1, 3, 1, 1)), state)


# layers around it


def stateful(key: Any) -> eqx.nn.Sequential:
    convolution = Convolution(3, 3, kernel=3, key=key)
    return eqx.nn.Sequential([convolution, BatchNorm(3), eqx.nn.Lambda(jax.nn.relu)])


def plain(key: Any) -> eqx.nn.Sequential:
    return eqx.nn.Sequential([Convolution(3, 3, kernel=1, key=key)])


def both_by_hand(module: Any, x: Any, state: Any) -> Any:
    """A residual connection whose branches are called apart."""
    one, other = module.body, module.shortcut
    first = batched(one)(x, state)[0] if is_stateful(one) else jax.vmap(one)(x)
    if other is None:
        return first + x
    return first + (batched(other)(x, state)[0] if is_stateful(other) else jax.vmap(other)(x))


BRANCHES = [(stateful, None), (stateful, plain), (plain, stateful), (stateful, stateful)]


@pytest.mark.parametrize(("body", "shortcut"), BRANCHES)
def test_a_residual_connection_passes_state_through_its_branches(
    body: Any, shortcut: Any, x64: None
):
    keys = jax.random.split(jax.random.key(0))
    make = eqx.nn.make_with_state(lambda: Residual(body(keys[0]), shortcut and shortcut(keys[1])))
    module, state = make()
    assert is_stateful(module)
    x = jnp.asarray(images())
    expected = both_by_hand(module, x, clone(state))
    y, after = batched(module)(x, clone(state))
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)
    before = jax.tree.leaves(state)
    assert not any(np.allclose(a, b) for a, b in zip(before, jax.tree.leaves(after), strict=True))


def clone(state: Any) -> Any:
    """State that is set becomes unusable: each call has its own."""
    return jax.tree.map(lambda leaf: leaf, state)


def test_a_residual_connection_without_state_has_none():
    module = Residual(plain(jax.random.key(0)))
    assert not is_stateful(module)
    assert module(jnp.ones((3, 2, 2))).shape == (3, 2, 2)


def test_members_of_an_ensemble_have_statistics_of_their_own(x64: None):
    make = eqx.nn.make_with_state(lambda: Ensemble(stateful, 2, key=jax.random.key(0)))
    ensemble, state = make()
    x = jnp.asarray(images())
    y, after = batched(ensemble)(x, clone(state))
    total = 0
    for index in range(2):
        member, own = jax.tree.map(
            lambda leaf, index=index: leaf[index] if eqx.is_array(leaf) else leaf,
            (ensemble.members, clone(state)),
        )
        one, own = batched(member)(x, own)
        total += one
        ours = jax.tree.map(lambda leaf, index=index: leaf[index], after)
        assert eqx.tree_equal(own, ours, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(y, total / np.sqrt(2), rtol=0, atol=1e-13)


def test_the_state_of_a_frozen_network_has_no_gradient():
    norm, state = norm_and_state()
    gradient: Any = eqx.filter_grad(lambda module: module(jnp.ones((3, 2, 2))).sum())(
        Frozen(norm, state)
    )
    assert all(not leaf.any() for leaf in jax.tree.leaves(gradient.state))
    assert gradient.module.weight.any()
