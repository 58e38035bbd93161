"""A network's forward function as a StableHLO module, its weights among the arguments."""

import re
from typing import Any

import equinox as eqx
import jax
from jax import export

from ceflow.compiler import Plan
from ceflow.compiler.nodes import Shape
from ceflow.seeding import Seed
from ceflow.stages.stage import number_size, precision


def written(plan: Plan) -> export.Exported:
    """`f(weights, x)`: the outputs (batch, outputs) of a batch of examples, at inference.

    `weights` are the arrays of `Plan.module` in the order of `jax.tree.leaves`, running statistics
    included; none is a constant of the module. The batch has any size. Arrays are of the document's
    precision.
    """
    with precision(plan):
        shapes, rest = _module(plan)
        weights, structure = jax.tree.flatten(shapes)

        def forward(weights: list[jax.Array], x: jax.Array) -> jax.Array:
            module: Any = eqx.combine(jax.tree.unflatten(structure, weights), rest)
            return jax.vmap(module)(x)

        (batch,) = export.symbolic_shape("batch")
        x = jax.ShapeDtypeStruct((batch, *_sides(plan.root.inputs)), plan.document.precision)
        return export.export(jax.jit(forward))(weights, x)


def weights_of(plan: Plan) -> dict[str, jax.ShapeDtypeStruct]:
    """The arrays of `Plan.module` by their places in it, in the order of `jax.tree.leaves`."""
    with precision(plan):
        leaves, _ = jax.tree.flatten_with_path(_module(plan)[0])
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def weight_notes(plan: Plan) -> list[str]:
    """What the arguments are, and their size."""
    weights = weights_of(plan).values()
    size = sum(weight.size for weight in weights) * number_size(plan) / 1e6
    x = ", ".join(map(str, ("batch", *_sides(plan.root.inputs))))
    return [
        f"{plan.root.parameters:,.0f} parameters",
        f"f(weights, x) of x: ({x}); the {len(weights)} weights are arguments, {size:.1f} MB of"
        f" {plan.document.precision}, and not in the file",
    ]


def stablehlo_text(plan: Plan, exported: export.Exported) -> str:
    """The module as text, behind a comment that names its arguments.

    Without source locations, which would be paths of this machine.
    """
    names = [f"weights[{i}] {place}" for i, place in enumerate(weights_of(plan))]
    arguments = zip([*names, "x"], exported.in_avals, strict=True)
    lines = exported.mlir_module().splitlines()
    text = [
        f"// f(weights, x) of the document {plan.document.name!r}, written by ceflow.",
        *(f"// {name}: {array}" for name, array in arguments),
        *(_LOCATION.sub("", line) for line in lines if not line.startswith("#loc")),
    ]
    return "\n".join(text) + "\n"


_LOCATION = re.compile(r' loc\((?:unknown|#loc\d*|"[^"]*"(?:\(#loc\d*\))?)\)')


def _module(plan: Plan) -> tuple[Any, Any]:
    """The shapes of the module's arrays, and the rest of it; no weight is drawn."""
    key = Seed(plan.document.seed).jax()
    module = eqx.filter_eval_shape(plan.module, key)
    return eqx.partition(module, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))


def _sides(shape: Shape) -> tuple[int, ...]:
    return tuple(map(int, shape)) if isinstance(shape, tuple) else (int(shape),)
