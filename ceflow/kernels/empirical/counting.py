"""Costs of the methods that compute an empirical kernel: flops, and sizes of intermediates."""

import math

from jax.extend import core

from ceflow.kernels.costs import Shape, formed_flops, met_flops
from ceflow.kernels.empirical.layouts import Convolution, Product, Sizes, shape
from ceflow.kernels.empirical.networks import Network
from ceflow.kernels.empirical.uses import functions_in


def forms_gradient(sizes: Sizes, asked: Shape) -> bool:
    """Return whether forming a weight's gradient is cheaper than a Gram matrix over positions.

    The entries of that matrix are `(h_p.h'_p')(delta_p.delta'_p')`.
    """
    return _formed_flops(sizes, asked) < _outer_flops(sizes, asked)


def _formed_flops(sizes: Sizes, asked: Shape) -> float:
    weights = sizes.batch * sizes.out * sizes.contracted
    return formed_flops(weights, sizes.free, asked.n1 + asked.n2, asked)


def _outer_flops(sizes: Sizes, asked: Shape) -> float:
    meetings = asked.n1 * asked.n2 * sizes.batch * sizes.free**2
    return met_flops(meetings, sizes.contracted, sizes.out, asked) + 2 * meetings * asked.entries


def structured_flops(network: Network, formed: set[int], asked: Shape) -> float:
    """Count the flops of the structured method: features and contractions."""
    tapped = {use.leaf for use in network.uses}
    total = (asked.n1 + asked.n2) * (1 + 2 * asked.outputs) * flops(network.closed.jaxpr)
    for use in network.uses:
        count = _formed_flops if use.leaf in formed else _outer_flops
        total += count(use.layout.sizes, asked)
    loose = sum(leaf.size for index, leaf in enumerate(network.leaves) if index not in tapped)
    return total + 2 * asked.n1 * asked.n2 * asked.pairs * loose


def products_flops(network: Network, asked: Shape) -> float:
    """Count the flops of the method by NTK-vector products.

    It takes one backward pass for each example and output of x1, and for each of these a
    forward-mode pass over all of x2.
    """
    passes = 3 * asked.n1 * asked.outputs * (1 + asked.n2)
    return passes * flops(network.closed.jaxpr)


def flops(jaxpr: core.Jaxpr) -> float:
    """Count the flops of evaluating a jaxpr; a loop of unknown length counts as one iteration."""
    return sum(_equation_flops(equation) for equation in jaxpr.eqns)


def _equation_flops(equation: core.JaxprEqn) -> float:
    inner = [flops(each) for each in functions_in(equation)]
    if inner:
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        return times * max(inner)
    if equation.primitive.name == "dot_general":
        return _product_flops(Product.from_equation(equation, 0).sizes)
    if equation.primitive.name == "conv_general_dilated":
        return _product_flops(Convolution.from_equation(equation).sizes)
    return sum(math.prod(shape(var)) for var in equation.outvars)


def _product_flops(sizes: Sizes) -> float:
    return 2.0 * math.prod(sizes)


def size_of_values(jaxpr: core.Jaxpr) -> float:
    """Count the numbers in all values that evaluating a jaxpr computes, with loops unrolled."""
    total = 0.0
    for equation in jaxpr.eqns:
        inner = [size_of_values(each) for each in functions_in(equation)]
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += times * max(inner, default=0.0)
        total += sum(math.prod(shape(var)) for var in equation.outvars)
    return total
