"""Export of a network's forward function as a StableHLO module, with weights as arguments or
constants.
"""

import re
from typing import Any

import equinox as eqx
import jax
from jax import export
from jax.extend.mlir.dialects import stablehlo

from ceflow.compiler import Plan
from ceflow.exports.equinox import sides
from ceflow.exports.given import Weights
from ceflow.exports.weights import read_module
from ceflow.seeding import Seed
from ceflow.stages.stage import precision


def written(plan: Plan, weights: Weights | None = None) -> export.Exported:
    """Export `f(weights, x)`: the outputs (batch, outputs) of a batch of examples, at inference.

    `weights` are the arrays of `Plan.module` in the order of `jax.tree.leaves`, running statistics
    included; none is a constant of the module. With a file of weights the function is `f(x)`, and
    they are constants. The batch size is free. Arrays have the document's precision.
    """
    with precision(plan):
        shapes, rest = _module(plan)
        slots, structure = jax.tree.flatten(shapes)

        def forward(weights: list[jax.Array], x: jax.Array) -> jax.Array:
            module: Any = eqx.combine(jax.tree.unflatten(structure, weights), rest)
            return jax.vmap(module)(x)

        (batch,) = export.symbolic_shape("batch")
        x = jax.ShapeDtypeStruct((batch, *sides(plan.root.inputs)), plan.document.precision)
        if weights is None:
            return export.export(jax.jit(forward))(slots, x)
        leaves = jax.tree.leaves(read_module(plan, weights))
        arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
        return export.export(jax.jit(lambda x: forward(arrays, x)))(x)


def serialised(plan: Plan, exported: export.Exported) -> bytes:
    """Return JAX's serialised form of a module, with its gradient.

    Raises `ImportError` without flatbuffers.
    """
    with precision(plan):
        return bytes(exported.serialize(vjp_order=1))


def weights_of(plan: Plan) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the arrays of `Plan.module` by their names in it, in the order of
    `jax.tree.leaves`.
    """
    with precision(plan):
        leaves, _ = jax.tree.flatten_with_path(_module(plan)[0])
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def notes(plan: Plan, exported: export.Exported, inside: bool) -> list[str]:
    """Describe the function and its arguments, the size of the weights, and the versions."""
    weights = weights_of(plan).values()
    size = sum(weight.size for weight in weights) * plan.itemsize / 1e6
    x = ", ".join(map(str, ("batch", *sides(plan.root.inputs))))
    held = f"{size:.3g} MB of {plan.document.precision}"
    signature = (
        f"f(x) of x: ({x}); the {len(weights)} arrays of weights are in the file, {held}"
        if inside
        else f"f(weights, x) of x: ({x}); the {len(weights)} arrays of weights are arguments,"
        f" {held}, and not in the file"
    )
    return [signature, versions(exported)]


def versions(exported: export.Exported) -> str:
    """Say which version wrote a module, and which versions may not be able to read it."""
    return (
        f"written by jax {jax.__version__} for {' and '.join(exported.platforms)}, in calling"
        f" convention {exported.calling_convention_version} and StableHLO"
        f" {stablehlo.get_current_version()}; an older JAX may not read it"
    )


def stablehlo_text(plan: Plan, exported: export.Exported) -> str:
    """Write the module as text, headed by a comment with versions and argument names.

    Source locations are stripped, since they are paths of this machine.
    """
    names = [f"weights[{i}] {place}" for i, place in enumerate(weights_of(plan))]
    inside = len(exported.in_avals) == 1
    arguments = zip([*([] if inside else names), "x"], exported.in_avals, strict=True)
    lines = exported.mlir_module().splitlines()
    text = [
        f"// {'f(x)' if inside else 'f(weights, x)'} of the document {plan.document.name!r},"
        " written by ceflow.",
        f"// {versions(exported)}",
        *(f"// {name}: {array}" for name, array in arguments),
        *(f"// returns: {array}" for array in exported.out_avals),
        *(_LOCATION.sub("", line) for line in lines if not line.startswith("#loc")),
    ]
    return "\n".join(text) + "\n"


_LOCATION = re.compile(r' loc\((?:unknown|#loc\d*|"[^"]*"(?:\(#loc\d*\))?)\)')


def _module(plan: Plan) -> tuple[Any, Any]:
    """Return the shapes of the module's arrays, and the rest of it; no weights are drawn."""
    key = Seed(plan.document.seed).jax()
    module = eqx.filter_eval_shape(plan.module, key)
    return eqx.partition(module, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
