"""An ensemble as one chain of block-diagonal layers, against the ensemble with its weights."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import merged, nodes
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import analytic, empirical_ntk
from ceflow.nets import Dense
from ceflow.spec import Ensemble, Mlp

MODEL = Ensemble(
    multiplicity=3,
    member=Mlp(widths=[4, 5], inputs=6, outputs=2, weight_variance=1.3, last_variance=0.7),
)
BIASED = MODEL.model_copy(update={"member": MODEL.member.model_copy(update={"bias_variance": 0.4})})


def dense_layers(module: Any) -> list[Dense]:
    return [layer for layer in module.layers if isinstance(layer, Dense)]


def moved(model: Ensemble, ensemble: Any) -> Any:
    """The merged module with an ensemble's weights."""
    chain: Any = lower(merged(model), jax.random.key(9))
    *hidden, last = dense_layers(ensemble.members)
    weights = [layer.weight.reshape(-1, layer.weight.shape[-1]) for layer in hidden]
    weights.append(jnp.moveaxis(last.weight, 0, 1).reshape(last.weight.shape[1], -1))
    chain = eqx.tree_at(lambda one: [layer.weight for layer in dense_layers(one)], chain, weights)
    if last.bias is None:
        return chain
    biases = [layer.bias.reshape(-1) for layer in hidden if layer.bias is not None]
    biases.append(last.bias.sum(axis=0) / np.sqrt(model.multiplicity))
    return eqx.tree_at(lambda one: [layer.bias for layer in dense_layers(one)], chain, biases)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(MODEL, id="no biases", marks=pytest.mark.slow),
        pytest.param(BIASED, id="biases"),
    ],
)
def test_the_function_and_the_ntk_are_the_ensembles(model: Ensemble, x64: None):
    ensemble: Any = lower(expand(model), jax.random.key(0))
    chain = moved(model, ensemble)
    x = jax.random.normal(jax.random.key(1), (4, 6))
    # sums of some tens of terms, in another order
    np.testing.assert_allclose(jax.vmap(chain)(x), jax.vmap(ensemble)(x), rtol=0, atol=1e-13)
    for trace in (False, True):
        ours, theirs = (empirical_ntk(one, x, trace=trace) for one in (chain, ensemble))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    ours, theirs = (analytic(one, x[..., None, None]).ntk for one in (merged(model), expand(model)))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("widths", [[4], [4, 5], [4, 5, 6]])
@pytest.mark.parametrize("multiplicity", [1, 7])
def test_the_counts_are_the_ensembles(multiplicity: int, widths: list[int]):
    member = Mlp(widths=widths, inputs=6, outputs=2)
    model = Ensemble(multiplicity=multiplicity, member=member)
    one, other = merged(model), expand(model)
    assert (one.parameters, one.flops) == (other.parameters, other.flops)


def test_of_the_last_biases_one_is_left():
    ensemble, chain = expand(BIASED), merged(BIASED)
    assert ensemble.parameters - chain.parameters == (3 - 1) * 2


def test_an_infinite_ensemble_has_its_members_kernel(x64: None):
    member = Mlp(widths=[float("inf")] * 2, inputs=6, outputs=1, bias_variance=0.3)
    chain = merged(Ensemble(multiplicity=4, member=member))
    x = np.random.default_rng(0).standard_normal((3, 6))
    expected = analytic(member, x).ntk
    # the recursion over images rounds otherwise than that over vectors
    np.testing.assert_allclose(analytic(chain, x[..., None, None]).ntk, expected, rtol=1e-12)


def test_sizes_must_be_known():
    with pytest.raises(ValueError, match="not known"):
        merged(Ensemble(multiplicity=2, member=Mlp(widths=[3])))


@pytest.mark.parametrize("bits", [32, 64])
def test_a_grouped_layer_is_a_dense_one_with_blocks(bits: int):
    with jax.enable_x64(bits == 64):
        layer = Dense(6, 4, groups=2, weight_variance=1.7, bias_variance=0.3, key=jax.random.key(0))
        whole = np.zeros((4, 6))
        whole[:2, :3], whole[2:, 3:] = layer.weight[:2], layer.weight[2:]
        x = np.random.default_rng(1).standard_normal(6).astype(f"float{bits}")
        assert layer.bias is not None
        expected = np.sqrt(1.7 / 3) * whole @ x + np.sqrt(0.3) * np.asarray(layer.bias)
        y = layer(jnp.asarray(x))
        assert y.dtype.name == f"float{bits}"
        # a few roundings
        np.testing.assert_allclose(y, expected, rtol=0, atol=10 * float(jnp.finfo(y.dtype).eps))


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="6 inputs and 3 outputs cannot be split into 2 groups"):
        Dense(6, 3, groups=2, key=jax.random.key(0))


def test_the_root_of_the_chain_is_one_dense_layer_at_each_end():
    groups = [node.groups for node in merged(MODEL).layers if isinstance(node, nodes.Dense)]
    assert groups == [1, 3, 1]
