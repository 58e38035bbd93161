"""The NTK as a linear operator, for data sets whose kernel is never formed."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, ArrayLike, Float

from ceflow.kernels.empirical import networks
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.kernels.empirical.networks import Network
from ceflow.kernels.empirical.ntk import check_examples
from ceflow.kernels.empirical.vectors import pushforward


def ntk_operator(
    module: eqx.Module,
    x: Float[ArrayLike, "n ..."],
    *,
    where: Callable[[Any], Any] | None = None,
    state: eqx.nn.State | None = None,
    batch: int = 64,
) -> lx.AbstractLinearOperator:
    """`v -> J (J^T v)`, the empirical NTK of x with itself (CE eq. 1), on arrays (n, outputs).

    Each product takes a backward and a forward-mode pass over the examples, `batch` at a time: the
    memory is that of one batch and of a few copies of the parameters, whatever n. The operator is
    tagged symmetric and positive semidefinite, so that `lineax.CG` takes it. `module`, `where` and
    `state` as in `empirical_ntk`, as is what is refused; and `batch` < 1.

    Kernel ridge regression, `(K + ridge) alpha = y`:

    >>> from ceflow.nets import Dense
    >>> dense = Dense(3, 1, weight_variance=3.0, key=jax.random.key(0))
    >>> kernel = ntk_operator(dense, jnp.eye(3))     # here the identity
    >>> ridge = lx.TaggedLinearOperator(
    ...     lx.IdentityLinearOperator(kernel.in_structure()) * 0.5, lx.positive_semidefinite_tag)
    >>> y = jnp.array([[3.0], [1.5], [0.0]])
    >>> lx.linear_solve(kernel + ridge, y, lx.CG(rtol=1e-6, atol=1e-6)).value.round(4).T
    Array([[2., 1., 0.]], dtype=float32)
    """
    x = jnp.asarray(x)
    check_examples("x", x)
    if batch < 1:
        raise ValueError(f"batch must be a number of examples of at least 1, not {batch}")
    networks.refuse_training(module, state)
    parameters, rest = networks.split(module, where)
    network = networks.trace(parameters, rest, state, x[0])
    structure = jax.ShapeDtypeStruct((len(x), network.outputs), network.dtype)
    tags = (lx.symmetric_tag, lx.positive_semidefinite_tag)
    return lx.FunctionLinearOperator(_product(network, x, min(batch, len(x))), structure, tags)


def _product(network: Network, x: Array, batch: int) -> Callable[[Array], Array]:
    """`v -> K v`. Examples that fill the last batch up repeat one, at v = 0."""
    n, batches = len(x), math.ceil(len(x) / batch)
    fill = batches * batch - n
    rows = jnp.concatenate([x, jnp.broadcast_to(x[:1], (fill, *x.shape[1:]))])
    rows = rows.reshape(batches, batch, *x.shape[1:])
    back = lowered(lambda x, v: _summed(network, x, v))
    forward = lowered(lambda x, *t: jax.vmap(lambda x: pushforward(network, x, list(t)))(x))

    def product(v: Array) -> Array:
        padded = jnp.concatenate([v, jnp.zeros((fill, network.outputs), v.dtype)])

        def add(total: list[Array], part: tuple[Array, Array]) -> tuple[list[Array], None]:
            return jax.tree.map(jnp.add, total, back(*part)), None

        zeros = [jnp.zeros_like(leaf) for leaf in network.leaves]
        gradient, _ = jax.lax.scan(add, zeros, (rows, padded.reshape(batches, batch, -1)))
        return jax.lax.map(lambda x: forward(x, *gradient), rows).reshape(-1, network.outputs)[:n]

    return product


def _summed(network: Network, x: Array, v: Array) -> list[Array]:
    """`sum_i J(x_i)^T v_i`, by one backward pass, which never holds a gradient of one example."""

    def outputs(leaves: list[Array]) -> Array:
        return jax.vmap(lambda x: network(leaves, x))(x)

    return jax.vjp(outputs, network.leaves)[1](v)[0]
