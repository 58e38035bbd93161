"""Plans against the arrays of the modules they lower to, and against counts by hand."""

import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import (
    compile,
)
from ceflow.compiler.models import expand
from ceflow.spec import (
    Block,
    Circle,
    Data,
    Digits,
    Document,
    Ensemble,
    Gaussian,
    Mlp,
    Model,
    Resnext,
    SpecError,
)

KEY = jax.random.key(0)


def mlp(*widths: float, **fields: Any) -> Mlp:
    return Mlp(widths=widths, **{"inputs": 5, "outputs": 2, **fields})


COUNTED: dict[str, tuple[Model, int, int]] = {
    # model, parameters, 2 x multiply-adds, both by hand
    "one layer": (mlp(7), 5 * 7 + 7 * 2, 2 * (5 * 7 + 7 * 2)),
    "three layers": (mlp(4, 6, 3), 20 + 24 + 18 + 6, 2 * 68),
    "with bias": (mlp(4, 3, bias_variance=0.1), 5 * 4 + 4 + 4 * 3 + 3 + 3 * 2 + 2, 2 * 38),
    "one of one": (mlp(1, inputs=1, outputs=1), 2, 4),
    "ensemble": (Ensemble(multiplicity=3, member=mlp(4)), 3 * 28, 3 * 56),
    "ensemble with bias": (
        Ensemble(multiplicity=2, member=mlp(4, bias_variance=1.0)),
        2 * (28 + 6),
        2 * 56,
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_those_by_hand(name: str):
    model, parameters, flops = COUNTED[name]
    root = compile(Document(model=model)).root
    assert (root.parameters, root.flops) == (parameters, flops)
    assert isinstance(root.parameters, int)


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_are_the_arrays_of_the_module(name: str):
    plan = compile(Document(model=COUNTED[name][0]))
    leaves = jax.tree.leaves(eqx.filter(plan.module(KEY), eqx.is_array))
    assert plan.root.parameters == sum(leaf.size for leaf in leaves)


@pytest.mark.parametrize("name", COUNTED)
def test_a_module_takes_the_inputs_and_gives_the_outputs_of_its_plan(name: str):
    plan = compile(Document(model=COUNTED[name][0]))
    module: Any = plan.module(KEY)
    output = jax.eval_shape(module, jax.ShapeDtypeStruct((plan.inputs,), jnp.float32))
    assert output.shape == (plan.outputs,)


def test_flops_are_those_of_the_compiled_program():
    plan = compile(Document(model=mlp(40, 30, activation="linear")))
    module: Any = plan.module(KEY)
    lowered = jax.jit(jax.vmap(module)).lower(jnp.ones((64, 5)))
    analysis: Any = lowered.compile().cost_analysis()
    # XLA counts the scaling of each layer's 40 + 30 + 2 outputs too, and little else
    assert plan.root.flops <= analysis["flops"] / 64 <= plan.root.flops + 2 * 72


def test_the_baseline_of_figure_3_has_1379000_parameters():
    model = mlp(*[500] * 5, inputs=748, outputs=10)
    assert compile(Document(model=model)).root.parameters == 1_379_000


# inputs and outputs


GAUSSIAN = Gaussian(inputs=5, outputs=2)


@pytest.mark.parametrize(
    ("model", "data", "sizes"),
    [
        (Mlp(widths=(3,), inputs=7, outputs=4), None, (7, 4)),
        (Mlp(widths=(3,)), GAUSSIAN, (5, 2)),
        (Mlp(widths=(3,), inputs=5), GAUSSIAN, (5, 2)),
        (Mlp(widths=(3,), inputs=5, outputs=2), GAUSSIAN, (5, 2)),
        (Ensemble(multiplicity=2, member=Mlp(widths=(3,))), GAUSSIAN, (5, 2)),
        (Mlp(widths=(3,)), Circle(), (2, 1)),
        (Mlp(widths=(3,), outputs=6), Circle(), (2, 6)),
    ],
)
def test_sizes_come_from_the_model_or_the_data(
    model: Model, data: Data | None, sizes: tuple[int, int]
):
    plan = compile(Document(model=model, data=data))
    assert (plan.root.inputs, plan.root.outputs) == sizes
    member = plan.model.member
    assert (member.inputs, member.outputs) == sizes


DIGITS = Digits()


@pytest.mark.parametrize(
    ("model", "data", "sizes"),
    [
        (Resnext(blocks=[1], base_width=2), None, ((3, 32, 32), 10)),
        (Resnext(blocks=[1], base_width=2, stem="imagenet"), None, ((3, 224, 224), 1000)),
        (Resnext(blocks=[1], base_width=2, inputs=[1, 8, 9]), None, ((1, 8, 9), 10)),
        (Resnext(blocks=[1], base_width=2), DIGITS, ((1, 8, 8), 10)),
        (Resnext(blocks=[1], base_width=2), Gaussian(inputs=3072, outputs=2), ((3, 32, 32), 2)),
        (
            Resnext(blocks=[1], base_width=2, inputs=[1, 5, 1]),
            GAUSSIAN,
            ((1, 5, 1), 2),
        ),
        (Block(channels=4, widths=[2, 2]), None, ((4, 3, 3), 4)),
        (Block(channels=4, widths=[2, 2], outputs=1), None, ((4, 3, 3), 1)),
        (Block(channels=4, widths=[2, 2]), Gaussian(inputs=36, outputs=2), ((4, 3, 3), 2)),
    ],
)
def test_images_come_from_the_model_or_the_data(
    model: Model, data: Data | None, sizes: tuple[Any, int]
):
    plan = compile(Document(model=model, data=data))
    assert (plan.root.inputs, plan.root.outputs) == sizes
    x = np.arange(2.0 * plan.inputs).reshape(2, -1)
    examples = plan.examples(x)
    assert examples.shape == (2, *sizes[0])
    np.testing.assert_array_equal(examples.reshape(2, -1), x)  # channel, row, column
    again = compile(plan.resolved())
    assert (again.model, again.root) == (plan.model, plan.root)


@pytest.mark.parametrize(
    ("model", "data", "path", "message"),
    [
        (
            Resnext(blocks=[1], base_width=2),
            GAUSSIAN,
            ("model", "inputs"),
            "the model has 3 x 32 x 32 inputs, the data have 5",
        ),
        (
            Resnext(blocks=[1], base_width=2, inputs=[1, 16, 4]),
            DIGITS,
            ("model", "inputs"),
            "the model has 1 x 16 x 4 inputs, the data have 1 x 8 x 8",
        ),
        (
            Resnext(blocks=[1], base_width=2, outputs=3),
            DIGITS,
            ("model", "outputs"),
            "the model has 3 outputs, the data have 10",
        ),
        (
            Block(widths=[2, 2]),
            GAUSSIAN,
            ("model", "channels"),
            "the model has 256 x 3 x 3 inputs, the data have 5",
        ),
        (
            Block(channels=4, widths=[2, 2], outputs=3),
            Gaussian(inputs=36, outputs=2),
            ("model", "outputs"),
            "the model has 3 outputs, the data have 2",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(
    model: Model, data: Data, path: tuple[str, ...], message: str
):
    with pytest.raises(SpecError) as caught:
        compile(Document(model=model, data=data))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path, fault.message) == ("CE204", path, message)
    assert fault.help


def test_a_model_whose_sizes_are_not_known_has_no_layers():
    for model in (Mlp(widths=[3]), Resnext(blocks=[1], base_width=2)):
        with pytest.raises(ValueError, match=r"not known; give them by sized\(\)"):
            expand(model)


MEMBER = ("model", "member")


@pytest.mark.parametrize(
    ("model", "data", "path"),
    [
        (Mlp(widths=(3,)), None, ("model",)),
        (Mlp(widths=(3,), inputs=5), None, ("model",)),
        (Mlp(widths=(3,), outputs=5), None, ("model",)),
        (Ensemble(multiplicity=2, member=Mlp(widths=(3,), inputs=5)), None, MEMBER),
        (Mlp(widths=(3,), inputs=4), GAUSSIAN, ("model", "inputs")),
        (Mlp(widths=(3,), outputs=3), GAUSSIAN, ("model", "outputs")),
        (Mlp(widths=(3,), inputs=3), Circle(), ("model", "inputs")),
        (
            Ensemble(multiplicity=2, member=Mlp(widths=(3,), outputs=3)),
            GAUSSIAN,
            (*MEMBER, "outputs"),
        ),
    ],
)
def test_unknown_and_contradicting_sizes_are_refused(
    model: Model, data: Data | None, path: tuple[str, ...]
):
    with pytest.raises(SpecError) as caught:
        compile(Document(model=model, data=data))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == ("CE204", path)


def test_a_missing_data_file_is_found_by_the_plan():
    from ceflow.spec import Idx

    with pytest.raises(SpecError) as caught:
        compile(Document(model=Mlp(widths=(3,)), data=Idx(path="/no/such/folder")))
    assert caught.value.faults[0].code == "CE301"


def test_a_resolved_document_compiles_to_the_same_plan():
    plan = compile(Document(model=Mlp(widths=(3, 4)), data=GAUSSIAN))
    again = compile(plan.resolved())
    assert (again.model, again.root, again.data) == (plan.model, plan.root, plan.data)


def test_the_extent_of_the_data_is_in_the_plan():
    plan = compile(Document(model=Mlp(widths=(3,)), data=Gaussian(inputs=5, train=11, test=6)))
    assert plan.data is not None
    assert (plan.data.train, plan.data.test) == (11, 6)
    assert plan.folder == Path()


# infinite widths


@pytest.mark.parametrize("key", [0, "0", None, np.zeros(2)])
def test_what_is_no_key_is_refused(key: Any):
    plan = compile(Document(model=mlp(4)))
    for build in (plan.module, plan.module_and_state):
        with pytest.raises(ValueError, match=r"must be a key of jax.random, .* not "):
            build(key)


@pytest.mark.parametrize(
    "model",
    [
        mlp(math.inf),
        mlp(math.inf, math.inf, bias_variance=1.0),
        mlp(3, math.inf, 3),
        Ensemble(multiplicity=2, member=mlp(math.inf)),
    ],
)
def test_infinite_widths_have_infinite_counts_and_no_module(model: Model):
    plan = compile(Document(model=model))
    assert (plan.root.parameters, plan.root.flops) == (math.inf, math.inf)
    assert (plan.root.inputs, plan.root.outputs) == (5, 2)
    with pytest.raises(SpecError) as caught:
        plan.module(KEY)
    assert caught.value.faults[0].path == ("model",)


# modules


def weights(module: eqx.Module) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_array))]


@pytest.mark.parametrize("name", COUNTED)
def test_a_module_is_a_function_of_its_key(name: str):
    plan = compile(Document(model=COUNTED[name][0]))
    one, same, other = (weights(plan.module(jax.random.key(root))) for root in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(np.isin(a, b).any() for a, b in zip(one, other, strict=True))


def test_no_two_layers_or_members_share_weights():
    model = Ensemble(multiplicity=3, member=mlp(5, 5, bias_variance=1.0, outputs=5))
    every = np.concatenate(
        [w.reshape(-1) for w in weights(compile(Document(model=model)).module(KEY))]
    )
    # in float32 two of 270 normals are equal by chance with probability 270^2/2 x 1e-7 = 0.4 %,
    # with this key they are not
    assert len(np.unique(every)) == every.size == 3 * 3 * (25 + 5)


@pytest.mark.parametrize("bits", [32, 64])
def test_arrays_are_of_the_precision_in_force(bits: int):
    with jax.enable_x64(bits == 64):
        module: Any = compile(Document(model=mlp(4, bias_variance=1.0))).module(jax.random.key(0))
        assert {w.dtype.name for w in weights(module)} == {f"float{bits}"}
        assert module(jnp.ones(5)).dtype.name == f"float{bits}"


@pytest.mark.parametrize("bias_variance", [0.0, 0.3])
@pytest.mark.parametrize("activation", ["relu", "linear", "erf", "tanh"])
def test_a_module_is_equation_3_of_the_paper(activation: Any, bias_variance: float, x64: None):
    model = mlp(
        4, 3, activation=activation, weight_variance=1.3, last_variance=0.7,
        bias_variance=bias_variance,
    )  # fmt: skip
    module: Any = compile(Document(model=model)).module(jax.random.key(7))
    arrays = weights(module)
    matrices = [array for array in arrays if array.ndim == 2]
    biases = [array for array in arrays if array.ndim == 1] or [np.zeros(1)] * 3
    phi = {"relu": lambda z: np.maximum(z, 0), "linear": lambda z: z, "tanh": np.tanh}
    phi["erf"] = np.vectorize(math.erf)
    x = h = z = np.array([0.5, -1.0, 2.0, 0.1, -0.3])
    for c, w, b in zip((1.3, 1.3, 0.7), matrices, biases, strict=True):
        z = np.sqrt(c / w.shape[1]) * w @ h + np.sqrt(bias_variance) * b
        h = phi[activation](z)
    # three layers of sums of up to five terms: some roundings of 1e-16
    np.testing.assert_allclose(module(jnp.array(x)), z, rtol=1e-13, atol=1e-15)


def test_a_plan_makes_modules_of_its_family():
    plan = compile(Document(model=Mlp(widths=(3,)), data=GAUSSIAN))
    model = plan.model.with_members((7, 2), 4)
    module: Any = plan.module_of(model, KEY)
    assert sum(w.size for w in weights(module)) == 4 * (5 * 7 + 7 * 2 + 2 * 2)
    assert plan.expand(model).parameters == 4 * (5 * 7 + 7 * 2 + 2 * 2)


# families of widths


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (mlp(4), 1 / 4),
        (mlp(20, 20, 10), 0.2),
        (mlp(math.inf), 0.0),
        (mlp(2, math.inf), 0.5),
        (Ensemble(multiplicity=9, member=mlp(4, 4)), 0.5),
        (mlp(*[500] * 5), 0.01),
        (Block(widths=[10, 10]), 1 / 256 + 1 / 90 + 1 / 10),
        (Block(channels=4, widths=[2, 5], cardinality=7, projection=True), 1 / 4 + 1 / 18 + 1 / 5),
        (Resnext(blocks=[3], cardinality=7, base_width=10), 1 / 256 + 1 / 90 + 1 / 10),
    ],
)
def test_fan_in_sum_is_over_hidden_widths_of_one_member(model: Model, expected: float):
    assert model.fan_in_sum == expected


