"""Modules of the user's: what they are bound to, what is traced of them, and what is refused."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import compile, nodes
from ceflow.compiler.modules import facts_of, recorded
from ceflow.nets import Frozen
from ceflow.spec import Document, External, Mlp, Network, SpecError
from ceflow.spec.base import Spec

KEY = jax.random.key(3)


def mlp(key, width=8):
    return eqx.nn.MLP(4, 2, width, 2, activation=jnp.tanh, key=key)


def linear(key):
    return eqx.nn.Linear(4, 2, key=key)


def document(**keys: Any) -> Document:
    return Document(model=External(**{"name": "mine", "inputs": 4} | keys))


def root_of(make, **keys) -> Any:
    return compile(document(**keys), modules={"mine": make}).root


def fault_of(make, **keys):
    with pytest.raises(SpecError) as caught:
        root_of(make, **keys)
    (fault,) = caught.value.faults
    return fault


def test_a_module_is_counted_and_is_the_one_that_make_makes():
    plan = compile(document(), modules={"mine": mlp})
    assert (plan.inputs, plan.outputs) == (4, 2)
    assert plan.root.parameters == 4 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2
    assert plan.root.flops == 2 * (4 * 8 + 8 * 8 + 8 * 2)
    assert eqx.tree_equal(plan.module(KEY), mlp(KEY))


def test_a_width_is_passed_on():
    assert root_of(mlp, width=16).parameters == 4 * 16 + 16 + 16 * 16 + 16 + 16 * 2 + 2


CONVOLUTIONS: dict[str, Any] = {
    "inputs": [3, 6, 6],
    "layers": [
        {"type": "convolution", "channels": 8, "kernel": 3, "stride": 2},
        "relu",
        {"type": "convolution", "channels": 8, "kernel": 3, "groups": 4},
        {"type": "residual", "body": [{"type": "convolution", "channels": 8, "kernel": 1}]},
        {"type": "convolution", "channels": 8, "kernel": 3, "groups": 8},
        "flatten",
        {"type": "dense", "units": 5},
    ],
}

IMAGES = Network(**CONVOLUTIONS)


@pytest.mark.parametrize("model", [IMAGES, Mlp(widths=[7, 3], inputs=4, outputs=2)])
def test_what_is_traced_of_a_tree_of_layers_has_its_counts(model):
    plan = compile(Document(model=model))
    inputs = plan.root.inputs
    shape = list(map(int, inputs)) if isinstance(inputs, tuple) else int(inputs)
    found = root_of(plan.module, inputs=shape)
    assert (found.outputs, found.parameters) == (plan.outputs, plan.root.parameters)
    layers = [node for _, node in nodes.leaves(found)]
    assert sum(node.parameters for node in layers) == found.parameters  # all found in products
    assert found.flops == plan.root.flops == sum(node.flops for node in layers)


def test_convolutions_keep_their_kernels_and_shapes():
    """As Equinox's; one whose axes differ has a stand-in of the same costs."""

    def make(key):
        like, other = jax.random.split(key)
        return eqx.nn.Sequential(
            [
                eqx.nn.Conv2d(3, 8, 3, stride=2, padding=1, key=like),
                eqx.nn.Conv2d(8, 8, (3, 1), groups=4, key=other),
                eqx.nn.Lambda(jnp.ravel),
            ]
        )

    found = root_of(make, inputs=[3, 32, 32])
    one, two = (node for _, node in nodes.leaves(found))
    assert (one.title, one.outputs) == ("convolution 3x3/2", (8, 16, 16))
    assert (two.title, two.parameters) == ("convolution 1x1 in 4 groups", 8 * 2 * 3)
    assert found.parameters == one.parameters + two.parameters + 16  # biases


class Looped(eqx.Module):
    weight: jax.Array
    times: int | None = eqx.field(static=True)

    def __call__(self, x):
        if self.times is None:
            return jax.lax.while_loop(lambda x: x[0] > 1, lambda x: self.weight @ x, x)
        return jax.lax.scan(lambda x, _: (self.weight @ x, None), x, length=self.times)[0]


def test_flops_of_loops_are_counted_if_their_length_is_known():
    square = lambda times: lambda key: Looped(jax.random.normal(key, (4, 4)), times)  # noqa: E731
    assert root_of(square(3)).flops == 3 * 2 * 16
    assert np.isnan(root_of(square(None)).flops)


