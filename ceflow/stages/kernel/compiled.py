"""The JAX functions of a kernel stage: imported only when a stage runs.

They depend on their arguments alone, so that runs with the same shapes share compiled programs.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ceflow import kernels
from ceflow.compiler.programs import program
from ceflow.spec import Mlp


@program
def kernel(
    module: Any, x1: ArrayLike, x2: ArrayLike | None = None, *, outputs: int | None = None
) -> Float[Array, "n m ..."]:
    """Compute a network's kernel; with `outputs` its trace over outputs, divided by their
    number.
    """
    ntk = kernels.empirical_ntk(module, x1, x2, trace=outputs is not None)
    return ntk if outputs is None else ntk / outputs


@eqx.filter_jit
def conditional_mean(
    member: Mlp, count: int, outputs: int, key: Array, x: Array
) -> Float[Array, "n n"]:
    """Average over members, drawn one after the other, so that only one member's matrices are in
    memory.
    """

    def add(total: Array, key: Array) -> tuple[Array, None]:
        return total + kernels.conditional_ntk(member, x, outputs=outputs, key=key), None

    keys = jax.random.split(key, count)
    total, _ = jax.lax.scan(add, jnp.zeros((len(x), len(x)), x.dtype), keys)
    return total / (len(keys) * outputs)
