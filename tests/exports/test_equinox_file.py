"""Exported Python files: clean, self-contained, and the network of the plan."""

import ast
import math
import shutil
import subprocess
import sys
from typing import Any, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exported_files import batched, drawn, filled, network_class, parameters
from numpy.testing import assert_allclose

from ceflow.compiler import Plan, compile
from ceflow.compiler.lowering import lower_with_state
from ceflow.exports import equinox_file
from ceflow.nets import ACTIVATIONS
from ceflow.spec import Block, Bottleneck, Document, Ensemble, Mlp, Model, Resnext


def mlp(**fields: Any) -> Mlp:
    return Mlp(**{"widths": [7, 5], "inputs": 4, "outputs": 3, **fields})


SCALED: dict[str, Any] = {"weight_variance": 1.7, "last_variance": 0.6}
STATELESS: dict[str, Model] = {
    "mlp": mlp(**SCALED),
    "deep": mlp(widths=[6] * 30),
    "biases": mlp(bias_variance=0.3, **SCALED),
    "ensemble": Ensemble(multiplicity=5, member=mlp(**SCALED)),
    "one layer": Ensemble(multiplicity=2, member=mlp(widths=[3])),
    "ensemble with biases": Ensemble(multiplicity=5, member=mlp(bias_variance=0.3)),
    "block": Block(channels=6, widths=[3, 4], cardinality=5, **SCALED),
    "projection": Block(channels=6, widths=[3, 4], cardinality=5, projection=True, outputs=2),
    "bottleneck": Bottleneck(
        size=2,
        encoder=Mlp(widths=[6, 5], inputs=4, activation="erf", weight_variance=1.3),
        decoder=Mlp(widths=[7], outputs=3, last_variance=0.4, bias_variance=0.3),
    ),
}
RESNEXTS: dict[str, Model] = {
    "cifar": Resnext(blocks=[2, 1], cardinality=3, base_width=4, inputs=[1, 8, 8], outputs=5),
    "imagenet": Resnext(stem="imagenet", blocks=[1, 1], base_width=4, inputs=[3, 33, 40]),
}
MODELS = STATELESS | RESNEXTS
LONG = mlp(widths=[*range(1, 80)])


def plan_of(model: Model) -> Plan:
    return compile(Document(name="fig3", model=model))


@pytest.mark.parametrize("name", MODELS)
def test_the_module_has_the_parameters_of_the_plan(name):
    plan = plan_of(MODELS[name])
    make = eqx.nn.make_with_state(network_class(plan))
    module, _ = eqx.filter_eval_shape(make, key=jax.random.key(0))
    arrays = [leaf for leaf in jax.tree.leaves(module) if isinstance(leaf, jax.ShapeDtypeStruct)]
    assert sum(array.size for array in arrays) == plan.root.parameters


@pytest.mark.parametrize("name", STATELESS)
def test_with_the_weights_of_the_plan_it_computes_the_same(name, x64):
    plan = plan_of(STATELESS[name])
    theirs: Any = plan.module(jax.random.key(1, impl="unsafe_rbg"))
    ours = filled(drawn(plan)[0], parameters(theirs))
    x = jax.random.normal(jax.random.key(2), (3, *shape_of(plan)))
    y, expected = (jax.jit(jax.vmap(module))(x) for module in (ours, theirs))
    # the order of sums differs, through at most 31 layers
    assert_allclose(y, expected, rtol=1e-11, atol=1e-12)


def shape_of(plan: Plan) -> tuple[int, ...]:
    shape = plan.root.inputs
    return tuple(map(int, shape if isinstance(shape, tuple) else (shape,)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_that_of_the_language(activation, x64):
    plan = plan_of(mlp(activation=activation))
    names: dict[str, Any] = {}
    exec(equinox_file(plan), names)
    x = jnp.linspace(-3.0, 3.0, 13)
    assert_allclose(names["activation"](x), ACTIVATIONS[activation](x), rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("name", "inference"),
    [
        ("cifar", True),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("cifar", False), ("imagenet", True))
        ),
    ],
)
def test_resnexts_compute_the_same_in_both_modes(name, inference, x64):
    plan = plan_of(RESNEXTS[name])
    theirs, their_state = lower_with_state(plan.root, jax.random.key(1, impl="unsafe_rbg"))
    random = np.random.default_rng(2)
    # every scale and shift of its own, so that none goes unseen
    weights = [array + 0.1 * random.normal(size=array.shape) for array in parameters(theirs)]
    theirs = filled(theirs, weights)
    ours, state = drawn(plan)
    ours = filled(ours, weights)
    x = jax.random.normal(jax.random.key(3), (4, *shape_of(plan)))
    expected, _ = batched(theirs, their_state, x, inference=inference)
    y, _ = batched(ours, state, x, inference=inference)
    assert_allclose(y, expected, rtol=0, atol=1e-11 * float(abs(expected).max()))


