"""StableHLO modules: read back and called they compute what the plan's module does."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from numpy.testing import assert_allclose

from ceflow.compiler import Plan, compile
from ceflow.exports import Artefact, Weights, export
from ceflow.exports.stablehlo import weights_of
from ceflow.spec import Block, Bottleneck, Document, Ensemble, Mlp, Model, Resnext, SpecError

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


@pytest.mark.parametrize(
    "name",
    ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS if name != "mlp")],
)
def test_a_module_read_back_has_its_gradient(name, x64):
    plan = plan_of(MODELS[name])
    module: Any = plan.module(jax.random.key(1, impl="unsafe_rbg"))
    x = jax.random.normal(jax.random.key(2), (3, *shape_of(plan)))
    call = read_back(export(plan, "stablehlo", ".jax"))
    weights, structure = jax.tree.flatten(eqx.filter(module, eqx.is_array))
    rest = eqx.filter(module, eqx.is_array, inverse=True)
    ours = jax.grad(lambda w, x: (call(w, x) ** 2).sum(), (0, 1))(weights, x)

    @jax.jit
    def loss(weights, x):
        network = eqx.combine(jax.tree.unflatten(structure, weights), rest)
        return (jax.vmap(network)(x) ** 2).sum()

    theirs = jax.grad(loss, (0, 1))(weights, x)
    # sums in another order, through at most 9 layers and back
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert_allclose(one, other, rtol=1e-10, atol=1e-10 * float(abs(other).max()))


@pytest.mark.parametrize("name", ["mlp", pytest.param("resnext", marks=pytest.mark.slow)])
def test_weights_that_are_given_are_in_the_file(name, x64, tmp_path):
    plan = plan_of(MODELS[name])
    module: Any = plan.module(jax.random.key(7, impl="unsafe_rbg"))
    eqx.tree_serialise_leaves(tmp_path / "net.eqx", module)
    x = jax.random.normal(jax.random.key(2), (3, *shape_of(plan)))
    made = export(plan, "stablehlo", ".jax", Weights(tmp_path / "net.eqx"))
    assert "f(x)" in made.notes[1]
    assert "in the file" in made.notes[1]
    assert_allclose(read_back(made)(x), jax.vmap(module)(x), rtol=1e-11, atol=1e-11)  # as above
    text = export(plan, "stablehlo", ".mlir", Weights(tmp_path / "net.eqx")).content
    assert isinstance(text, str)
    assert text.startswith("// f(x) of the document")
    parsed(text)


@pytest.mark.parametrize("wrong", ["other", "float32", "longer", "shorter", "junk"])
def test_weights_of_another_network_are_refused(wrong, tmp_path, x64):
    plan, path = plan_of(MODELS["mlp"]), tmp_path / "net.eqx"
    given = {"other": MODELS["bottleneck"]}.get(wrong, MODELS["mlp"])
    made = plan_of(given, precision="float32" if wrong == "float32" else "float64")
    with jax.enable_x64(wrong != "float32"):
        eqx.tree_serialise_leaves(path, made.module(jax.random.key(0, impl="unsafe_rbg")))
    content = path.read_bytes()
    change = {"longer": content * 2, "shorter": content[:-9], "junk": b"weights"}
    path.write_bytes(change.get(wrong, content))
    with pytest.raises(SpecError, match="does not hold the weights of this network in float64"):
        export(plan, "stablehlo", ".jax", Weights(path))


def test_the_versions_are_said_in_the_head_and_in_the_notes():
    made = export(plan_of(MODELS["mlp"]), "stablehlo")
    assert isinstance(made.content, str)
    said = made.content.splitlines()[1].removeprefix("// ")
    assert said == made.notes[-1]
    assert said.startswith(f"written by jax {jax.__version__} for cpu, in calling convention ")
    assert "StableHLO 1." in said


def read_back(made: Artefact) -> Any:
    assert isinstance(made.content, bytes)
    return jax.export.deserialize(bytearray(made.content)).call


@pytest.mark.parametrize("name", MODELS)
def test_the_text_is_a_module_and_names_its_arguments(name):
    plan = plan_of(MODELS[name])
    content = export(plan, "stablehlo", ".mlir").content
    assert isinstance(content, str)
    weights = weights_of(plan)
    head = [line for line in content.splitlines() if line.startswith("//")]
    assert len(head) == len(weights) + 4
    places = [line.split(maxsplit=2)[2].rsplit(": ")[0] for line in head[2:-2]]
    assert places == list(weights)
    assert head[-2] == f"// x: float64[batch,{','.join(map(str, shape_of(plan)))}]"
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
    count, arguments, _ = made.notes
    assert count == "25,557,032 parameters, 8.18 GFLOPs (4.09 GMACs) an example"
    assert "x: (batch, 3, 224, 224)" in arguments
    # and the running means and variances of 53120/2 channels, which are no parameters
    assert "102 MB of float32, and not in the file" in arguments
