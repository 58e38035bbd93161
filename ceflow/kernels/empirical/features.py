"""The features of one example that the kernel is contracted from: one pass forward, one back."""

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
    """Features: of each weight the operands h and the gradients delta, or else its own gradient."""

    h: list[Float[Array, "*n batch contracted free"]]
    delta: list[Float[Array, "*n outputs batch out free"]]
    gradients: list[Float[Array, "*n outputs size"]]


def features_of(
    network: Network, uses: list[Use], formed: Collection[int]
) -> Callable[[Array], Features]:
    """Make the function from an example to its features.

    Gradients of the leaves in `formed` are put together from h and delta, those of the leaves
    that no use is given for come from the backward pass.
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
            # The kernel sums products of these: in a narrower type they would overflow or wrap.
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
    """Flatten those of every output, all in one."""
    return gradient.reshape(len(gradient), -1).astype(dtype)


def _factor(use: Use, handed: dict[Where, Array]) -> Array | float:
    """Multiply the scalars that multiplied the weight on its way."""
    return math.prod(handed[scale.where] ** scale.power for scale in use.scales)
