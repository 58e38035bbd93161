"""A network's forward function as a StableHLO module, its weights among the arguments or inside."""

import re
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
from jax import export
from jax.extend.mlir.dialects import stablehlo

from ceflow.compiler import Plan
from ceflow.compiler.nodes import Shape
from ceflow.seeding import Seed
from ceflow.spec import Fault, SpecError
from ceflow.stages.stage import precision


def written(plan: Plan, weights: Path | None = None) -> export.Exported:
    """Write `f(weights, x)`: the outputs (batch, outputs) of a batch of examples, at inference.

    `weights` are the arrays of `Plan.module` in the order of `jax.tree.leaves`, running statistics
    included; none is a constant of the module. With a file of weights it is `f(x)`, and they are
    inside. The batch has any size. Arrays are of the document's precision.
    """
    with precision(plan):
        shapes, rest = _module(plan)
        slots, structure = jax.tree.flatten(shapes)

        def forward(weights: list[jax.Array], x: jax.Array) -> jax.Array:
            module: Any = eqx.combine(jax.tree.unflatten(structure, weights), rest)
            return jax.vmap(module)(x)

        (batch,) = export.symbolic_shape("batch")
        x = jax.ShapeDtypeStruct((batch, *_sides(plan.root.inputs)), plan.document.precision)
        if weights is None:
            return export.export(jax.jit(forward))(slots, x)
        arrays = read_weights(plan, weights)
        return export.export(jax.jit(lambda x: forward(arrays, x)))(x)


def serialised(plan: Plan, exported: export.Exported) -> bytes:
    """Write JAX's own form of a module, with its gradient.

    Raises `ImportError` without flatbuffers."""
    with precision(plan):
        return bytes(exported.serialize(vjp_order=1))


def read_weights(plan: Plan, path: Path) -> list[jax.Array]:
    """Read the arrays that `equinox.tree_serialise_leaves` wrote of a `Plan.module`.

    Raises `SpecError` where the file holds anything else.
    """
    key = Seed(plan.document.seed).jax()
    slots = eqx.filter_eval_shape(plan.module, key)
    try:
        with path.open("rb") as file:
            module = eqx.tree_deserialise_leaves(file, slots)
            whole = not file.read(1)
    except (RuntimeError, ValueError, TypeError, EOFError):
        whole, module = False, None
    if not whole:
        precise = plan.document.precision
        message = f"{path} does not hold the weights of this network in {precise}"
        help = "write them with equinox.tree_serialise_leaves, of a module that Plan.module made"
        raise SpecError(Fault("CE302", message, help=help))
    return [leaf for leaf in jax.tree.leaves(module) if isinstance(leaf, jax.Array)]


def weights_of(plan: Plan) -> dict[str, jax.ShapeDtypeStruct]:
    """Name the arrays of `Plan.module` by their places in it, as `jax.tree.leaves` orders them."""
    with precision(plan):
        leaves, _ = jax.tree.flatten_with_path(_module(plan)[0])
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def notes(plan: Plan, exported: export.Exported, inside: bool) -> list[str]:
    """Say what is computed of what, the size of the weights, and the versions."""
    weights = weights_of(plan).values()
    size = sum(weight.size for weight in weights) * plan.itemsize / 1e6
    x = ", ".join(map(str, ("batch", *_sides(plan.root.inputs))))
    held = f"{size:.3g} MB of {plan.document.precision}"
    signature = (
        f"f(x) of x: ({x}); the {len(weights)} weights are in the file, {held}"
        if inside
        else f"f(weights, x) of x: ({x}); the {len(weights)} weights are arguments, {held}, and not"
        " in the file"
    )
    return [signature, versions(exported)]


def versions(exported: export.Exported) -> str:
    """Say who wrote a module, and who may not be able to read it."""
    return (
        f"written by jax {jax.__version__} for {' and '.join(exported.platforms)}, in calling"
        f" convention {exported.calling_convention_version} and StableHLO"
        f" {stablehlo.get_current_version()}; an older JAX may not read it"
    )


def stablehlo_text(plan: Plan, exported: export.Exported) -> str:
    """Write the module as text, behind a comment that says the versions and its arguments' names.

    Without source locations, which would be paths of this machine.
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
    """Give the shapes of the module's arrays, and the rest of it; no weight is drawn."""
    key = Seed(plan.document.seed).jax()
    module = eqx.filter_eval_shape(plan.module, key)
    return eqx.partition(module, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))


def _sides(shape: Shape) -> tuple[int, ...]:
    return tuple(map(int, shape)) if isinstance(shape, tuple) else (int(shape),)
