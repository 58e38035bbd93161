"""Finding the products and convolutions of weights in a traced function.

A weight W that is used once, in W h, has the gradient delta h^T, where delta is the gradient at
the product's output. Two such gradients have the inner product (h.h')(delta.delta'), so the NTK
needs h and delta, but not W's own gradient. This module finds such uses in the jaxpr of any
function; layers need no special support.

Before the product, a weight may be transposed or reshaped, which does not change inner products of
gradients, or multiplied by a scalar, which scales h.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from jax.extend import core

from ceflow.kernels.empirical.layouts import Convolution, Layout, Product, shape

Where = tuple[int, ...]
"""Path to an equation: the indices of the enclosing calls, then its own index."""

_CALLS = ("jit", "pjit", "closed_call", "core_call")
_REARRANGES = ("transpose", "reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy", "neg")


class Scale(NamedTuple):
    """A multiplication (power 1) or division (power -1) by a scalar, which is operand `side`."""

    where: Where
    side: int
    power: int


@dataclass(frozen=True)
class Use:
    """The only use of a weight, one product or convolution.

    `leaf` is the index of the weight, `side` the operand of the equation at `where` that it is, and
    `scales` are the multiplications by scalars before it.
    """

    leaf: int
    where: Where
    side: int
    layout: Layout
    scales: tuple[Scale, ...]


class _Origin(NamedTuple):
    """The weight that a variable is a rearrangement of, and the scalars that scaled it."""

    leaf: int
    scales: tuple[Scale, ...] = ()


_Uses = list[tuple[int, Use | None]]
"""Every use of every weight: the weight's index, and the use, or None if it is no product."""


def find_uses(jaxpr: core.Jaxpr, weights: list[core.Var]) -> list[Use]:
    """Find the weights that are used exactly once, in a product or a convolution."""
    uses: _Uses = []
    outputs = _walk(jaxpr, [_Origin(leaf) for leaf in range(len(weights))], (), uses)
    uses.extend((origin.leaf, None) for origin in outputs if origin is not None)
    counts = [sum(leaf == index for leaf, _ in uses) for index in range(len(weights))]
    return [use for leaf, use in uses if use is not None and counts[leaf] == 1]


def called(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """Return the function that an equation calls, or None if it is not a plain call."""
    if equation.primitive.name in _CALLS:
        return equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    return None


def functions_in(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    """List the inner functions of an equation: called functions, branches and loop bodies."""
    functions: list[Any] = []
    for parameter in equation.params.values():
        each = parameter if isinstance(parameter, tuple | list) else [parameter]
        functions += [getattr(one, "jaxpr", one) for one in each]
    return [one for one in functions if isinstance(one, core.Jaxpr)]


def equations_in(jaxpr: core.Jaxpr) -> Iterator[core.JaxprEqn]:
    """Iterate over all equations, including those of inner functions."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in functions_in(equation):
            yield from equations_in(inner)


def _walk(
    jaxpr: core.Jaxpr, given: list[_Origin | None], above: Where, uses: _Uses
) -> list[_Origin | None]:
    """Record every use in a function, given the origins of its first inputs.

    Returns the origins of its outputs.
    """
    known = {
        var: origin for var, origin in zip(jaxpr.invars, given, strict=False) if origin is not None
    }

    def origin_of(var: Any) -> _Origin | None:
        return None if isinstance(var, core.Literal) else known.get(var)

    for index, equation in enumerate(jaxpr.eqns):
        where, origins = (*above, index), [origin_of(var) for var in equation.invars]
        inner = called(equation)
        if inner is not None:
            outputs = _walk(inner.jaxpr, origins, where, uses)
        else:
            outputs = [_passed_on(equation, origins, where)]
            _note(equation, origins, outputs[0], where, uses)
        found_here = zip(equation.outvars, outputs, strict=False)
        known |= {var: origin for var, origin in found_here if origin is not None}
    return [origin_of(var) for var in jaxpr.outvars]


def _note(
    equation: core.JaxprEqn,
    origins: list[_Origin | None],
    passed: _Origin | None,
    where: Where,
    uses: _Uses,
) -> None:
    for side, origin in enumerate(origins):
        if origin is not None and (passed is None or passed.leaf != origin.leaf):
            layout = _layout(equation, side, origins)
            use = layout and Use(origin.leaf, where, side, layout, origin.scales)
            uses.append((origin.leaf, use))


def _layout(equation: core.JaxprEqn, side: int, origins: list[_Origin | None]) -> Layout | None:
    name = equation.primitive.name
    if sum(origin is not None for origin in origins) > 1:
        return None
    if name == "dot_general":
        return Product.from_equation(equation, side)
    if name == "conv_general_dilated" and side == 1 and equation.params["batch_group_count"] == 1:
        return Convolution.from_equation(equation)
    return None


def _passed_on(
    equation: core.JaxprEqn, origins: list[_Origin | None], where: Where
) -> _Origin | None:
    """Return the origin of an equation's output if it is a weight, rearranged or scaled."""
    name, output = equation.primitive.name, equation.outvars[0]
    tensors = [side for side, var in enumerate(equation.invars) if shape(var)]
    weights = [side for side in tensors if origins[side] is not None]
    if len(weights) != 1 or not _keeps_entries(equation.invars[weights[0]], output):
        return None
    side, origin = weights[0], origins[weights[0]]
    assert origin is not None
    if name in _REARRANGES or name == "convert_element_type":
        return origin
    if (name == "mul" or (name == "div" and side == 0)) and not shape(equation.invars[1 - side]):
        scale = Scale(where, 1 - side, 1 if name == "mul" else -1)
        return _Origin(origin.leaf, (*origin.scales, scale))
    return None


def _keeps_entries(before: Any, after: Any) -> bool:
    """Return whether two values have the same number of entries and the same type."""
    same_size = math.prod(before.aval.shape) == math.prod(after.aval.shape)
    return same_size and before.aval.dtype == after.aval.dtype
