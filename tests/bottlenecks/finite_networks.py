"""A finite network in training: what the infinite one is the limit of, and is held against."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ceflow.bottlenecks import Rates, WideNetwork
from ceflow.dynamics import Loss, SquaredError


class FiniteHistory(NamedTuple):
    """`F`, `g` of all inputs before each step and after the last, and the network then."""

    outputs: Float[Array, "steps m outputs"]
    points: Float[Array, "steps m d"]
    network: WideNetwork


def descend(
    network: WideNetwork,
    inputs: Float[Array, "m inputs"],
    targets: Float[Array, "n outputs"],
    rates: Rates,
    batches: Int[Array, "steps b"],
    loss: Loss | None = None,
) -> FiniteHistory:
    """Plain gradient descent on the weights, by batches of the first n inputs.

    It starts from the very functions from which a `Simulation` of the same `initial` network does.
    Memory is a few times m n numbers and the weights. The loss is `SquaredError("mean")`
    unless another is given.
    """
    rates = Rates(*(jnp.asarray(rate, inputs.dtype) for rate in rates))
    return _descend(network, inputs, targets, rates, batches, loss or SquaredError("mean"))


@eqx.filter_jit
def _descend(
    network: WideNetwork, inputs: Array, targets: Array, rates: Rates, batches: Array, loss: Loss
) -> FiniteHistory:
    weights, rest = eqx.partition(network, eqx.is_inexact_array)

    def functions(weights: Any) -> tuple[Array, Array]:
        whole = eqx.combine(weights, rest)
        points = jax.vmap(whole.encoder)(inputs)
        return whole.decoder(points), points

    def batch_loss(weights: Any, batch: Array) -> Array:
        whole = eqx.combine(weights, rest)
        outputs = whole.decoder(jax.vmap(whole.encoder)(inputs[batch]))
        return loss(outputs, targets[batch])

    def step(weights: Any, batch: Array) -> tuple[Any, tuple[Array, Array]]:
        change = jax.grad(batch_loss)(weights, batch)
        return _moved(weights, change, rates), functions(weights)

    weights, seen = jax.lax.scan(step, weights, batches)
    outputs, points = (
        jnp.concatenate([each, last[None]])
        for each, last in zip(seen, functions(weights), strict=True)
    )
    return FiniteHistory(outputs, points, eqx.combine(weights, rest))


def _moved(weights: Any, change: Any, rates: Rates) -> Any:
    """Encoder and decoder, each at its own rate."""

    def by(rate: Array) -> Any:
        return lambda weight, slope: weight - rate * slope

    parts = (jax.tree.map(by(rates.encoder), weights.encoder, change.encoder),)
    parts += (jax.tree.map(by(rates.decoder), weights.decoder, change.decoder),)
    return eqx.tree_at(lambda whole: (whole.encoder, whole.decoder), weights, parts)