@pytest.mark.parametrize("stride", [1, 2])
def test_grouped_convolutions_are_products_on_cpus_and_the_same_elsewhere(stride, x64, monkeypatch):
    plan = plan_of(RESNEXTS["cifar"])
    names: dict[str, Any] = {}
    exec(equinox_file(plan), names)
    key = jax.random.key(0, impl="unsafe_rbg")
    layer: Any = names["normalised"](6, 12, 3, stride, 3, key=key)[0]
    x = jax.random.normal(key, (6, 9, 8))
    y = layer(x)
    assert "conv_general" not in str(jax.make_jaxpr(layer)(x))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general" in str(jax.make_jaxpr(lambda x: layer(x))(x))  # not the trace of before
    assert_allclose(y, layer(x), rtol=0, atol=1e-13)  # sums of 18 terms in another order


def test_a_resnext_learns():
    """A few steps of gradient descent lower the loss, and move the running statistics."""
    plan = plan_of(Resnext(blocks=[1], base_width=4, inputs=[1, 8, 8], outputs=5))
    network, state = drawn(plan)
    x = jax.random.normal(jax.random.key(1), (8, 1, 8, 8))
    labels = jnp.arange(8) % 5

    @eqx.filter_jit
    @eqx.filter_value_and_grad(has_aux=True)
    def loss(network, state):
        y, state = batched(network, state, x, inference=False)
        return -jax.nn.log_softmax(y)[jnp.arange(8), labels].mean(), state

    losses, before = [], parameters(state)
    for _ in range(5):
        (value, state), slope = loss(network, state)
        losses.append(float(value))
        network = eqx.apply_updates(network, jax.tree.map(lambda g: -0.05 * g, slope))
    assert losses[-1] < losses[0] - 0.1
    moved = [bool((a != b).any()) for a, b in zip(before, parameters(state), strict=True)]
    assert all(moved)


@pytest.mark.parametrize(
    "name",
    [
        *("mlp", "ensemble with biases", "bottleneck"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("biases", "projection", "cifar")),
    ],
)
def test_weights_start_by_the_law_of_the_plan(name, x64):
    """The mean square of all parameters against that of 20 draws of the plan."""
    plan = plan_of(MODELS[name])
    make = eqx.filter_jit(eqx.nn.make_with_state(network_class(plan)))
    keys = [jax.random.key(seed, impl="unsafe_rbg") for seed in range(20)]
    ours = [squares(make(key=key)[0], plan) for key in keys]
    theirs = [squares(plan.module(key), plan) for key in keys]
    difference = sum(ours) / 20 - sum(theirs) / 20
    spread = math.sqrt((variance(ours) + variance(theirs)) / 20)
    assert abs(difference) < 5 * spread + 1e-12  # by chance once in 10^4 such tests (t, 38 degrees)


def squares(module: Any, plan: Plan) -> float:
    """The sum of squares of the matrices and kernels, each times its fan-in."""
    return sum(
        float((array**2).sum()) * (array[0].size if plan.model.type == "resnext" else 1)
        for array in parameters(getattr(module, "module", module))
        if array.ndim > 1
    )


def variance(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def test_the_text_depends_on_the_plan_alone():
    assert equinox_file(plan_of(LONG)) == equinox_file(plan_of(LONG))


def test_the_head_says_what_it_is():
    head = ast.get_docstring(ast.parse(equinox_file(plan_of(STATELESS["ensemble"]))))
    assert head
    assert head.startswith("An ensemble of 5 MLPs of 4 inputs and 3 outputs: 390 parameters.")
    assert "Written by ceflow" in head
    assert "'fig3'" in head


@pytest.mark.parametrize("name", MODELS)
def test_nothing_but_equinox_jax_and_math_is_imported(name):
    tree = ast.parse(equinox_file(plan_of(MODELS[name])))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert all(isinstance(node, ast.Import) for node in imports)
    found = {alias.name.split(".")[0] for node in imports for alias in node.names}  # pyright: ignore
    assert found == {"equinox", "jax", "math"}


def test_a_long_network_is_a_short_file():
    assert len(equinox_file(plan_of(STATELESS["deep"])).splitlines()) < 70
    blocks = Resnext(blocks=[30, 40, 20], base_width=4)
    assert len(equinox_file(plan_of(blocks)).splitlines()) < 100


@pytest.mark.skipif(not shutil.which("ruff", path=f"{sys.prefix}/bin"), reason="ruff is not here")
def test_every_file_is_clean(tmp_path):
    for activation in get_args(Mlp.model_fields["activation"].annotation):
        write(tmp_path / f"{activation}.py", mlp(activation=activation))
    for name, model in {**MODELS, "long": LONG}.items():
        write(tmp_path / f"{name}.py", model)
    ruff(tmp_path, "check")
    ruff(tmp_path, "format", "--check")


def write(path, model):
    path.write_text(equinox_file(plan_of(model)), encoding="utf-8")


def ruff(folder, *command):
    config = f"{__file__.split('/tests/')[0]}/pyproject.toml"
    whole = [f"{sys.prefix}/bin/ruff", *command, "--no-cache", "--config", config, str(folder)]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout
