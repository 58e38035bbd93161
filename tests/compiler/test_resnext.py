"""The ResNeXt: its layers, groups against block-diagonal weights, how it starts, how it trains."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import compile, nodes
from ceflow.compiler.plan import Plan
from ceflow.kernels import analytic, empirical_ntk
from ceflow.nets import BatchNorm, Convolution, Dense, Frozen
from ceflow.spec import Document, Resnext

MODEL = Resnext(blocks=[1, 1, 1], cardinality=3, base_width=4)
SMALL = Resnext(blocks=[1], cardinality=2, base_width=2, inputs=[2, 6, 6], outputs=3)


def plan_of(model: Resnext) -> Plan:
    return compile(Document(model=model))


def parts(module: Any, kind: type) -> list[Any]:
    found = jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in found if isinstance(node, kind)]


def ungrouped(layer: Convolution) -> Convolution:
    """The same with a block-diagonal weight."""
    out, inner, *kernel = layer.weight.shape
    whole = np.zeros((out, inner * layer.groups, *kernel))
    for group in range(layer.groups):
        rows = slice(group * out // layer.groups, (group + 1) * out // layer.groups)
        columns = slice(group * inner, (group + 1) * inner)
        whole[rows, columns] = layer.weight[rows]
    plain = Convolution(
        inner * layer.groups,
        out,
        kernel=kernel[0],
        stride=layer.stride,
        standard=True,
        key=jax.random.key(0),
    )
    return eqx.tree_at(lambda one: one.weight, plain, jnp.asarray(whole))


def test_groups_are_block_diagonal_weights(x64: None):
    module: Any = plan_of(MODEL).module(jax.random.key(0))
    grouped = [layer for layer in parts(module, Convolution) if layer.groups > 1]
    assert len(grouped) == 3  # the 3x3 of each block

    def picked(one: Any) -> list[Any]:
        return [layer for layer in parts(one, Convolution) if layer.groups > 1]

    plain = eqx.tree_at(picked, module, [ungrouped(layer) for layer in grouped])
    assert not picked(plain)
    x = jax.random.normal(jax.random.key(1), (2, 3, 32, 32))
    forward = eqx.filter_jit(lambda one, x: jax.vmap(one)(x))
    ours, theirs = (forward(one, x) for one in (module, plain))
    # thirty layers of sums of up to a thousand terms
    np.testing.assert_allclose(ours, theirs, rtol=1e-11)


def shapes(root: nodes.Node) -> list[nodes.Shape]:
    return [node.outputs for _, node in nodes.leaves(root) if isinstance(node, nodes.Convolution)]


def test_stages_halve_the_image_and_double_the_channels():
    root = plan_of(Resnext(blocks=[2, 1], cardinality=3, base_width=5)).root
    assert shapes(root) == [
        (64, 32, 32),
        *[(15, 32, 32), (15, 32, 32), (256, 32, 32), (256, 32, 32)],  # the last projects
        *[(15, 32, 32), (15, 32, 32), (256, 32, 32)],
        *[(30, 32, 32), (30, 16, 16), (512, 16, 16), (512, 16, 16)],
    ]


def test_the_imagenet_stem_divides_the_image_by_four():
    root = plan_of(Resnext(stem="imagenet", blocks=[1], base_width=5)).root
    assert shapes(root)[:2] == [(64, 112, 112), (5, 56, 56)]
    assert (root.inputs, root.outputs) == ((3, 224, 224), 1000)


def test_weights_start_in_standard_parameterisation(x64: None):
    module: Any = plan_of(MODEL).module(jax.random.key(0))
    for layer in parts(module, Convolution):
        scaled = np.asarray(layer.weight) / np.sqrt(2 / layer.fan_in)
        # the variance of N normals is known to sqrt(2/N): five deviations, once in 10^6
        assert abs(scaled.var() - 1) < 5 * np.sqrt(2 / scaled.size)
    (head,) = parts(module, Dense)
    for array in (head.weight, head.bias):
        scaled = np.asarray(array) / np.sqrt(1 / (3 * head.fan_in))
        assert abs((scaled**2).mean() - 1) < 5 * np.sqrt(2 / scaled.size)
    for layer in parts(module, BatchNorm):
        assert (layer.weight == 1).all()
        assert (layer.bias == 0).all()


def test_nothing_stands_in_front_of_standard_weights():
    made: dict[str, Any] = {"weight_variance": 3.0, "bias_variance": 0.5, "key": jax.random.key(0)}
    x = jnp.arange(4.0)
    one, other = Dense(4, 2, standard=True, **made), Dense(4, 2, **made)
    (weight, bias), (normal, normals) = (
        (np.asarray(layer.weight), np.asarray(layer.bias)) for layer in (one, other)
    )
    np.testing.assert_allclose(one(x), weight @ np.arange(4.0) + bias, rtol=1e-6)
    np.testing.assert_allclose(weight, np.sqrt(3 / 4) * normal, rtol=1e-6)
    np.testing.assert_allclose(bias, np.sqrt(0.5 / 4) * normals, rtol=1e-6)


@pytest.mark.parametrize("bits", [32, pytest.param(64, marks=pytest.mark.slow)])
def test_a_step_of_training_lowers_the_loss_and_moves_the_statistics(bits: int):
    with jax.enable_x64(bits == 64):
        module, state = plan_of(SMALL).module_and_state(jax.random.key(0))
        x = jax.random.normal(jax.random.key(1), (8, 2, 6, 6))
        y = jax.random.normal(jax.random.key(2), (8, 3))

        @eqx.filter_jit
        @eqx.filter_value_and_grad(has_aux=True)
        def loss(module: Any, state: Any) -> Any:
            batched = jax.vmap(module, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
            outputs, after = batched(x, state)
            return ((outputs - y) ** 2).mean(), after

        (before, after), gradient = loss(module, state)
        leaves = jax.tree.leaves(gradient)
        assert all(np.isfinite(leaf).all() for leaf in leaves)
        assert {leaf.dtype.name for leaf in leaves} == {f"float{bits}"}
        moved = eqx.apply_updates(module, jax.tree.map(lambda leaf: -0.01 * leaf, gradient))
        (lower, after), _ = loss(moved, after)
        assert lower < before
        trained: Any = Frozen(moved, after)
        assert np.isfinite(eqx.filter_jit(trained)(x[0])).all()
        (layer, *_) = parts(moved, BatchNorm)
        assert (after.get(layer.statistics)[0] != 0).all()


def test_the_module_of_a_plan_is_the_network_at_inference(x64: None):
    plan = plan_of(SMALL)
    module: Any = plan.module(jax.random.key(0))
    pair: Any = plan.module_and_state(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, 6, 6))
    y, _ = eqx.filter_jit(eqx.nn.inference_mode(pair[0]))(x, pair[1])
    # some roundings: the two are compiled apart
    np.testing.assert_allclose(eqx.filter_jit(module)(x), y, rtol=1e-12)
    for layer in parts(pair[0], BatchNorm):
        mean, variance = pair[1].get(layer.statistics)
        assert (mean == 0).all()
        assert (variance == 1).all()


def test_a_network_without_batch_normalisation_has_an_empty_state():
    from ceflow.spec import Mlp

    plan = compile(Document(model=Mlp(widths=[3], inputs=2, outputs=1)))
    module, state = plan.module_and_state(jax.random.key(0))
    assert not jax.tree.leaves(state)
    assert eqx.tree_equal(module, plan.module(jax.random.key(0)))


def test_the_ntk_counts_weights_and_not_the_statistics(x64: None):
    plan = plan_of(SMALL)
    module: Any = plan.module(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (3, 2, 6, 6))
    parameters, rest = eqx.partition(module.module, eqx.is_inexact_array)

    def call(parameters: Any, one: Any) -> Any:
        return eqx.combine(parameters, rest)(one, module.state)[0]

    jacobian = jax.jit(jax.vmap(jax.jacrev(call), (None, 0)))(parameters, x)
    flat = jnp.concatenate([leaf.reshape(3, 3, -1) for leaf in jax.tree.leaves(jacobian)], axis=2)
    assert flat.shape[2] == plan.root.parameters
    expected = np.asarray(jnp.einsum("nap,mbp->nmab", flat, flat))
    for where in (None, lambda one: one.module):
        kernel = empirical_ntk(module, x, where=where)
        np.testing.assert_allclose(kernel, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_in_training_mode_there_is_no_ntk():
    module, state = plan_of(SMALL).module_and_state(jax.random.key(0))
    with pytest.raises(ValueError, match="BatchNorm in training mode"):
        empirical_ntk(module, jnp.ones((1, 2, 6, 6)), state=state)


@pytest.mark.parametrize("model", [SMALL, plan_of(SMALL).root])
def test_at_infinite_width_there_is_no_kernel(model: Any):
    with pytest.raises(ValueError, match="BatchNorm has no kernel at infinite width"):
        analytic(model, jnp.ones((1, 2, 6, 6)))


def test_max_pooling_is_of_windows_that_reach_out_of_the_image():
    from ceflow.nets import max_pool

    x = -1 - np.abs(np.random.default_rng(0).standard_normal((2, 7, 6)))  # no zero may win
    ours = max_pool(jnp.asarray(x), 3, 2, (1, 1))
    assert ours.shape == nodes.MaxPool((2, 7, 6), 3, 2, (1, 1)).outputs
    for i in range(4):
        for j in range(3):
            rows, columns = (slice(max(2 * k - 1, 0), 2 * k + 2) for k in (i, j))
            expected = x[:, rows, columns].max(axis=(1, 2))
            np.testing.assert_allclose(ours[:, i, j], expected, rtol=1e-6)
