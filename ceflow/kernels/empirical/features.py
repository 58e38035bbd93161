"""Features of an example, from which the kernel is contracted: one forward and backward pass."""

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.empirical.evaluate import Evaluation
from ceflow.kernels.empirical.networks import Network
from ceflow.kernels.empirical.uses import Use, Where


class Features(NamedTuple):
    """Features of an example. Per weight: (h, delta) if it is used once in a product, otherwise its
    full gradient.
    """

    h: list[Float[Array, "*n batch contracted free"]]
    delta: list[Float[Array, "*n outputs batch out free"]]
    gradients: list[Float[Array, "*n outputs size"]]


def features_of(
    network: Network, uses: list[Use], formed: Collection[int]
) -> Callable[[Array], Features]:
    """Return the function from an example to its features.

    For leaves in `formed`, the gradient is formed from h and delta. For leaves without a use in
    `uses`, it comes from the backward pass.
    """
    wanted = {use.where: 1 - use.side for use in uses}
    wanted |= {scale.where: scale.side for use in uses for scale in use.scales}
    tapped = {use.leaf for use in uses}
    loose = {index: leaf for index, leaf in enumerate(network.leaves) if index not in tapped}
    taps = {use.where: jnp.zeros(use.layout.output, network.leaves[use.leaf].dtype) for use in uses}

    def features(x: Array) -> Features:
        def run(
            taps: dict[Where, Array], loose: dict[int, Array]
        ) -> tuple[Array, dict[Where, Array]]:
            leaves = [loose.get(index, leaf) for index, leaf in enumerate(network.leaves)]
            evaluation = Evaluation(taps, wanted)
            (output,) = evaluation(network.closed, [*leaves, x])
            return output, evaluation.handed

        output, pullback, handed = jax.vjp(run, taps, loose, has_aux=True)
        deltas, others = jax.vmap(pullback)(jnp.eye(output.size, dtype=output.dtype))
        collected = Features([], [], [_flat(other, network.dtype) for other in others.values()])
        for use in uses:
            # Products of these are summed in the kernel, and would overflow in a narrower type.
            h = use.layout.vectors(handed[use.where]).astype(network.dtype)
            h = h * _factor(use, handed)
            delta = jax.vmap(use.layout.gradients)(deltas[use.where]).astype(network.dtype)
            if use.leaf in formed:
                gradient = jnp.einsum("bip,abop->aboi", h, delta)
                collected.gradients.append(_flat(gradient, network.dtype))
            else:
                collected.h.append(h)
                collected.delta.append(delta)
        return collected

    return features


def _flat(gradient: Array, dtype: Any) -> Array:
    """Flatten a weight's gradients of all outputs to (outputs, size)."""
    return gradient.reshape(len(gradient), -1).astype(dtype)


def _factor(use: Use, handed: dict[Where, Array]) -> Array | float:
    """Multiply the scalars that scale the weight before its product."""
    return math.prod(handed[scale.where] ** scale.power for scale in use.scales)
