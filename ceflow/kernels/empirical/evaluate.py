"""Evaluating a jaxpr equation by equation, to look into it or to change it on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jax.extend import core
from jaxtyping import Array

from ceflow.kernels.empirical.uses import Where, called


def apply(around: core.Jaxpr, equation: core.JaxprEqn, inputs: list[Any]) -> list[Any]:
    """Evaluate one equation as JAX itself would.

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


@dataclass(frozen=True)
class Evaluation:
    """An evaluation with `taps` added to the outputs of their equations, each by `apply`.

    A tap is a zero whose gradient is then that at the equation's output. The operands that are
    `wanted` are put into `handed` on the way.
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
