"""The empirical NTK of any Equinox module."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ceflow.kernels.products import Product, Where, evaluate, find_products


def empirical_ntk(
    module: eqx.Module,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    trace: bool = False,
) -> Float[Array, "n1 n2 ..."]:
    """`K(x, x') = J(x) J(x')^T` over all parameters of a module (CE eq. 1).

    `module` takes one example; its floating-point arrays are its parameters. Rows of `x1` and `x2`
    are examples; `x2` is `x1` by default. The result has shape (n1, n2, outputs, outputs), or, with
    `trace`, (n1, n2): the sum of the diagonal over outputs, at a fraction of the cost.

    A weight that is used once, in a product W h with one vector h, never has its gradient formed:
    it adds `(h.h')(delta.delta')`. Others (biases, scales, tied or shared weights) go by theirs. An
    ensemble's kernel is the mean of its members' (CE eq. 4), which this finds without being told.

    Raises `ValueError` where the module has no parameters, its output is not one array of floats,
    or `x1` or `x2` holds no examples.

    >>> from ceflow.nets import Dense
    >>> dense = Dense(3, 2, weight_variance=3.0, key=jax.random.key(0))
    >>> empirical_ntk(dense, jnp.eye(3)[:2])[0, 0]   # c/fan_in x.x' on the diagonal
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    x1 = jnp.asarray(x1)
    x2 = None if x2 is None else jnp.asarray(x2)
    for x in (x1, x1 if x2 is None else x2):
        if not x.ndim or not len(x):
            raise ValueError(f"x1 and x2 must hold examples as rows, not be of shape {x.shape}")
    if x2 is not None and x1.shape[1:] != x2.shape[1:]:
        raise ValueError(
            f"x1 and x2 hold examples of different shapes, {x1.shape[1:]} and {x2.shape[1:]}"
        )
    return _kernel(module, x1, x2, trace)


class _Features(NamedTuple):
    """Of each example: the operands h, the gradients delta at the products, the other gradients.

    `h[l]`: (batch, contracted, free); `delta[l]`: (outputs, batch, out, free);
    `rest`: (outputs, size).
    """

    h: list[Array]
    delta: list[Array]
    rest: list[Array]


@eqx.filter_jit
def _kernel(module: eqx.Module, x1: Array, x2: Array | None, trace: bool) -> Array:
    products, features = _features_of(module, x1[0])
    one = jax.vmap(features)(x1)
    two = one if x2 is None else jax.vmap(features)(x2)
    terms = []
    for product, h, h2, d, d2 in zip(products, one.h, two.h, one.delta, two.delta, strict=True):
        term = _outer_products if product.is_outer_product else _formed_gradients
        terms.append(term(h, d, h2, d2, trace))
    terms += [_contract(a, b, trace) for a, b in zip(one.rest, two.rest, strict=True)]
    total = sum(terms[1:], start=terms[0])
    return total if trace else jnp.transpose(total, (0, 2, 1, 3))


def _features_of(module: eqx.Module, x: Array) -> tuple[list[Product], Any]:
    """The module's products, and the function from an example to its features."""
    parameters, static = eqx.partition(module, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(parameters)
    if not leaves:
        raise ValueError("the module has no parameters: no floating-point array is in it")

    def call(leaves: list[Array], x: Array) -> Array:
        apply: Any = eqx.combine(jax.tree.unflatten(structure, leaves), static)
        return _flat_output(apply(x))

    closed = jax.make_jaxpr(call)(leaves, x)
    products = find_products(closed.jaxpr, closed.jaxpr.invars[: len(leaves)])
    sides = {product.where: product.side for product in products}
    tapped = {product.leaf for product in products}
    zeros = {
        product.where: jnp.zeros(product.shape, leaves[product.leaf].dtype) for product in products
    }
    loose = {index: leaf for index, leaf in enumerate(leaves) if index not in tapped}

    def features(x: Array) -> _Features:
        def run(
            taps: dict[Where, Array], loose: dict[int, Array]
        ) -> tuple[Array, dict[Where, Array]]:
            arguments: list[Any] = [loose.get(index, leaf) for index, leaf in enumerate(leaves)]
            (output,), others = evaluate(closed, [*arguments, x], taps, sides)
            return output, others

        output, pullback, others = jax.vjp(run, zeros, loose, has_aux=True)
        deltas, gradients = jax.vmap(pullback)(jnp.eye(output.size, dtype=output.dtype))
        h = [product.as_vectors(others[product.where]) for product in products]
        delta = [
            jax.vmap(product.as_gradients, (0, None))(deltas[product.where], vectors)
            for product, vectors in zip(products, h, strict=True)
        ]
        rest = [gradient.reshape(output.size, -1) for gradient in gradients.values()]
        return _Features(h, delta, rest)

    return products, features


def _flat_output(output: Any) -> Array:
    if not eqx.is_inexact_array(output):
        kind = type(output).__name__ if not eqx.is_array(output) else f"an array of {output.dtype}"
        raise ValueError(f"the module must return one array of floats, not {kind}")
    return output.reshape(-1)


def _outer_products(h: Array, d: Array, h2: Array, d2: Array, trace: bool) -> Array:
    """`sum_b (h_b.h'_b)(delta_b.delta'_b)`, one batch index (member) at a time."""

    def term(h: Array, d: Array, h2: Array, d2: Array) -> Array:
        inner = h @ h2.T
        if trace:
            return inner * _contract(d, d2, trace)
        return inner[:, None, :, None] * _contract(d, d2, trace)

    # (examples, [outputs,] batch, size): the free axis has length 1
    batched = [jnp.moveaxis(array[..., 0], -2, 0) for array in (h, d, h2, d2)]
    first = term(*(array[0] for array in batched))
    if len(batched[0]) == 1:
        return first
    rest = tuple(array[1:] for array in batched)
    return jax.lax.scan(lambda total, member: (total + term(*member), None), first, rest)[0]


def _formed_gradients(h: Array, d: Array, h2: Array, d2: Array, trace: bool) -> Array:
    """The same where a weight meets several vectors at once: its gradient is formed."""
    one = jnp.einsum("nbip,nabop->naboi", h, d)
    two = jnp.einsum("nbip,nabop->naboi", h2, d2)
    one, two = (gradient.reshape(*gradient.shape[:2], -1) for gradient in (one, two))
    return _contract(one, two, trace)


def _contract(one: Array, two: Array, trace: bool) -> Array:
    """(n1, outputs, size) with (n2, outputs, size): (n1, outputs, n2, outputs), or its trace."""
    if trace:
        return one.reshape(len(one), -1) @ two.reshape(len(two), -1).T
    return jnp.einsum("nai,mbi->namb", one, two)
