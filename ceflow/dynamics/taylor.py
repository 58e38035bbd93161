"""Time derivatives of the NTK at t = 0, without integration (CE eq. 42)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.experimental.jet import jet
from jax.extend import core
from jaxtyping import Array, Float, PyTree

from ceflow._numbers import require_count
from ceflow.dynamics.parameters import ParameterFlow
from ceflow.kernels.empirical import evaluate
from ceflow.nets import examples
from ceflow.seeding import full_products


@full_products()
def ntk_derivatives(
    flow: ParameterFlow,
    parameters: PyTree,
    points: Float[Array, "n ..."],
    orders: int = 3,
    *,
    trace: bool = False,
) -> Float[Array, "orders n n ..."]:
    """Compute `d^r K/dt^r` of the NTK at `points`, at t = 0, for r = 1 .. orders.

    K(t) evolves under gradient flow from `parameters` (CE eq. 19, 42); t is mu t.

    The method is Taylor-mode differentiation. The derivatives of Theta(t) follow one after the
    other from the flow's equation, each by one jet through its right side. One jet through the
    kernel then gives the derivatives of the kernel. They are exact for analytic activations. An
    activation with kinks is differentiated piecewise, without the contribution of its kinks. The
    result is (orders, n, n, outputs, outputs), or (orders, n, n), summed over outputs, with
    `trace`. Memory for three orders is 12 to 21 times the Jacobian of the points. To process
    replicas, use `jax.lax.map`.

    >>> from ceflow.nets import Dense
    >>> from ceflow.dynamics import SquaredError, parameter_flow
    >>> flow, start = parameter_flow(
    ...     Dense(2, 1, key=jax.random.key(0)), jnp.eye(2), jnp.ones((2, 1)), SquaredError())
    >>> ntk_derivatives(flow, start, flow.x, trace=True).shape   # 0, for a linear model
    (3, 2, 2)

    Raises `ValueError` for orders below 1, or if the points are not finite or not of the shape of
    the flow's inputs.
    """
    require_count("orders", orders)
    dtype = jax.tree.leaves(parameters)[0].dtype
    return _derivatives(
        flow, parameters, examples("points", points, flow.x.shape[1:], dtype), orders, trace
    )


@eqx.filter_jit
def _derivatives(
    flow: ParameterFlow, parameters: PyTree, points: Array, orders: int, trace: bool
) -> Array:
    leaves, structure = jax.tree.flatten(parameters)

    def field(leaves: list[Array]) -> list[Array]:
        return jax.tree.leaves(flow(jnp.zeros(()), jax.tree.unflatten(structure, leaves)))

    def outputs(leaves: list[Array]) -> Array:
        return jax.vmap(flow.network(jax.tree.unflatten(structure, leaves)))(points)

    def kernel(leaves: list[Array]) -> list[Array]:
        return [_contracted(jax.jacrev(outputs)(leaves), trace)]

    # The field gives Theta' from Theta, then Theta'' from Theta and Theta', and so on.
    path: list[list[Array]] = [field(leaves)]
    right = _opened(field, leaves)
    while len(path) < orders:
        path.append(_along(right, leaves, path)[-1])
    (derivatives,) = zip(*_along(_opened(kernel, leaves), leaves, path), strict=True)
    return jnp.stack(derivatives)


def _contracted(jacobian: list[Array], trace: bool) -> Array:
    """Compute the NTK from the Jacobian; `empirical_ntk` has loops, which jet does not support."""
    rows = jnp.concatenate([part.reshape(*part.shape[:2], -1) for part in jacobian], axis=-1)
    return jnp.einsum("iap,jap->ij" if trace else "iap,jbp->ijab", rows, rows)


def _along(function: Callable, leaves: list[Array], path: list[list[Array]]) -> list[list[Array]]:
    """Compute the time derivatives of `function(leaves)` from those of the leaves, `path`."""
    series = [list(each) for each in zip(*path, strict=True)]
    _, result = jet(function, leaves, series)
    return [list(each) for each in zip(*result, strict=True)]


def _opened(function: Callable[[list[Array]], list[Array]], leaves: list[Array]) -> Callable:
    """Return the same function of separate arguments, with inner calls inlined."""
    closed = jax.make_jaxpr(function)(leaves)
    return lambda *leaves: INLINED(closed, leaves)


def _apply(around: core.Jaxpr, equation: core.JaxprEqn, inputs: list[Any]) -> list[Any]:
    """Inline functions with custom derivatives (relu, softplus), which jet does not support."""
    if equation.primitive.name == "custom_jvp_call":
        return INLINED(equation.params["call_jaxpr"], inputs)
    return evaluate.apply(around, equation, inputs)


INLINED = evaluate.Evaluation(apply=_apply)
