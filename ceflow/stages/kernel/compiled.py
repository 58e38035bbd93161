"""The JAX functions of a kernel stage: imported only when a stage runs.

They depend on their arguments alone, so that runs with the same shapes share compiled programs.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ceflow import kernels
from ceflow.compiler.programs import program
from ceflow.kernels.empirical.nngp import Outputs, outer_products
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


@program
def nngp(module: Any, x: ArrayLike, *, outputs: Outputs) -> Float[Array, "n n ..."]:
    """Compute a network's products of outputs."""
    return kernels.empirical_nngp(module, x, outputs=outputs)


@program
def products(f1: ArrayLike, f2: ArrayLike) -> Float[Array, "n1 n2"]:
    """Compute the NNGP of a network from its outputs."""
    return outer_products(jnp.asarray(f1), jnp.asarray(f2))


@eqx.filter_jit
def conditional_ntk(
    member: Mlp, count: int, outputs: int, key: Array, x: Array
) -> Float[Array, "n n"]:
    """Compute the mean over outputs of an ensemble's NTK.

    Its `count` members are drawn one after the other, so that only one member's matrices are in
    memory.
    """
    drawn = lambda key: kernels.conditional_ntk(member, x, outputs=outputs, key=key)  # noqa: E731
    return _total(drawn, key, count) / (count * outputs)


@eqx.filter_jit
def conditional_nngp(
    member: Mlp, count: int, outputs: int, key: Array, x: Array
) -> Float[Array, "n n"]:
    """Compute the NNGP of an ensemble, whose `count` members are drawn one after the other."""
    drawn = lambda key: kernels.conditional_outputs(member, x, outputs=outputs, key=key)  # noqa: E731
    return outer_products(_total(drawn, key, count) / math.sqrt(count))


def _total(drawn: Callable[[Array], Array], key: Array, count: int) -> Array:
    """Add `count` draws, one after the other."""

    def add(total: Array, key: Array) -> tuple[Array, None]:
        return total + drawn(key), None

    shape = jax.eval_shape(drawn, key)
    zeros = jnp.zeros(shape.shape, shape.dtype)
    return jax.lax.scan(add, zeros, jax.random.split(key, count))[0]
