"""Finding, in any traced function, the matrix products that weights go through.

A weight W that is used once, in a product W h, has the gradient delta h^T, where delta is the
gradient at the product's output. Two such gradients have the inner product (h.h')(delta.delta'),
so the NTK needs h and delta but never the gradient itself. This module finds those products in the
jaxpr of a function and evaluates it with a *tap* at each: a zero added to the product's output,
whose gradient is delta, while h is handed out. No layer has to know of it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array

Where = tuple[int, ...]
"""The index of an equation, after those of the calls around it."""


@dataclass(frozen=True)
class Product:
    """A `dot_general` of one weight with something else, the weight's only use.

    `leaf` numbers the weight, `side` says which operand it is, and the other fields are the axes
    of the other operand: batched, contracted, and free.
    """

    leaf: int
    where: Where
    side: int
    shape: tuple[int, ...]
    batch: tuple[int, ...]
    contracted: tuple[int, ...]
    free: tuple[int, ...]

    @property
    def is_outer_product(self) -> bool:
        """Whether the gradient is one outer product for each batch index."""
        return not self.free

    def as_vectors(self, other: Array) -> Array:
        """The other operand h as (batch, contracted, free)."""
        moved = jnp.transpose(other, (*self.batch, *self.contracted, *self.free))
        sizes = [math.prod(other.shape[axis] for axis in axes) for axes in self._axes()]
        return moved.reshape(sizes)

    def as_gradients(self, delta: Array, h: Array) -> Array:
        """The gradient at the output as (batch, weight's free, h's free); `h` as vectors."""
        batch, _, free = h.shape
        if self.side == 0:
            return delta.reshape(batch, -1, free)
        return jnp.swapaxes(delta.reshape(batch, free, -1), 1, 2)

    def _axes(self) -> tuple[tuple[int, ...], ...]:
        return self.batch, self.contracted, self.free


def find_products(jaxpr: core.Jaxpr, weights: Sequence[core.Var]) -> list[Product]:
    """The products of weights that are used once and nowhere else."""
    origins = {var: leaf for leaf, var in enumerate(weights)}
    uses = list(_uses(jaxpr, origins, ()))
    counts = [sum(leaf == index for leaf, _ in uses) for index in range(len(weights))]
    return [use for leaf, use in uses if use is not None and counts[leaf] == 1]


def _uses(
    jaxpr: core.Jaxpr, origins: dict[core.Var, int], above: Where
) -> Iterator[tuple[int, Product | None]]:
    """Every use of every weight: its number, and the product where it is one."""
    for index, equation in enumerate(jaxpr.eqns):
        where = (*above, index)
        leaves = [
            None if isinstance(var, core.Literal) else origins.get(var) for var in equation.invars
        ]
        inner = _called(equation)
        if inner is not None:
            inputs = zip(inner.jaxpr.invars, leaves, strict=True)
            below = {var: leaf for var, leaf in inputs if leaf is not None}
            yield from _uses(inner.jaxpr, below, where)
            continue
        for side, leaf in enumerate(leaves):
            if leaf is not None:
                yield leaf, _product(equation, leaf, side, leaves, where)
    for var in jaxpr.outvars:
        if not isinstance(var, core.Literal) and var in origins:
            yield origins[var], None


def _product(
    equation: core.JaxprEqn, leaf: int, side: int, leaves: list[int | None], where: Where
) -> Product | None:
    if equation.primitive.name != "dot_general" or leaves[1 - side] is not None:
        return None
    contracted, batch = (axes[1 - side] for axes in equation.params["dimension_numbers"])
    other, output = (_shape(var) for var in (equation.invars[1 - side], equation.outvars[0]))
    free = tuple(axis for axis in range(len(other)) if axis not in (*batch, *contracted))
    return Product(leaf, where, side, output, tuple(batch), tuple(contracted), free)


def _shape(var: Any) -> tuple[int, ...]:
    return var.aval.shape


def _called(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """The function that an equation merely calls."""
    if equation.primitive.name in ("jit", "pjit", "closed_call", "core_call"):
        return equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    return None


def evaluate(
    closed: core.ClosedJaxpr,
    arguments: Sequence[Array],
    taps: dict[Where, Array],
    sides: dict[Where, int],
) -> tuple[list[Array], dict[Where, Array]]:
    """The outputs with `taps` added at their products, and the other operand of each."""
    others: dict[Where, Array] = {}
    outputs = _evaluate(closed, arguments, taps, sides, (), others)
    return outputs, others


def _evaluate(
    closed: core.ClosedJaxpr,
    arguments: Sequence[Array],
    taps: dict[Where, Array],
    sides: dict[Where, int],
    above: Where,
    others: dict[Where, Array],
) -> list[Array]:
    values: dict[core.Var, Array] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    values |= dict(zip(closed.jaxpr.invars, arguments, strict=True))

    def value(var: Any) -> Any:
        return var.val if isinstance(var, core.Literal) else values[var]

    for index, equation in enumerate(closed.jaxpr.eqns):
        where = (*above, index)
        inputs = [value(var) for var in equation.invars]
        inner = _called(equation)
        if inner is not None:
            outputs = _evaluate(inner, inputs, taps, sides, where, others)
        else:
            outputs = _apply(closed.jaxpr, equation, inputs)
        if where in taps:
            others[where] = inputs[1 - sides[where]]
            outputs = [outputs[0] + taps[where]]
        values |= dict(zip(equation.outvars, outputs, strict=True))
    return [value(var) for var in closed.jaxpr.outvars]


def _apply(around: core.Jaxpr, equation: core.JaxprEqn, inputs: list[Any]) -> list[Any]:
    """One equation as JAX itself would evaluate it.

    As a jaxpr of its own: how a primitive is bound to its parameters changes between JAX releases,
    while `jaxpr_as_fun` is public.
    """
    given = {
        var: value
        for var, value in zip(equation.invars, inputs, strict=True)
        if not isinstance(var, core.Literal)
    }
    alone = around.replace(
        constvars=[],
        invars=list(given),
        outvars=equation.outvars,
        eqns=[equation],
        debug_info=around.debug_info.with_unknown_names(),
    )
    return core.jaxpr_as_fun(core.ClosedJaxpr(alone, []))(*given.values())
