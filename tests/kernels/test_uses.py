"""Which weights are found in a traced module, and how their gradients are shaped."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from ceflow.kernels.empirical.networks import Network, split, trace
from ceflow.nets import Dense, Ensemble


def network_of(module: Any, x: jax.Array) -> Network:
    return trace(*split(module, None), None, x)


FOUND = {
    "product": (lambda w, x: w @ x, (3, 4), (4,), (1, 3, 4, 1)),
    "transposed": (lambda w, x: w.T @ x, (4, 3), (4,), (1, 3, 4, 1)),
    "scaled": (lambda w, x: (0.5 * w) @ x, (3, 4), (4,), (1, 3, 4, 1)),
    "divided": (lambda w, x: (w / jnp.sqrt(4.0)) @ x, (3, 4), (4,), (1, 3, 4, 1)),
    "reshaped": (lambda w, x: w.reshape(3, 4) @ x, (12,), (4,), (1, 3, 4, 1)),
    "tokens": (lambda w, x: jnp.tanh(x @ w).sum(0), (4, 3), (5, 4), (1, 3, 4, 5)),
}


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str):
    call, weight, shape, sizes = FOUND[name]
    (use,) = network_of(eqx.Partial(call, jnp.ones(weight)), jnp.ones(shape)).uses
    assert tuple(use.layout.sizes) == sizes


NOT_FOUND = {
    "twice": (lambda w, x: w @ jnp.tanh(w @ x), (4, 4)),
    "divides": (lambda w, x: (1.0 / w) @ x, (3, 4)),
    "squared": (lambda w, x: (w * w) @ x, (3, 4)),
    "scaled by a vector": (lambda w, x: (w * x) @ x, (3, 4)),
    "repeated": (lambda w, x: jnp.broadcast_to(w, (3, 4)) @ x, (4,)),
    "by itself": (lambda w, x: (w / w.sum()) @ x, (3, 4)),
    "returned": (lambda w, x: w, (3, 4)),
}


@pytest.mark.parametrize("name", NOT_FOUND)
def test_not_found(name: str):
    call, weight = NOT_FOUND[name]
    assert not network_of(eqx.Partial(call, jnp.ones(weight)), jnp.ones(4)).uses


def test_groups_and_members_are_batches():
    key = jax.random.key(0)
    grouped = eqx.nn.Conv2d(4, 6, 3, groups=2, key=key)
    (use,) = network_of(grouped, jnp.ones((4, 5, 6))).uses
    assert tuple(use.layout.sizes) == (2, 3, 18, 12)
    # the one input meets all members' weights as one matrix
    ensemble = Ensemble(lambda key: Dense(4, 3, key=key), 5, key=key)
    (use,) = network_of(ensemble, jnp.ones(4)).uses
    assert tuple(use.layout.sizes) == (1, 15, 4, 1)
