"""Evaluation of a jaxpr equation by equation, to observe or change intermediate values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jax.extend import core
from jaxtyping import Array

from ceflow.kernels.empirical.uses import Where, called


def apply(around: core.Jaxpr, equation: core.JaxprEqn, inputs: list[Any]) -> list[Any]:
    """Evaluate one equation as JAX itself would.

    The equation is wrapped in a jaxpr of its own, because `jaxpr_as_fun` is public, while the way
    to bind a primitive changes between JAX releases.
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


@dataclass(frozen=True)
class Evaluation:
    """A callable that evaluates a jaxpr, each equation by `apply`.

    `taps` are zeros added to the outputs of equations, so that a tap's gradient is the gradient at
    that output. `wanted` names operands by equation; their values are stored in `handed`.
    """

    taps: Mapping[Where, Array] = field(default_factory=dict)
    wanted: Mapping[Where, int] = field(default_factory=dict)
    apply: Callable[[core.Jaxpr, core.JaxprEqn, list[Any]], list[Any]] = apply
    handed: dict[Where, Array] = field(default_factory=dict)

    def __call__(
        self, closed: core.ClosedJaxpr, arguments: Sequence[Array], above: Where = ()
    ) -> list[Array]:
        """Compute the outputs."""
        jaxpr = closed.jaxpr
        values: dict[core.Var, Array] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
        values |= dict(zip(jaxpr.invars, arguments, strict=True))

        def value(var: Any) -> Any:
            return var.val if isinstance(var, core.Literal) else values[var]

        for index, equation in enumerate(jaxpr.eqns):
            where, inputs = (*above, index), [value(var) for var in equation.invars]
            inner = called(equation)
            if inner is None:
                outputs = self.apply(jaxpr, equation, inputs)
            else:
                outputs = self(inner, inputs, where)
            if where in self.wanted:
                self.handed[where] = inputs[self.wanted[where]]
            if where in self.taps:
                outputs = [outputs[0] + self.taps[where]]
            values |= dict(zip(equation.outvars, outputs, strict=True))
        return [value(var) for var in jaxpr.outvars]
