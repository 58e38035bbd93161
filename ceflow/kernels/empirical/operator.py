"""The NTK as a linear operator, for data sets whose kernel is too large to form."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from ceflow.kernels.empirical import networks
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.kernels.empirical.networks import Network
from ceflow.kernels.empirical.plans import NO_FORWARD_MODE, NO_REVERSE_MODE
from ceflow.nets import floats

SYMMETRIC_POSITIVE = frozenset({lx.symmetric_tag, lx.positive_semidefinite_tag})


class _Kernel(lx.FunctionLinearOperator):
    """A kernel operator that converts and checks the vectors that it is applied to."""

    def mv(self, vector: Any) -> Any:
        return super().mv(_taken(self, vector))

    def transpose(self) -> Any:
        other = super().transpose()
        return other if other is self else _Kernel(other.mv, other.in_structure(), ())  # pyright: ignore[reportArgumentType]


def _taken(operator: lx.AbstractLinearOperator, vector: Any) -> Array:
    """Check the shape of a vector and convert it to the operator's type."""
    wanted: Any = operator.in_structure()
    taken = floats(vector, wanted.dtype).astype(wanted.dtype)
    if taken.shape != wanted.shape:
        raise ValueError(f"the operator takes an array of shape {wanted.shape}, not {taken.shape}")
    return taken


class Positive(lx.TaggedLinearOperator):
    """A symmetric, positive semidefinite operator whose sums and multiples by 0 or more stay so.

    lineax does not know the sign of the ridge in `operator + ridge * identity`, and its CG would
    refuse the sum. A traced factor is assumed to be positive.
    """

    def mv(self, vector: Any) -> Any:
        return super().mv(_taken(self, vector))

    def __add__(self, other: lx.AbstractLinearOperator) -> lx.AbstractLinearOperator:
        return _if(_is_positive(other), super().__add__(other))

    def __mul__(self, other: Any) -> lx.AbstractLinearOperator:
        return _if(_is_not_negative(other), super().__mul__(other))

    def __truediv__(self, other: Any) -> lx.AbstractLinearOperator:
        return _if(_is_not_negative(other), super().__truediv__(other))


def _if(positive: bool, operator: lx.AbstractLinearOperator) -> lx.AbstractLinearOperator:
    return Positive(operator, SYMMETRIC_POSITIVE) if positive else operator


def _is_positive(operator: lx.AbstractLinearOperator) -> bool:
    if isinstance(operator, lx.MulLinearOperator | lx.DivLinearOperator):
        return _is_not_negative(operator.scalar) and _is_positive(operator.operator)
    return lx.is_symmetric(operator) and lx.is_positive_semidefinite(operator)


def _is_not_negative(number: Any) -> bool:
    return isinstance(number, Tracer) or bool(number >= 0)


def ntk_operator(
    module: eqx.Module,
    x: Float[ArrayLike, "n ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    where: Callable[[Any], Any] | None = None,
    state: eqx.nn.State | None = None,
    batch: int = 64,
) -> lx.AbstractLinearOperator:
    """Return the operator `v -> J(x) (J(x2)^T v)`, the empirical NTK (CE eq. 1).

    v has shape (n2, outputs). By default `x2` is `x`; then the operator, and its sum with positive
    multiples of the identity, are tagged symmetric and positive semidefinite, so that `lineax.CG`
    accepts them. Each product takes a backward pass over the examples of x2 and a forward-mode pass
    over those of x, `batch` examples at a time. Memory holds one batch and a few copies of the
    parameters, whatever n is.

    `module`, `where` and `state` are those of `empirical_ntk`, with the same types and errors. Also
    raises `ValueError` if `batch` < 1 or the module has no forward mode.

    Kernel ridge regression, `(K + ridge) alpha = y`, and its predictions, `K(x2, x) alpha`:

    >>> from ceflow.nets import Dense
    >>> dense = Dense(3, 1, weight_variance=3.0, key=jax.random.key(0))
    >>> x, y = jnp.eye(3), jnp.array([[3.0], [1.5], [0.0]])
    >>> kernel = ntk_operator(dense, x)     # here the identity
    >>> ridge = 0.5 * lx.IdentityLinearOperator(kernel.in_structure())
    >>> alpha = lx.linear_solve(kernel + ridge, y, lx.CG(rtol=1e-6, atol=1e-6)).value
    >>> alpha.round(4).T
    Array([[2., 1., 0.]], dtype=float32)
    >>> ntk_operator(dense, x[:1] + x[1:2], x).mv(alpha).round(4)
    Array([[3.]], dtype=float32)
    """
    if batch < 1:
        raise ValueError(f"batch must be a number of examples of at least 1, not {batch}")
    networks.refuse_training(module, state)
    module, state = networks.widened((module, state))
    one, two = networks.pair_for(module, state, x, x2, "x")
    parameters, rest = networks.split(module, where)
    network = networks.trace(parameters, rest, state, one[0])
    if not network.has_forward_mode:
        raise ValueError(NO_FORWARD_MODE.format("the operator", "empirical_ntk"))
    if not network.has_reverse_mode:
        raise ValueError(NO_REVERSE_MODE)
    given = one if two is None else two
    structure = jax.ShapeDtypeStruct((len(given), network.outputs), network.dtype)
    product = _product(network, _Batches(one, batch), _Batches(given, batch))
    operator = _Kernel(product, structure, SYMMETRIC_POSITIVE if two is None else ())  # pyright: ignore[reportArgumentType]
    return _if(two is None, operator)


class _Batches:
    """Rows in batches of equal size; the last batch is padded with the first row."""

    def __init__(self, x: Array, size: int):
        self.count, size = len(x), min(size, len(x))
        self.number = math.ceil(self.count / size)
        self.fill = self.number * size - self.count
        rows = jnp.concatenate([x, jnp.broadcast_to(x[:1], (self.fill, *x.shape[1:]))])
        self.rows = rows.reshape(self.number, size, *x.shape[1:])


def _product(network: Network, one: _Batches, two: _Batches) -> Callable[[Array], Array]:
    """Return the function `v -> K v`. Padding examples get v = 0."""
    back = lowered(lambda x, v: _summed(network, x, v))
    forward = lowered(lambda x, *t: jax.vmap(lambda x: network.pushforward(x, list(t)))(x))

    def product(v: Array) -> Array:
        padded = jnp.concatenate([v, jnp.zeros((two.fill, network.outputs), v.dtype)])
        parts = two.rows, padded.reshape(two.number, -1, network.outputs)

        def add(total: list[Array], part: tuple[Array, Array]) -> tuple[list[Array], None]:
            return jax.tree.map(jnp.add, total, back(*part)), None

        zeros = [jnp.zeros_like(leaf) for leaf in network.leaves]
        gradient, _ = jax.lax.scan(add, zeros, parts)
        outputs = jax.lax.map(lambda x: forward(x, *gradient), one.rows)
        return outputs.reshape(-1, network.outputs)[: one.count]

    return product


def _summed(network: Network, x: Array, v: Array) -> list[Array]:
    """Compute `sum_i J(x_i)^T v_i` by one backward pass, without per-example gradients."""

    def outputs(leaves: list[Array]) -> Array:
        return jax.vmap(lambda x: network(leaves, x))(x)

    return jax.vjp(outputs, network.leaves)[1](v)[0]
