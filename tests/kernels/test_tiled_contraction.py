"""The empirical NTK in tiles: any budget gives the same values, and 64 rows the same bits."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.kernels import empirical_ntk
from ceflow.kernels.costs import Shape
from ceflow.kernels.empirical.networks import split, trace
from ceflow.kernels.empirical.plans import KernelPlan, plan_for

MLP = eqx.nn.MLP(5, 3, 40, 2, key=jax.random.key(0))
X = np.asarray(jax.random.normal(jax.random.key(1), (200, 5)))
# sums of 5 to 40 products in another order, in float32: some ten roundings of 6e-8
SINGLE = 2e-6


def plan_of(memory: float | None, n1: int, n2: int | None = None, **options: Any) -> KernelPlan:
    network = trace(*split(MLP, None), None, jnp.asarray(X[0]))
    asked = Shape(n1, n2 or n1, 3, options.get("trace", False), n2 is None)
    return plan_for(network, asked, "structured", memory)


BUDGETS = [1.0, 1e5, 3e5, 1e6, 3e6, None]


def test_budgets_make_tiles_of_many_sizes():
    plans = [plan_of(memory, 200) for memory in BUDGETS]
    assert [plan.tile for plan in plans] == sorted(plan.tile for plan in plans)
    assert len({(plan.tile, plan.rows) for plan in plans}) >= 4
    assert (plans[0].tile, plans[-1].tile) == (1, 200)


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("memory", BUDGETS[1:-1])
def test_tiles_are_the_whole(memory: float, trace: bool):
    whole = np.asarray(empirical_ntk(MLP, X[:99], trace=trace, memory=math.inf))
    options: Any = {"trace": trace, "memory": memory, "method": "structured"}
    for kernel, part in (
        (empirical_ntk(MLP, X[:99], **options), whole),
        (empirical_ntk(MLP, X[:99], X[20:75], **options), whole[:, 20:75]),
        (empirical_ntk(MLP, X[:7], X[:99], **options), whole[:7]),
    ):
        np.testing.assert_allclose(kernel, part, rtol=0, atol=SINGLE * np.abs(whole).max())


@pytest.mark.parametrize("memory", [*BUDGETS[1:], math.inf])
def test_kernel_is_symmetric_to_the_bit(memory: float | None):
    kernel = np.asarray(empirical_ntk(MLP, X[:99], memory=memory, method="structured"))
    np.testing.assert_array_equal(kernel, kernel.transpose(1, 0, 3, 2))


@pytest.mark.skipif(jax.__version_info__ >= (0, 11), reason="later XLA rounds sums by their shape")
@pytest.mark.parametrize("rows", [(0, 64), (64, 192), (0, 192)])
@pytest.mark.parametrize("columns", [(0, 64), (128, 192)])
def test_tiles_of_64_rows_are_equal_to_the_bit(rows: tuple[int, int], columns: tuple[int, int]):
    whole = np.asarray(empirical_ntk(MLP, X[:192]))
    tile = empirical_ntk(MLP, X[slice(*rows)], X[slice(*columns)])
    np.testing.assert_array_equal(tile, whole[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("itself", [False, True])
def test_temporaries_are_within_the_budget(itself: bool):
    x, budget = jnp.tile(X, (10, 1)), 4e6

    @jax.jit
    def kernel(x: jax.Array) -> jax.Array:
        options: Any = {"memory": budget, "method": "structured"}
        return empirical_ntk(MLP, x, None if itself else x, **options)

    analysis: Any = kernel.lower(x).compile().memory_analysis()
    # an estimate: the compiler may keep a little more; the result is 144 MB
    assert analysis.temp_size_in_bytes <= 1.25 * budget


def test_one_example_beyond_the_budget_goes_by_products():
    network = trace(*split(MLP, None), None, jnp.asarray(X[0]))
    assert plan_for(network, Shape(9, 9, 3, False, True), "auto", 1.0).tile == 0
    np.testing.assert_allclose(
        empirical_ntk(MLP, X[:9], memory=1.0), empirical_ntk(MLP, X[:9]), rtol=0, atol=1e-4
    )


def test_the_cost_model_takes_products_where_jacobians_are_large():
    # a tied matrix of 64 x 64 with 64 outputs: 64^2 x 4096 products for a pair of examples against
    # 3 x 64 x 4 x 4096 for the tangents
    def tied(weight: jax.Array, x: jax.Array) -> jax.Array:
        return weight @ jnp.tanh(weight @ x)

    module = eqx.Partial(tied, jnp.eye(64))
    network = trace(*split(module, None), None, jnp.ones(64))
    assert plan_for(network, Shape(8, 8, 64, False, True), "auto", None).tile == 0
    assert plan_for(network, Shape(8, 8, 64, True, True), "auto", None).tile == 8


def test_derivatives_pass_through_a_kernel_in_one_piece(x64: None):
    module = eqx.nn.MLP(3, 2, 4, 1, activation=jnp.tanh, key=jax.random.key(0))
    x, along = jax.random.normal(jax.random.key(2), (2, 3, 3))

    def kernel(t: jax.Array) -> jax.Array:
        return empirical_ntk(module, x + t * along)

    _, forward = jax.jvp(kernel, (jnp.array(0.0),), (jnp.array(1.0),))
    difference = (kernel(jnp.array(1e-5)) - kernel(jnp.array(-1e-5))) / 2e-5
    # the difference quotient errs by 1e-10 in h^2 and 1e-16/1e-5 in rounding
    np.testing.assert_allclose(forward, difference, rtol=0, atol=1e-8)
    np.testing.assert_allclose(jax.jacrev(kernel)(jnp.array(0.0)), forward, rtol=1e-10, atol=1e-12)
