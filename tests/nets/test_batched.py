"""A module applied to a whole batch against the same module mapped over its examples."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow import nets
from ceflow.nets import BATCH, of_batch
from ceflow.nets.batched import batched


def network(key: Any) -> eqx.nn.Sequential:
    """Every layer that has a rule of its own, and some that have none."""
    first, second, third, fourth = jax.random.split(key, 4)
    body = eqx.nn.Sequential(
        [
            nets.Convolution(6, 4, kernel=3, groups=2, bias_variance=0.3, key=first),
            nets.BatchNorm(4),
            eqx.nn.Lambda(jnp.tanh),
            eqx.nn.Dropout(0.3),
            nets.Convolution(4, 6, kernel=1, key=second),
        ]
    )

    def member(key: Any) -> eqx.nn.Sequential:
        circular = nets.Convolution(6, 3, kernel=3, stride=2, circular=True, key=key)
        return eqx.nn.Sequential([circular, nets.BatchNorm(3), eqx.nn.Dropout(0.3)])

    return eqx.nn.Sequential(
        [
            nets.BatchNorm(6),
            nets.Residual(body, nets.Scale(6, initial=0.5)),
            nets.Ensemble(member, 2, key=third),
            eqx.nn.Lambda(jnp.ravel),
            nets.Dense(48, 2, key=fourth),
        ]
    )


def mapped(module: Any, x: Any, state: Any, keys: Any) -> Any:
    each = lambda x, state, key: module(x, state, key=key)  # noqa: E731
    axes = (0, None, None if keys is None else 0)
    return jax.vmap(each, axes, (0, None), axis_name=BATCH)(x, state, keys)


@pytest.mark.parametrize(
    ("drops", "twice"),
    [
        (True, False),
        *(pytest.param(drops, True, marks=pytest.mark.slow) for drops in (True, False)),
    ],
)
def test_outputs_state_and_derivatives_are_those_of_the_examples(
    drops: bool, twice: bool, x64: None
):
    module, state = eqx.nn.make_with_state(network)(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 5) if drops else None
    module = module if drops else eqx.nn.inference_mode(module)
    parameters, rest = eqx.partition(module, eqx.is_inexact_array)
    x = jax.random.normal(jax.random.key(2), (5, 6, 8, 8))

    def derivatives(apply: Any) -> Any:
        def loss(parameters: Any, state: Any) -> Any:
            y, after = apply(eqx.combine(parameters, rest), x, state, keys)
            return jnp.sin(y).sum(), (y, after)

        def of(parameters: Any, state: Any) -> Any:
            slope = lambda at: jax.grad(loss, has_aux=True)(at, fresh(state))  # noqa: E731
            if not twice:
                return slope(parameters)
            return jax.jvp(slope, (parameters,), (jax.tree.map(jnp.cos, parameters),))

        return jax.jit(of)(parameters, state)

    found, expected = derivatives(of_batch), derivatives(mapped)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)  # sums in another order


def fresh(state: Any) -> Any:
    """A copy, as Equinox lets a state be read once."""
    return jax.tree.map(lambda leaf: leaf, state)


def test_a_frozen_network_is_applied_without_its_state():
    norm, state = eqx.nn.make_with_state(nets.BatchNorm)(3)
    frozen = nets.Frozen(norm, state)
    x = jnp.arange(24.0).reshape(3, 2, 2, 2)
    y, after = batched(frozen, x, None)
    assert after is None
    np.testing.assert_allclose(y, jax.vmap(frozen, -1, -1)(x), rtol=1e-6)


def test_one_number_a_channel_has_no_variance():
    norm, state = eqx.nn.make_with_state(nets.BatchNorm)(3)
    with pytest.raises(ValueError, match="one number per channel"):
        batched(norm, jnp.ones((3, 1, 1, 1)), state)
