"""Dense layers and ensembles against their formulas, written out by hand."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ceflow.nets import ACTIVATIONS, Dense, Ensemble

KEY = jax.random.key(0)


def network(key: jax.Array) -> eqx.Module:
    """A member with everything in it: a bias, a nonlinearity, two layers."""
    one, two = jax.random.split(key)
    hidden = Dense(3, 4, weight_variance=2.0, bias_variance=0.5, key=one)
    return eqx.nn.Sequential([hidden, eqx.nn.Lambda(jnp.tanh), Dense(4, 2, key=two)])


@pytest.mark.parametrize(("weight_variance", "bias_variance"), [(1.0, 0.0), (2.0, 0.0), (1.7, 0.3)])
def test_dense_is_its_formula(weight_variance: float, bias_variance: float, x64: None):
    dense = Dense(
        3, 2, weight_variance=weight_variance, bias_variance=bias_variance, key=jax.random.key(1)
    )
    x = [0.5, -1.25, 2.0]
    assert (dense.bias is None) == (bias_variance == 0)
    bias = [0.0, 0.0] if dense.bias is None else dense.bias.tolist()
    expected = [
        math.sqrt(weight_variance / 3) * sum(w * h for w, h in zip(row, x, strict=True))
        + math.sqrt(bias_variance) * b
        for row, b in zip(dense.weight.tolist(), bias, strict=True)
    ]
    # a sum of three products of order 1 in another order: a few roundings of 1e-16
    np.testing.assert_allclose(dense(jnp.array(x)), expected, rtol=1e-14, atol=1e-15)


def test_weights_and_biases_come_from_different_keys():
    dense = Dense(1, 5, bias_variance=1.0, key=KEY)
    assert dense.bias is not None
    assert not np.isin(dense.weight, dense.bias).any()


@pytest.mark.parametrize("shape", [(), (2,), (4,), (5, 3), (3, 1)])
def test_dense_says_what_is_wrong_with_an_input(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="3 inputs was given") as caught:
        Dense(3, 2, key=KEY)(jnp.ones(shape))
    assert str(shape) in str(caught.value)
    assert "jax.vmap" in str(caught.value)


def test_an_ensemble_says_what_is_wrong_with_an_input():
    ensemble = Ensemble(network, 2, key=KEY)
    with pytest.raises(ValueError, match=r"3 inputs was given an array of shape \(4,\)"):
        ensemble(jnp.ones(4))


@pytest.mark.parametrize("multiplicity", [1, 3])
def test_an_ensemble_is_the_scaled_sum_of_its_members(multiplicity: int, x64: None):
    ensemble = Ensemble(network, multiplicity, key=jax.random.key(2))
    x = jnp.array([0.3, -0.7, 1.1])
    arrays, static = eqx.partition(ensemble.members, eqx.is_array)
    total = np.zeros(2)
    for index in range(multiplicity):
        sliced = jax.tree.map(lambda array, index=index: array[index], arrays)
        member: eqx.nn.Sequential = eqx.combine(sliced, static)  # type: ignore[assignment]
        total += member(x)
    # three numbers of order 1, summed in another order
    np.testing.assert_allclose(ensemble(x), total / math.sqrt(multiplicity), rtol=1e-13)


def test_members_have_weights_of_their_own():
    arrays = eqx.filter(Ensemble(network, 3, key=KEY), eqx.is_array)
    weights = jax.tree.leaves(arrays)
    assert [weight.shape for weight in weights] == [(3, 4, 3), (3, 4), (3, 2, 4)]
    assert all(len(np.unique(weight)) == weight.size for weight in weights)


@pytest.mark.parametrize(
    "build", [network, lambda key: Ensemble(network, 3, key=key)], ids=["network", "ensemble"]
)
def test_one_by_one_is_a_batch(build, x64: None):
    module = build(jax.random.key(3))
    x = jax.random.normal(jax.random.key(4), (6, 3))
    # XLA may sum in another order in a batched product; terms are of order 1
    np.testing.assert_allclose(
        jax.vmap(module)(x), jnp.stack([module(row) for row in x]), rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize("bits", [32, 64])
def test_precision_is_that_of_jax(bits: int):
    with jax.enable_x64(bits == 64):
        module = Ensemble(network, 2, key=jax.random.key(0))
        leaves = jax.tree.leaves(eqx.filter(module, eqx.is_array))
        assert {leaf.dtype.name for leaf in leaves} == {f"float{bits}"}
        assert module(jnp.ones(3)).dtype.name == f"float{bits}"


def assert_variance(outputs: jax.Array, variance: float) -> None:
    """The outputs are independent N(0, variance): the sum of their squares is chi-squared, exactly.

    Fails one time in 10^6 where that is so; a variance wrong by 10 % shows with 20,000 outputs.
    """
    squares = float((np.asarray(outputs, dtype=np.float64) ** 2).sum()) / variance
    low, high = stats.chi2(outputs.size).interval(1 - 1e-6)
    assert low < squares < high


@pytest.mark.parametrize(("weight_variance", "bias_variance"), [(1.0, 0.0), (2.0, 0.0), (1.5, 0.7)])
def test_outputs_of_a_dense_layer_have_its_variance(weight_variance: float, bias_variance: float):
    x = jnp.array([1.0, -2.0, 0.5])
    dense = Dense(
        3,
        20_000,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        key=jax.random.key(5),
    )
    assert_variance(dense(x), weight_variance * float(x @ x) / 3 + bias_variance)


@pytest.mark.parametrize("multiplicity", [1, 4])
def test_an_ensemble_has_the_variance_of_a_member(multiplicity: int):
    x = jnp.array([1.0, -2.0, 0.5])
    ensemble = Ensemble(
        lambda key: Dense(3, 20_000, weight_variance=2.0, key=key),
        multiplicity,
        key=jax.random.key(6),
    )
    assert_variance(ensemble(x), 2.0 * float(x @ x) / 3)


EXPECTED = {
    "relu": lambda x: max(x, 0.0),
    "leaky-relu": lambda x: max(x, 0.01 * x),
    "abs": abs,
    "sin": math.sin,
    "cos": math.cos,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "softplus": lambda x: math.log1p(math.exp(x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "linear": lambda x: x,
    "erf": math.erf,
    "tanh": math.tanh,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_what_their_names_say(name: str, x64: None):
    x = [-3.0, -0.5, 0.0, 0.5, 3.0]
    # library functions agree to a few units in the last place; 1 + erf(-3/sqrt 2) has lost three
    np.testing.assert_allclose(
        ACTIVATIONS[name](jnp.array(x)), [EXPECTED[name](v) for v in x], 1e-13
    )