def test_the_program_tells_what_is_computed_and_not_how_it_is_called():
    def renamed(some_key):
        return linear(some_key)

    def of_large(last):
        shift = jnp.zeros(5000).at[-1].set(last)
        return lambda key: eqx.nn.Sequential([linear(key), eqx.nn.Lambda(lambda x: x + shift[-2:])])

    def own_rule(slope):
        rule = jax.custom_vjp(lambda x: x)
        rule.defvjp(lambda x: (x, None), lambda _, v: (slope * v,))
        return lambda key: eqx.nn.Sequential([linear(key), eqx.nn.Lambda(rule)])

    def program(make):
        return root_of(make).program

    assert program(linear) == program(renamed)
    assert program(linear) != program(lambda key: linear(jax.random.fold_in(key, 1)))
    assert program(of_large(1.0)) == program(of_large(1.0)) != program(of_large(2.0))
    assert program(own_rule(1.0)) == program(own_rule(1.0)) != program(own_rule(2.0))


def test_what_python_computes_is_never_known_to_be_the_same():
    def called(x):
        return jax.pure_callback(np.tanh, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    make = lambda key: eqx.nn.Sequential([mlp(key), eqx.nn.Lambda(called)])  # noqa: E731
    assert root_of(make).program != root_of(make).program


def test_what_is_recorded_is_read_back():
    for make in (mlp, lambda key: Looped(jnp.eye(4), None)):
        (facts,) = facts_of([root_of(make)])
        (layer,) = recorded([facts]).layers
        assert facts_of([layer]) == [facts]
    with pytest.raises(ValueError, match="no facts"):
        recorded([{"name": "mine"}])


class Norm(eqx.Module):
    dense: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self, key):
        self.dense = eqx.nn.Linear(4, 2, key=key)
        self.norm = eqx.nn.BatchNorm(2, "batch", mode="ema")

    def __call__(self, x, state):
        return self.norm(self.dense(x), state)


def test_a_module_with_a_state_is_taken_when_it_is_frozen():
    fault = fault_of(Norm)
    assert "has a state" in fault.message
    assert "Frozen" in fault.help
    frozen = lambda key: Frozen(*eqx.nn.make_with_state(Norm)(key))  # noqa: E731
    plan = compile(document(), modules={"mine": frozen})
    module: Any = plan.module(KEY)
    assert module(jnp.ones(4)).shape == (2,)


def of(function):
    return lambda key: eqx.nn.Sequential([mlp(key), eqx.nn.Lambda(function)])


class Buffered(eqx.Module):
    """The entries `index` of `weight x` that the mask lets through, and noise of a stored key."""

    weight: jax.Array
    index: jax.Array
    mask: jax.Array
    noise: jax.Array

    def __init__(self, key):
        self.weight = jax.random.normal(key, (4, 4))
        self.index, self.mask = jnp.array([2, 0]), jnp.array([True, True, False, True])
        self.noise = jax.random.key(1)

    def __call__(self, x):
        out = jnp.where(self.mask, self.weight @ x, 0.0)
        return out[self.index] + jax.random.normal(self.noise, (2,))


def test_arrays_that_are_no_parameters_are_traced_too():
    plan = compile(document(), modules={"mine": Buffered})
    assert (plan.root.parameters, plan.outputs) == (16, 2)
    assert plan.root.flops == 2 * 16
    module: Any = plan.module(KEY)
    assert module(jnp.ones(4)).shape == (2,)


def leaves_python(_: Any) -> Any:
    raise SystemExit(3)


def with_weight(call, weight=lambda key: jax.random.normal(key, (2, 4))):
    class Module(eqx.Module):
        weight: jax.Array

        def __call__(self, x):
            return call(self.weight, x)

    return lambda key: Module(weight(key))


def dropping(key):
    return eqx.nn.Sequential([mlp(key), eqx.nn.Dropout(0.5)])


def first_is_positive(w, x):
    return w @ x if x[0] > 0 else w @ -x


HELPED = {
    "dropout": (dropping, "Dropout requires a key", "eqx.nn.inference_mode"),
    "if": (with_weight(first_is_positive), "TracerBool", "jnp.where or jax.lax.cond"),
    "a mask": (with_weight(lambda w, x: (w @ x)[x[:2] > 0]), "NonConcrete", "jnp.where"),
    "a batch": (with_weight(lambda w, x: w @ x[0]), "failed on an example", "not a batch"),
    "complex": (
        with_weight(lambda w, x: (w @ x).real, lambda key: jnp.ones((2, 4)) * 1j),
        "the module has complex parameters",
        "real and imaginary parts",
    ),
}


@pytest.mark.parametrize("case", HELPED)
def test_what_to_change_in_a_module_is_told(case):
    make, message, help = HELPED[case]
    fault = fault_of(make)
    assert fault.code == "CE207"
    assert message in fault.message
    assert help in fault.help


def test_what_fails_when_it_is_traced_again_is_no_bare_error():
    calls = iter(range(10))

    def call(w, x):
        return w @ x if next(calls) < 1 else 1 / 0

    assert "cannot be traced: ZeroDivisionError" in fault_of(with_weight(call)).message


