"""Ensembles by the thousand: their kernels, at the start and after gradient descent."""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ceflow.claims.budget import MULTIPLES
from ceflow.claims.trial import Trial
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import empirical_ntk
from ceflow.spec import Ensemble

PARTS = 5
"""In so many parts are the networks of one multiplicity drawn."""


def of_multiplicity(trial: Trial, multiplicity: int) -> Ensemble:
    """Take another number of the same members."""
    return trial.ensemble.model_copy(update={"multiplicity": multiplicity})


def in_parts(trial: Trial, index: int) -> Iterator[Int[Array, " k"]]:
    """Give the numbers of the networks, some at a time, the last few beyond `draws`.

    `index` says how many multiplicities are done."""
    count = -(-trial.draws // PARTS)
    for part in range(PARTS):
        yield part * count + jnp.arange(count)
        trial.observe(index * PARTS + part + 1, len(MULTIPLES) * PARTS)


def _drawn(model: Ensemble, key: Array, index: Array) -> Any:
    return lower(expand(model), jax.random.fold_in(key, index))


def _kernel(module: Any, x: Array) -> Float[Array, "n n"]:
    """Average the NTK over outputs."""
    outputs = jax.eval_shape(module, x[0]).shape[0]
    return empirical_ntk(module, x, trace=True) / outputs


@eqx.filter_jit
def start_kernels(
    model: Ensemble, key: Array, indices: Int[Array, " k"], x: Float[Array, "n inputs"]
) -> Float[Array, "k n n"]:
    """Compute kernels of networks as drawn, one after the other."""
    return jax.lax.map(lambda index: _kernel(_drawn(model, key, index), x), indices)


@eqx.filter_jit
def moved_kernels(
    model: Ensemble,
    key: Array,
    indices: Int[Array, " k"],
    x: Float[Array, "n inputs"],
    y: Float[Array, "n outputs"],
    rate: Float[Array, ""],
    steps: int,
) -> Float[Array, "k 2 n n"]:
    """Compute kernels before and after so many steps of descent.

    They descend on `L = 1/2 |F - y|^2`, a sum over examples."""

    def one(index: Array) -> Array:
        weights, rest = eqx.partition(_drawn(model, key, index), eqx.is_inexact_array)

        def loss(weights: Any) -> Array:
            return 0.5 * jnp.square(jax.vmap(eqx.combine(weights, rest))(x) - y).sum()

        def step(weights: Any, _: None) -> tuple[Any, None]:
            slopes = jax.grad(loss)(weights)
            return jax.tree.map(lambda w, s: w - rate * s, weights, slopes), None

        last = jax.lax.scan(step, weights, length=steps)[0]
        return jnp.stack([_kernel(eqx.combine(each, rest), x) for each in (weights, last)])

    return jax.lax.map(one, indices)