@pytest.mark.parametrize(
    ("widths", "ratio", "expected"),
    [
        ((500, 500), 1.0, (500, 500)),
        ((500, 500), 0.1, (50, 50)),
        ((100, 30, 7), 0.25, (25, 8, 2)),  # 7.5 and 1.75
        ((3, 100), 0.01, (1, 1)),  # never below one
    ],
)
def test_ratio_widths_are_rounded(widths: tuple[int, ...], ratio: float, expected: Any):
    assert mlp(*widths).ratio_widths(ratio) == expected
    assert Ensemble(multiplicity=2, member=mlp(*widths)).ratio_widths(ratio) == expected


def test_members_and_ensembles_keep_everything_but_the_widths():
    base = Ensemble(multiplicity=5, member=mlp(8, activation="tanh", bias_variance=0.5))
    member = mlp(3, 2, activation="tanh", bias_variance=0.5)
    assert base.member.with_widths((3, 2)) == member
    assert base.with_members((3, 2), 7) == Ensemble(multiplicity=7, member=member)
    assert (base.multiplicity, member.multiplicity) == (5, 1)


def test_blocks_and_resnexts_have_groups_for_members():
    block = Block(channels=4, widths=[8, 6], cardinality=5, projection=True, activation="erf")
    one = Block(channels=4, widths=[3, 2], activation="erf")
    assert block.member.with_widths((3, 2)) == one
    many = block.model_copy(update={"widths": (3, 2), "cardinality": 7})
    assert block.with_members((3, 2), 7) == many
    network = Resnext(blocks=[3, 3], cardinality=5, base_width=8)
    assert network.member.with_widths((3, 3)) == Block(widths=[3, 3])
    assert network.with_members((3, 3), 7) == Resnext(blocks=[3, 3], cardinality=7, base_width=3)
    assert (block.multiplicity, network.multiplicity) == (5, 5)
    assert network.ratio_widths(0.5) == (4, 4)