WRONG = {
    "make exits": (leaves_python, r"make\(key\) failed: SystemExit: 3"),
    "exits": (of(leaves_python), r"failed on an example of shape \(4,\): SystemExit: 3"),
    "make fails": (lambda key: 1 / 0, r"make\(key\) failed: ZeroDivisionError: division by zero"),
    "no width": (lambda key: mlp(key), r"make\(key, 3\) failed: TypeError", {"width": 3}),
    "no module": (lambda key: None, "returned a NoneType, and not a module"),
    "no parameters": (lambda key: eqx.nn.Identity(), "has no parameters"),
    "fails": (mlp, r"failed on an example of shape \(5,\): TypeError: .*", {"inputs": 5}),
    "an image": (of(lambda x: x[None]), r"an array of shape \(1, 2\) of float64"),
    "whole numbers": (of(lambda x: x.astype(int)), r"an array of shape \(2,\) of int64"),
    "several": (of(lambda x: (x, x)), "returned a tuple"),
    "untraceable": (lambda key: mlp(jax.random.key(int(key[0]))), "failed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_module_that_does_not_do_is_refused_at_its_name(case):
    make, message, *keys = WRONG[case]
    fault = fault_of(make, **(keys[0] if keys else {}))
    assert (fault.code, fault.path) == ("CE207", ("model", "name"))
    assert re.search(message, str(fault))


def test_sizes_that_the_module_does_not_have_are_refused():
    assert "outputs = 3" in fault_of(mlp, outputs=3).message
    with pytest.raises(SpecError, match="the number of inputs is not known"):
        compile(Document(model=External(name="mine")), modules={"mine": mlp})


def test_a_module_in_place_of_the_function_that_makes_it_is_told_so():
    advice = "bind the function that makes the module, not the module"
    assert fault_of(mlp(KEY)).help == advice
    # a module that takes a key and returns a module is such a function
    plan = compile(document(), modules={"mine": eqx.Partial(mlp)})
    assert plan.outputs == 2
    assert fault_of(lambda key: 1 / 0).help == ""


def test_names_are_bound_to_functions_and_all_of_them_are_used():
    with pytest.raises(SpecError, match=r"no module is bound to the name 'mine'[^;]*bind it by"):
        compile(document())
    with pytest.raises(SpecError, match=r"does not use\n.*its modules are 'mine'"):
        compile(document(), modules={"mine": mlp, "other": mlp})
    with pytest.raises(SpecError, match="it has no external model"):
        compile(Document(model=Mlp(widths=[3], inputs=1, outputs=1)), modules={"other": mlp})
    with pytest.raises(SpecError, match="'mine' is bound to a int, and not to a function"):
        root_of(3)


def written(tmp_path, tree):
    eqx.tree_serialise_leaves(tmp_path / "w.eqx", tree)
    return str(tmp_path / "w.eqx")


def test_weights_are_read_in_the_precision_of_the_document(tmp_path):
    given: Any = mlp(KEY)  # in float32
    plan = compile(document(weights=written(tmp_path, given)), modules={"mine": mlp})
    read = plan.module(jax.random.key(4))
    with jax.enable_x64(True):
        same = jax.tree.map(lambda x: x.astype(float) if eqx.is_array(x) else x, given)
        assert eqx.tree_equal(eqx.filter(read, eqx.is_array), eqx.filter(same, eqx.is_array))
    other = eqx.tree_at(lambda m: m.layers[0].bias, given, given.layers[0].bias + 1)
    first = root_of(mlp, weights=written(tmp_path, given)).program
    programs = {first, root_of(mlp).program}
    programs.add(root_of(mlp, weights=written(tmp_path, other)).program)
    assert len(programs) == 3


def test_weights_that_do_not_fit_are_refused_at_their_leaf(tmp_path):
    whole = mlp(KEY)
    wider = eqx.tree_at(lambda m: m.layers[1].weight, whole, jnp.ones((9, 8)))
    fault = fault_of(mlp, weights=written(tmp_path, wider))
    assert fault.code == "CE302"
    assert "at .layers[1].weight: the module has shape (8, 8), the file (9, 8)" in fault.message
    longer = (whole, jnp.ones(1))
    assert "more weights" in fault_of(mlp, weights=written(tmp_path, longer)).message
    shorter = eqx.tree_at(lambda m: m.layers[2], whole, None)
    assert "at .layers[2].weight" in fault_of(mlp, weights=written(tmp_path, shorter)).message
    assert fault_of(mlp, weights=str(tmp_path / "none.eqx")).code == "CE301"
    (tmp_path / "w.eqx").write_bytes(b"no numbers")
    assert "at .layers[0].weight" in fault_of(mlp, weights=str(tmp_path / "w.eqx")).message


def test_a_document_says_nothing_of_what_its_name_is_bound_to():
    plan = compile(document(), modules={"mine": mlp})
    assert isinstance(plan.resolved(), Spec)
    assert "make" not in repr(plan.resolved())
