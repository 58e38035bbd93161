"""StableHLO modules: read back and called they compute what the plan's module does."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from numpy.testing import assert_allclose

from ceflow.compiler import Plan, compile
from ceflow.exports import export
from ceflow.exports.stablehlo import weights_of
from ceflow.spec import Block, Bottleneck, Document, Ensemble, Mlp, Model, Resnext

MODELS: dict[str, Model] = {
    "mlp": Mlp(widths=[7, 5], inputs=4, outputs=3, activation="erf", bias_variance=0.2),
    "ensemble": Ensemble(multiplicity=3, member=Mlp(widths=[5, 6], inputs=4, outputs=2)),
    "bottleneck": Bottleneck(
        size=2, encoder=Mlp(widths=[7], inputs=4), decoder=Mlp(widths=[5], outputs=3)
    ),
    "block": Block(channels=6, widths=[3, 4], cardinality=2, projection=True),
    "resnext": Resnext(blocks=[1, 1], cardinality=2, base_width=4, inputs=[3, 8, 8]),
}
LARGE = Resnext(stem="imagenet", blocks=[3, 4, 6, 3], base_width=64)


def plan_of(model: Model, **fields: Any) -> Plan:
    return compile(Document(name="fig3", model=model, **fields))


def shape_of(plan: Plan) -> tuple[int, ...]:
    shape = plan.root.inputs
    return tuple(map(int, shape if isinstance(shape, tuple) else (shape,)))


def pair(name: str, precision: str, batch: int) -> tuple[jax.Array, jax.Array]:
    """What the module that is read back computes, and what the plan's does."""
    plan = plan_of(MODELS[name], precision=precision)
    content = export(plan, "stablehlo", ".jax").content
    assert isinstance(content, bytes)
    with jax.enable_x64(precision == "float64"):
        # such a key takes a fraction of the time to compile
        module: Any = plan.module(jax.random.key(1, impl="unsafe_rbg"))
        weights = [leaf for leaf in jax.tree.leaves(module) if isinstance(leaf, jax.Array)]
        x = jax.random.normal(jax.random.key(2), (batch, *shape_of(plan)))
        call = jax.export.deserialize(bytearray(content)).call
        return call(weights, x), jax.jit(jax.vmap(module))(x)


@pytest.mark.parametrize(
    ("name", "precision", "batch"),
    [("mlp", "float64", 1), *((name, "float64", 5) for name in MODELS), ("mlp", "float32", 3)],
)
def test_a_module_read_back_computes_the_same(name, precision, batch):
    y, expected = pair(name, precision, batch)
    assert y.dtype == precision
    # a few roundings of sums of at most 400 terms, in each of at most 9 layers
    epsilon = float(500 * jnp.finfo(y.dtype).eps)
    assert_allclose(y, expected, rtol=epsilon, atol=epsilon)


@pytest.mark.parametrize("name", MODELS)
def test_the_text_is_a_module_and_names_its_arguments(name):
    plan = plan_of(MODELS[name])
    content = export(plan, "stablehlo", ".mlir").content
    assert isinstance(content, str)
    weights = weights_of(plan)
    head = [line for line in content.splitlines() if line.startswith("//")]
    assert len(head) == len(weights) + 2
    places = [line.split(maxsplit=2)[2].rsplit(": ")[0] for line in head[1:-1]]
    assert places == list(weights)
    assert head[-1] == f"// x: float64[batch,{','.join(map(str, shape_of(plan)))}]"
    assert "func.func public @main" in content
    assert "loc(" not in content
    parsed(content)


def parsed(text: str) -> None:
    """Raises where MLIR cannot read the text."""
    from jax._src.interpreters.mlir import make_ir_context
    from jaxlib.mlir import ir

    with make_ir_context():
        assert ir.Module.parse(text).operation.verify()


def test_the_text_is_the_same_each_time():
    plan = plan_of(MODELS["resnext"])
    assert export(plan, "stablehlo").content == export(plan, "stablehlo", ".mlir").content


def test_weights_are_those_of_the_module_in_order():
    plan = plan_of(MODELS["resnext"], precision="float32")
    arrays = jax.tree.leaves(plan.module(jax.random.key(0, impl="unsafe_rbg")))
    found = [(leaf.shape, leaf.dtype) for leaf in arrays if isinstance(leaf, jax.Array)]
    assert [(leaf.shape, leaf.dtype) for leaf in weights_of(plan).values()] == found


def test_weights_are_not_in_the_file_and_their_size_is_said():
    made = export(plan_of(LARGE, precision="float32"), "stablehlo", ".jax")
    assert len(made.content) < 300_000
    count, arguments = made.notes
    assert count == "25,557,032 parameters"
    assert "x: (batch, 3, 224, 224)" in arguments
    # and the running means and variances of 53120/2 channels, which are no parameters
    assert "102.4 MB of float32, and not in the file" in arguments
