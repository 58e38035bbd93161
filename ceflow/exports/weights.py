"""Weights from a file, as the arrays of a plan's module and of the class of an Equinox file.

Loads JAX.
"""

import io
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ceflow.compiler import Plan
from ceflow.exports.given import Weights
from ceflow.nets import BatchNorm
from ceflow.seeding import Seed
from ceflow.spec import Fault, SpecError
from ceflow.stages.stage import precision

COUNTED = 2**20
"""Number of steps that an exported normalisation has counted: after so many Equinox no longer
corrects its running statistics."""


def read_module(plan: Plan, weights: Weights) -> Any:
    """Read a module of the plan, as `Plan.module` makes it, with the weights of a file. If all
    networks of the file are meant, their arrays have an axis for them before the others.

    Raises `SpecError` if the file holds anything else.
    """
    with precision(plan):
        slots = eqx.filter_eval_shape(plan.module, Seed(plan.document.seed).jax())
        if weights.replicas > 1:
            slots = jax.tree.map(lambda leaf: _stacked(leaf, weights.replicas), slots)
        try:
            with weights.path.open("rb") as file:
                module = eqx.tree_deserialise_leaves(file, slots)
                whole = not file.read(1)
        except (RuntimeError, ValueError, TypeError, EOFError):
            whole, module = False, None
    if not whole:
        precise = plan.document.precision
        message = f"{weights.path} does not hold the weights of this network in {precise}"
        help = "write them with equinox.tree_serialise_leaves, of a module that Plan.module made"
        raise SpecError(Fault("CE302", message, help=help))
    every, chosen = weights.replicas > 1, weights.replica
    if every == (chosen is None):
        return module
    arrays, rest = eqx.partition(module, eqx.is_array)
    arrays = jax.tree.map(lambda leaf: leaf[chosen if every else None], arrays)
    return eqx.combine(arrays, rest)


def _stacked(leaf: Any, count: int) -> Any:
    if not isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    return jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype)


def parts(module: Any, *kinds: type) -> list[Any]:
    """Return the parts of a module that are of some kinds, in the order of `jax.tree.leaves`."""
    found = jax.tree.leaves(module, is_leaf=lambda part: isinstance(part, kinds))
    return [part for part in found if isinstance(part, kinds)]


def file_weights(plan: Plan, module: Any, text: str) -> bytes:
    """Write the arrays of a module of the plan for the class in `text`, its Equinox file, as
    `equinox.tree_serialise_leaves` does: those of the network, then those of its state if it has
    one.
    """
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(text, "the exported file", "exec"), names)
    make = eqx.nn.make_with_state(names[plan.model.type.capitalize()])
    with precision(plan):
        shapes = eqx.filter_eval_shape(make, key=Seed(plan.document.seed).jax())
        network, state = jax.tree.map(_zeros, shapes)
        norms = parts(module, BatchNorm)
        weights = jax.tree.leaves(eqx.filter(getattr(module, "module", module), eqx.is_array))
        network = _filled(network, weights)
        for theirs, ours in zip(parts(network, eqx.nn.BatchNorm), norms, strict=True):
            counter = jnp.full_like(state.get(theirs.batch_counter), COUNTED)
            state = state.set(theirs.batch_counter, counter)
            state = state.set(theirs.batch_state_index, module.state.get(ours.statistics))
        file = io.BytesIO()
        eqx.tree_serialise_leaves(file, (network, state) if norms else network)
    return file.getvalue()


def _zeros(leaf: Any) -> Any:
    return jnp.zeros(leaf.shape, leaf.dtype) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf


def _filled(network: Any, arrays: Sequence[jax.Array]) -> Any:
    """Replace the arrays of a network, in order; shapes may differ by axes of length 1."""
    slots, rest = eqx.partition(network, eqx.is_array)
    leaves, structure = jax.tree.flatten(slots)
    new = [each.reshape(leaf.shape) for leaf, each in zip(leaves, arrays, strict=True)]
    return eqx.combine(jax.tree.unflatten(structure, new), rest)
