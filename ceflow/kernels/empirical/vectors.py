"""NTK-vector products: `J (J^T v)` by a backward and a forward-mode pass, J never formed."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.empirical.convolutions import lowered
from ceflow.kernels.empirical.networks import Network


def products(
    network: Network, x1: Array, x2: Array, trace: bool, together: int
) -> Float[Array, "n1 n2 ..."]:
    """Compute the kernel by rows, `e_a^T J(x) J(x')^T`, `together` outputs a of one x at once."""
    units = jnp.eye(network.outputs, dtype=network.dtype)
    units = units.reshape(-1, together, network.outputs)

    def of_output(x: Array, unit: Array) -> Array:
        gradient = network.pullback(x, unit)
        tangents = jax.vmap(lambda other: network.pushforward(other, gradient))(x2)
        return tangents @ unit if trace else tangents

    of_outputs = lowered(jax.vmap(of_output, (None, 0)))

    def row(x: Array) -> Array:
        entries = jax.lax.map(lambda units: of_outputs(x, units), units)
        entries = entries.reshape(network.outputs, *entries.shape[2:])
        return entries.sum(axis=0) if trace else jnp.swapaxes(entries, 0, 1)

    return jax.lax.map(row, x1)
