"""Steps of optimisers: against the published recursions, written out in NumPy."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.nets import BatchNorm, Dense, LayerNorm, Scale
from ceflow.training import Optimiser, Schedule
from ceflow.training.optimisers import decays

STEPS, RATE, DECAY, SIZE = 7, 0.1, 0.3, 4


def gradient(theta: np.ndarray) -> np.ndarray:
    """Of a function that is not quadratic."""
    return theta**3 - np.arange(1.0, SIZE + 1)


def taken(theta: np.ndarray, **options: Any) -> np.ndarray:
    """Steps of the optimiser under test."""
    optimiser = Optimiser(jnp.asarray(RATE), Schedule(STEPS), **options)
    now, memory = jnp.asarray(theta), optimiser.start(jnp.asarray(theta))
    for step in range(STEPS):
        slope = jnp.asarray(gradient(np.asarray(now)))
        now, memory = optimiser.moved(now, slope, memory, jnp.asarray(step))
    return np.asarray(now)


def sgd(theta: np.ndarray, momentum: float = 0.0, nesterov: bool = False, decay: float = 0.0):
    """As PyTorch documents `torch.optim.SGD`, with dampening 0."""
    velocity = np.zeros_like(theta)
    for _ in range(STEPS):
        slope = gradient(theta) + decay * theta
        velocity = momentum * velocity + slope
        theta = theta - RATE * (slope + momentum * velocity if nesterov else velocity)
    return theta


def adam(theta: np.ndarray, betas: Any = (0.9, 0.999), coupled: float = 0.0, apart: float = 0.0):
    """As PyTorch documents `torch.optim.Adam` and `AdamW`."""
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, STEPS + 1):
        slope = gradient(theta) + coupled * theta
        mean = betas[0] * mean + (1 - betas[0]) * slope
        square = betas[1] * square + (1 - betas[1]) * slope**2
        corrected = mean / (1 - betas[0] ** step), square / (1 - betas[1] ** step)
        shrunk = theta - RATE * apart * theta
        theta = shrunk - RATE * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return theta


RULES = {
    "sgd": ({}, sgd, {}),
    "decay": ({"weight_decay": DECAY}, sgd, {"decay": DECAY}),
    "momentum": (
        {"momentum": 0.9, "weight_decay": DECAY},
        sgd,
        {"momentum": 0.9, "decay": DECAY},
    ),
    "nesterov": (
        {"momentum": 0.9, "nesterov": True},
        sgd,
        {"momentum": 0.9, "nesterov": True},
    ),
    "adam": ({"kind": "adam", "weight_decay": DECAY}, adam, {"coupled": DECAY}),
    "adamw": (
        {"kind": "adamw", "weight_decay": DECAY, "betas": (0.8, 0.95)},
        adam,
        {"apart": DECAY, "betas": (0.8, 0.95)},
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_steps_are_those_of_the_formulas(name, x64):
    options, rule, known = RULES[name]
    theta = np.linspace(-1.0, 1.0, SIZE)
    np.testing.assert_allclose(taken(theta, **options), rule(theta, **known), rtol=1e-12)
    plain = "adam" if options.get("kind") == "adamw" else None
    if name != "sgd":  # each option changes something
        other = taken(theta, kind=plain or options.get("kind", "sgd"))
        if options != {"kind": "adam"}:
            assert np.abs(taken(theta, **options) - other).max() > 1e-3


def test_a_gradient_is_clipped_by_its_norm_over_all_parameters(x64):
    tree = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    for clip, factor in ((2.5, 0.5), (10.0, 1.0)):
        optimiser = Optimiser(jnp.asarray(1.0), Schedule(1), clip=clip)
        after, _ = optimiser.moved(tree, tree, optimiser.start(tree), jnp.asarray(0))
        np.testing.assert_allclose(after["a"], 3.0 - factor * 3.0, atol=1e-12)
        np.testing.assert_allclose(after["b"], 4.0 - factor * 4.0, atol=1e-12)


def test_weights_decay_and_biases_scales_and_norms_do_not():
    class Layers(eqx.Module):
        dense: Dense
        norm: BatchNorm
        layer_norm: LayerNorm
        scale: Scale
        own: list[jax.Array]

    def made(key):
        return Layers(
            Dense(2, 3, bias_variance=1.0, key=key),
            BatchNorm(3),
            LayerNorm(3),
            Scale(3),
            [jnp.ones((2, 2)), jnp.ones(2)],
        )

    layers, _ = eqx.nn.make_with_state(made)(jax.random.key(0))
    parameters = eqx.filter(layers, eqx.is_inexact_array)
    found = decays(parameters, "weights")
    assert (found.dense.weight, found.dense.bias) == (True, False)
    assert not any((found.norm.weight, found.norm.bias, found.scale.weight))
    assert not any((found.layer_norm.weight, found.layer_norm.bias))
    assert found.own == [True, False]
    assert all(jax.tree.leaves(decays(parameters, "all")))
    # of stacked members, the biases have two axes
    stacked = eqx.filter_vmap(made)(jax.random.split(jax.random.key(0), 4))
    members = decays(eqx.filter(stacked.dense, eqx.is_inexact_array), "weights")
    assert (members.weight, members.bias) == (True, False)
    optimiser = Optimiser(jnp.asarray(0.5), Schedule(1), weight_decay=1.0, decayed="weights")
    still = jax.tree.map(jnp.zeros_like, parameters)
    after, _ = optimiser.moved(parameters, still, optimiser.start(parameters), jnp.asarray(0))
    np.testing.assert_allclose(after.dense.weight, 0.5 * parameters.dense.weight)
    np.testing.assert_array_equal(after.dense.bias, parameters.dense.bias)


SCHEDULES = {
    "constant": (Schedule(4), [1, 1, 1, 1]),
    "warm-up": (Schedule(4, warmup=4), [0.25, 0.5, 0.75, 1]),
    "cosine": (Schedule(4, "cosine"), [(1 + np.cos(np.pi * t)) / 2 for t in (0, 0.25, 0.5, 0.75)]),
    "warm cosine": (Schedule(6, "cosine", warmup=2), [0.5, 1, 1, 0.8535533906, 0.5, 0.1464466094]),
    "drops": (Schedule(6, "steps", (2, 4), 0.1), [1, 1, 0.1, 0.1, 0.01, 0.01]),
    "warm drops": (Schedule(4, "steps", (1,), 0.1, warmup=2), [0.5, 0.1, 0.1, 0.1]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_learning_rate_follows_its_schedule(name, x64):
    schedule, expected = SCHEDULES[name]
    found = [float(schedule(jnp.asarray(step, jnp.uint32))) for step in range(len(expected))]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_every_step_has_the_rate_of_its_moment(x64):
    optimiser = Optimiser(jnp.asarray(2.0), Schedule(2, "steps", (1,), 0.5))
    theta, memory = jnp.ones(1), optimiser.start(jnp.ones(1))
    for step, expected in ((0, -1.0), (1, -2.0)):
        theta, memory = optimiser.moved(theta, jnp.ones(1), memory, jnp.asarray(step))
        np.testing.assert_allclose(theta, [expected])
