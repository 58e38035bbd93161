"""The NTK as an operator against its matrix."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from ceflow.kernels import empirical_ntk, ntk_operator

MODULES = {
    "MLP": (lambda key: eqx.nn.MLP(4, 3, 6, 2, key=key), (4,)),
    "grouped convolution": (
        lambda key: eqx.nn.Sequential(
            [
                eqx.nn.Conv2d(2, 4, 3, groups=2, padding=1, key=key),
                eqx.nn.Lambda(lambda x: jnp.tanh(x).sum(axis=(1, 2))),
            ]
        ),
        (2, 3, 3),
    ),
}


def problem(name: str) -> tuple[Any, jax.Array, np.ndarray]:
    """A module, seven inputs and the kernel as a matrix."""
    build, shape = MODULES[name]
    module = build(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (7, *shape))
    kernel = np.asarray(empirical_ntk(module, x))
    size = kernel.shape[0] * kernel.shape[2]
    return module, x, kernel.transpose(0, 2, 1, 3).reshape(size, size)


@pytest.mark.parametrize("batch", [1, 3, 7, 64])
@pytest.mark.parametrize("name", MODULES)
def test_operator_is_the_matrix(name: str, batch: int, x64: None):
    module, x, matrix = problem(name)
    operator = ntk_operator(module, x, batch=batch)
    # another order of some hundred roundings of 1e-16
    np.testing.assert_allclose(operator.as_matrix(), matrix, rtol=0, atol=1e-12 * matrix.max())


def test_ridge_regression_by_conjugate_gradients(x64: None):
    module, x, matrix = problem("MLP")
    operator = ntk_operator(module, x, batch=4)
    identity = lx.IdentityLinearOperator(operator.in_structure())
    y = jax.random.normal(jax.random.key(2), (7, 3))
    found = lx.linear_solve(operator + identity, y, lx.CG(rtol=1e-12, atol=1e-12)).value
    expected = np.linalg.solve(matrix + np.eye(len(matrix)), np.ravel(y))
    np.testing.assert_allclose(np.ravel(found), expected, rtol=0, atol=1e-9)


def test_subset_of_the_parameters(x64: None):
    module, x, _ = problem("MLP")
    options: Any = {"where": lambda module: module.layers[1]}
    v = jax.random.normal(jax.random.key(2), (7, 3))
    expected = jnp.einsum("nmab,mb->na", empirical_ntk(module, x, **options), v)
    np.testing.assert_allclose(ntk_operator(module, x, **options).mv(v), expected, rtol=1e-11)


def test_bad_input_is_refused():
    module, x, _ = problem("MLP")
    with pytest.raises(ValueError, match="batch must be a number of examples of at least 1"):
        ntk_operator(module, x, batch=0)
    with pytest.raises(ValueError, match="row 2 of x holds NaN"):
        ntk_operator(module, x.at[2].set(jnp.nan))
