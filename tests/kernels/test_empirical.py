"""The empirical NTK of one table of modules against Jacobians formed whole. A new kind joins it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks_tried import (
    DOUBLE,
    MODULES,
    SINGLE,
    answer,
    assert_close,
    by_jacobians,
    model,
    of_language,
)

from ceflow.kernels import empirical_ntk
from ceflow.nets import Dense
from ceflow.spec import Ensemble

REPEATED = ("ensemble of ensembles", "ensemble of eqx.nn.MLP", "ensemble of convolutions", "deep")
"""Networks whose parts are tried by themselves."""
# what takes minutes on the whole table takes seconds on these; `make test-slow` does it all
OFTEN = ["relu", "ensemble", "eqx.nn.MLP", "tied", "grouped convolution", "attention", "scaled"]
SELDOM = [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in MODULES]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in REPEATED else ()) for n in MODULES],
)
def test_kernel_is_that_of_the_jacobians(name: str, x64: None):
    module, x, expected = answer(name)
    assert_close(empirical_ntk(module, x[:3], x[1:]), expected[:3, 1:], DOUBLE)


@pytest.mark.parametrize("name", SELDOM)
def test_trace_is_the_sum_of_the_diagonal_over_outputs(name: str, x64: None):
    module, x, expected = answer(name)
    trace = np.trace(expected, axis1=2, axis2=3)
    assert_close(empirical_ntk(module, x, trace=True), trace, DOUBLE)


@pytest.mark.parametrize("name", SELDOM)
def test_kernel_in_float32(name: str):
    module, x, expected = answer(name)

    def narrow(leaf: Any) -> Any:
        array = np.asarray(leaf)
        return jnp.asarray(array.astype(np.float32) if array.dtype.kind == "f" else array)

    arrays, static = eqx.partition(module, eqx.is_array)
    kernel = empirical_ntk(eqx.combine(jax.tree.map(narrow, arrays), static), narrow(x))
    assert kernel.dtype == jnp.float32
    assert_close(kernel, expected, SINGLE)


@pytest.mark.parametrize("name", MODULES)
def test_answers_are_kernels_of_something(name: str):
    # keeps the table honest: a module with a zero kernel would pass every test
    kernel = answer(name).kernel
    assert (np.trace(kernel, axis1=2, axis2=3).diagonal() > 0.01).all()


@pytest.mark.parametrize("name", SELDOM)
def test_products_of_the_kernel_with_vectors_are_its_rows(name: str, x64: None):
    module, x, expected = answer(name)
    kernel = empirical_ntk(module, x[:3], x[1:], method="products")
    assert_close(kernel, expected[:3, 1:], DOUBLE)


SOME = ["relu", "ensemble with biases", "convolution", "tied", "scan"]


@pytest.mark.parametrize("name", [*SOME, "grouped convolution", "scaled"])
@pytest.mark.parametrize("method", ["structured", "jacobian"])
def test_other_methods(name: str, method: Any, x64: None):
    module, x, expected = answer(name)
    assert_close(empirical_ntk(module, x, method=method), expected, DOUBLE)
    trace = empirical_ntk(module, x, x[1:], trace=True, method=method)
    assert_close(trace, np.trace(expected, axis1=2, axis2=3)[:, 1:], DOUBLE)


@pytest.mark.parametrize("name", ["relu", "tied convolution"])
def test_trace_by_products(name: str, x64: None):
    module, x, expected = answer(name)
    trace = empirical_ntk(module, x, trace=True, method="products")
    assert_close(trace, np.trace(expected, axis1=2, axis2=3), DOUBLE)


@pytest.mark.parametrize("name", SOME)
def test_one_batch_is_taken_with_itself(name: str, x64: None):
    module, x, expected = answer(name)
    assert_close(empirical_ntk(module, x), expected, DOUBLE)


@pytest.mark.parametrize("name", SOME)
def test_kernel_is_symmetric_and_positive_semidefinite(name: str, x64: None):
    module, x, _ = answer(name)
    kernel = np.asarray(empirical_ntk(module, x))
    size = kernel.shape[0] * kernel.shape[2]
    matrix = kernel.transpose(0, 2, 1, 3).reshape(size, size)
    # rounding alone may break either, by some 1e-16 of the largest eigenvalue
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-13 * np.abs(matrix).max())
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert eigenvalues[0] >= -1e-13 * eigenvalues[-1]


@pytest.mark.parametrize("name", SOME)
def test_kernel_one_pair_at_a_time_is_the_batched_one(name: str, x64: None):
    module, x, expected = answer(name)
    for i in range(2):
        for j in range(2):
            one = empirical_ntk(module, x[i : i + 1], x[j : j + 1])
            np.testing.assert_allclose(
                one[0, 0], expected[i, j], rtol=0, atol=DOUBLE * np.abs(expected).max()
            )


@pytest.mark.parametrize("name", ["ensemble with biases", "tied"])
def test_kernel_within_jit(name: str, x64: None):
    module, x, expected = answer(name)
    assert_close(eqx.filter_jit(empirical_ntk)(module, jnp.asarray(x)), expected, DOUBLE)


@pytest.mark.parametrize("name", ["relu", "ensemble"])
def test_kernel_within_vmap_over_keys(name: str, x64: None):
    build, x = MODULES[name].build, answer(name).x
    keys = jax.random.split(jax.random.key(1), 3)
    batched = jax.vmap(lambda key: empirical_ntk(build(key), x, trace=True))(keys)
    for key, kernel in zip(keys, batched, strict=True):
        expected = by_jacobians(build(key), jnp.asarray(x), jnp.asarray(x))
        assert_close(kernel, np.trace(expected, axis1=2, axis2=3), DOUBLE)


@pytest.mark.parametrize("bias_variance", [0.0, 0.4])
@pytest.mark.parametrize("multiplicity", [1, 3])
def test_an_ensembles_kernel_is_the_mean_of_its_members(
    multiplicity: int, bias_variance: float, x64: None
):
    member = model(bias_variance=bias_variance)
    spec = Ensemble(multiplicity=multiplicity, member=member)
    ensemble: Any = of_language(spec)(jax.random.key(21))
    x = jax.random.normal(jax.random.key(22), (3, 4))
    arrays, static = eqx.partition(ensemble.members, eqx.is_array)
    members = [
        eqx.combine(jax.tree.map(lambda array, index=index: array[index], arrays), static)
        for index in range(multiplicity)
    ]
    mean = np.mean([empirical_ntk(one, x) for one in members], axis=0)
    assert_close(empirical_ntk(ensemble, x), mean, DOUBLE)


def test_kernel_of_a_dense_layer_by_hand(x64: None):
    x = np.array([[1.0, 2.0], [0.0, -1.0]])
    dense = Dense(2, 2, weight_variance=3.0, bias_variance=0.5, key=jax.random.key(0))
    # c/fan_in x.x' + b, on the diagonal over outputs
    expected = (1.5 * x @ x.T + 0.5)[:, :, None, None] * np.eye(2)
    np.testing.assert_allclose(empirical_ntk(dense, x), expected, rtol=1e-14, atol=1e-15)


def test_equal_inputs_have_equal_entries(x64: None):
    module, x, _ = answer("relu")
    kernel = np.asarray(empirical_ntk(module, np.stack([x[0], x[1], x[0]])))
    np.testing.assert_allclose(kernel[0], kernel[2], rtol=1e-12)


def test_a_zero_input_of_a_network_without_biases_has_a_zero_kernel(x64: None):
    module, x, _ = answer("relu")
    kernel = np.asarray(empirical_ntk(module, np.zeros((1, 4)), x))
    np.testing.assert_array_equal(kernel, 0)
