"""The matrix products and convolutions of a traced function, as layers whose costs are known."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jax.extend import core

from ceflow.compiler import nodes

UNCOUNTED = ("while", "cond")
"""Primitives whose work depends on numbers that are not known."""


@dataclass
class Traced:
    """The products that a function computes for one example."""

    flops: float = 0.0
    """FLOPs of all matrix products and convolutions, two per multiply-add; NaN if a loop or a
    branch depends on numbers."""
    layers: list[nodes.Dense | nodes.Convolution] = field(default_factory=list)
    """The products of the example's values with weights."""
    calls_back: bool = False
    """True if the function calls Python while it runs."""


def traced(jaxpr: core.Jaxpr, of_example: Sequence[bool]) -> Traced:
    """Find the products in a function; `of_example` tells which arguments are of the example, and
    not weights.

    >>> import jax, jax.numpy as jnp
    >>> made = jax.make_jaxpr(lambda w, x: jnp.tanh(w @ x))(jnp.ones((3, 2)), jnp.ones(2))
    >>> found = traced(made.jaxpr, [False, True])
    >>> found.flops, found.layers[0].parameters
    (12.0, 6)
    """
    found = Traced()
    _walk(jaxpr, of_example, 1, found)
    return found


def _walk(jaxpr: core.Jaxpr, of_example: Sequence[bool], times: int, found: Traced) -> list[bool]:
    """Walk through a function; return which of its outputs depend on the example."""
    moving = {var for var, moves in zip(jaxpr.invars, of_example, strict=True) if moves}

    def moves(var: Any) -> bool:
        return not isinstance(var, core.Literal) and var in moving

    for equation in jaxpr.eqns:
        name, given = equation.primitive.name, [moves(var) for var in equation.invars]
        outputs = [any(given)] * len(equation.outvars)
        if name in UNCOUNTED:
            found.flops = math.nan
        elif "callback" in name:
            found.calls_back = True
        elif name in PRODUCTS:
            _count(equation, given, times, found)
        for inner in _functions_in(equation):
            often = times * equation.params.get("length", 1)
            inside = given[-len(inner.invars) :] if inner.invars else []
            if len(inside) == len(inner.invars):
                outputs = _walk(inner, inside, often, found)
        moving |= {var for var, moved in zip(equation.outvars, outputs, strict=False) if moved}
    return [moves(var) for var in jaxpr.outvars]


def _count(equation: core.JaxprEqn, given: Sequence[bool], times: int, found: Traced) -> None:
    fan_in, outputs, groups, positions = PRODUCTS[equation.primitive.name](equation, given)
    found.flops += 2.0 * times * fan_in * outputs * positions
    if all(given):
        return
    if positions == 1:
        layer = nodes.Dense(groups * fan_in, outputs, 1.0, 0.0, groups)
    elif (square := _square(equation, outputs, groups)) is not None:
        layer = square
    else:  # of the same costs
        image = (groups * fan_in, positions, 1)
        layer = nodes.Convolution(image, outputs, 1, 1, groups, 1.0, 0.0, (0, 0))
    found.layers += [layer] * times


def _square(equation: core.JaxprEqn, outputs: int, groups: int) -> nodes.Convolution | None:
    """Return a convolution over two axes that are treated alike; None if it is another."""
    asked = equation.params
    if "window_strides" not in asked or len(asked["window_strides"]) != 2:
        return None
    numbers, (x, kernel) = asked["dimension_numbers"], map(_shape, equation.invars)
    channels, *image = (x[axis] for axis in numbers.lhs_spec[1:])
    size = {kernel[axis] for axis in numbers.rhs_spec[2:]}
    stride, padding = {*asked["window_strides"]}, {*map(tuple, asked["padding"])}
    plain = {*asked["lhs_dilation"], *asked["rhs_dilation"]} == {1}
    if not plain or {len(size), len(stride), len(padding)} != {1} or x[numbers.lhs_spec[0]] != 1:
        return None
    return nodes.Convolution(
        (channels, *image),
        outputs,
        size.pop(),
        stride.pop(),
        groups,
        weight_variance=1.0,
        bias_variance=0.0,
        padding=padding.pop(),
    )


def _product(equation: core.JaxprEqn, given: Sequence[bool]) -> tuple[int, int, int, int]:
    """Return fan-in, outputs, groups and positions of a product of arrays."""
    (contracted, _), (batched, _) = equation.params["dimension_numbers"]
    shapes = [_shape(var) for var in equation.invars]
    fan_in = math.prod(shapes[0][axis] for axis in contracted)
    groups = math.prod(shapes[0][axis] for axis in batched)
    free = [math.prod(shape) // max(1, fan_in * groups) for shape in shapes]
    positions, outputs = free if given[0] else reversed(free)  # weights may be on either side
    return fan_in, groups * outputs, groups, positions


def _convolution(equation: core.JaxprEqn, given: Sequence[bool]) -> tuple[int, int, int, int]:
    """Return fan-in, outputs, groups and positions of a convolution."""
    numbers, kernel = equation.params["dimension_numbers"], _shape(equation.invars[1])
    channels = kernel[numbers.rhs_spec[0]]
    positions = math.prod(_shape(equation.outvars[0])) // channels
    return (
        math.prod(kernel) // channels,
        channels,
        equation.params["feature_group_count"],
        positions,
    )


def _shape(var: Any) -> tuple[int, ...]:
    return var.aval.shape


PRODUCTS = {"dot_general": _product, "conv_general_dilated": _convolution}


def _functions_in(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    """Yield the functions that an equation calls: for a custom derivative, the function itself."""
    for parameter in equation.params.values():
        for each in parameter if isinstance(parameter, tuple | list) else [parameter]:
            inner = getattr(each, "jaxpr", each)
            if isinstance(inner, core.Jaxpr):
                yield inner
