"""Exported Python files as modules, with weights from elsewhere."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ceflow.compiler import Plan
from ceflow.exports import equinox_file

CLASSES = {
    "mlp": "Mlp",
    "ensemble": "Ensemble",
    "block": "Block",
    "resnext": "Resnext",
    "bottleneck": "Bottleneck",
}


def network_class(plan: Plan) -> Any:
    """The class that the exported file defines."""
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(equinox_file(plan), "exported.py", "exec"), names)
    return names[CLASSES[plan.model.type]]


def drawn(plan: Plan, seed: int = 0) -> tuple[Any, Any]:
    """The exported network and its state, an empty one where it has none."""
    key = jax.random.key(seed, impl="unsafe_rbg")  # which takes a fraction of the time to compile
    return eqx.filter_jit(eqx.nn.make_with_state(network_class(plan)))(key=key)


def parameters(module: Any) -> list[jax.Array]:
    """What a module is trained in: its arrays, without those of a state."""
    return jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))


def filled(module: Any, arrays: Sequence[Any]) -> Any:
    """A module with other parameters, in order; shapes may differ by axes of length 1."""
    slots, rest = eqx.partition(module, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(slots)
    pairs = zip(leaves, arrays, strict=True)
    new = [jnp.asarray(array, leaf.dtype).reshape(leaf.shape) for leaf, array in pairs]
    return eqx.combine(jax.tree.unflatten(structure, new), rest)


def batched(network: Any, state: Any, x: jax.Array, *, inference: bool) -> tuple[jax.Array, Any]:
    """A network with state on a batch, and the state after it."""
    network = eqx.nn.inference_mode(network, inference)
    together = jax.vmap(network, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    return jax.jit(lambda x, state: together(x, state))(x, state)
