"""Rewriting the convolutions of a traced function into forms that this backend computes fast."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.extend import core

from ceflow.kernels.empirical.evaluate import Evaluation, apply
from ceflow.nets.convolving import Convolving

Result = TypeVar("Result")


def lowered(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return an equivalent function whose convolutions are fast on this backend.

    Apply this outside of `jax.vjp` and `jax.vmap`, so that their convolutions are rewritten too.
    """
    if jax.default_backend() != "cpu":
        return function

    def call(*arguments: Any) -> Result:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        outputs = Evaluation(apply=_fast)(closed, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return call


def _fast(around: core.Jaxpr, equation: core.JaxprEqn, inputs: list[Any]) -> list[Any]:
    if equation.primitive.name != "conv_general_dilated":
        return apply(around, equation, inputs)
    return [Convolving.of(equation.params)(*inputs)]
