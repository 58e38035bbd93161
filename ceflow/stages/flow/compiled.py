"""What a flow stage compiles. Loads JAX: imported only when a stage runs."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from ceflow.compiler.programs import program
from ceflow.dynamics import Linearised, Loss, ParameterFlow, ntk_derivatives
from ceflow.kernels import empirical_ntk


class LossAbove(eqx.Module):
    """`log(L/level)` of the training loss, to stop at 0."""

    outputs: Callable[[PyTree], Float[Array, "n outputs"]]
    targets: Float[Array, "n outputs"]
    loss: Loss
    level: float = eqx.field(static=True)

    def __call__(self, t: Array, state: PyTree) -> Float[Array, ""]:
        return jnp.log(self.loss(self.outputs(state), self.targets) / self.level)


def _stacked(parameters: PyTree, several: bool) -> PyTree:
    return parameters if several else jax.tree.map(lambda leaf: leaf[None], parameters)


@program
def network_outputs(
    flow: ParameterFlow, parameters: PyTree, x: Float[ArrayLike, "n ..."], several: bool
) -> Float[Array, "replicas n outputs"]:
    """Of `several` networks, stacked, or of one."""
    stacked = _stacked(parameters, several)
    return jax.vmap(lambda each: jax.vmap(flow.network(each))(x))(stacked)


@program
def network_kernels(
    flow: ParameterFlow, parameters: PyTree, points: Float[Array, "n ..."], several: bool
) -> Float[Array, "replicas n n"]:
    """The mean over outputs a of K^aa, of networks one after the other."""

    def one(each: PyTree) -> Array:
        return empirical_ntk(flow.network(each), points, trace=True) / flow.targets.shape[1]

    return jax.lax.map(one, _stacked(parameters, several))


@eqx.filter_jit
def entry_derivatives(
    flow: ParameterFlow,
    parameters: PyTree,
    points: Float[Array, "n ..."],
    pairs: tuple[Any, Any],
    several: bool,
) -> Float[Array, "replicas 3 pairs"]:
    """The first three of entries of that kernel in time, at the start."""

    def one(each: PyTree) -> Array:
        found = ntk_derivatives(flow, each, points, 3, trace=True)
        return found[:, *pairs] / flow.targets.shape[1]

    return jax.lax.map(one, _stacked(parameters, several))


@program
def linearise(module: eqx.Module, x: Float[ArrayLike, "n ..."]) -> Linearised:
    """Compiled once for networks of the same shapes, and so are the flows of what it gives."""
    return Linearised(module, jnp.asarray(x))


@program
def linear_outputs(model: Linearised, delta: PyTree) -> Float[Array, "n outputs"]:
    """Of a linearised network."""
    return model(delta)


@program
def outputs(module: Any, x: Float[ArrayLike, "n ..."]) -> Float[Array, "n outputs"]:
    """Of one network."""
    return jax.vmap(module)(x)


@jax.jit
def folded(key: Array, indices: Int[Array, " k"]) -> Array:
    """The keys of replicas."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices)
