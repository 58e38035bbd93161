"""This module names the solvers of the language, and adds a stabilised explicit one to diffrax's.

The Runge-Kutta-Chebyshev method is for stiff flows whose Jacobian is too large to solve with.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import diffrax as dfx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float, PyTree

from ceflow._words import one_of

DAMPING = 2 / 13
STABILITY = 0.65
"""A step of s stages is stable up to h rho = 0.65 (s^2 - 1), a little below the exact bound."""

SAFETY = 1.15
"""Factor on the estimate of the spectral radius, which the power method approaches from below."""

MOST = 1000
"""Largest number of stages per step. A step that needs more is rejected and shortened."""

START = 12
"""Power iterations at the start, from the field itself; later one a step, from the last vector."""


LOOP = "lax"
"""How diffrax loops over the stages of a step: plainly. Its loop that can be differentiated in
reverse takes more than twice as long to trace, and nothing asks for that here."""


class RungeKuttaChebyshev(dfx.AbstractAdaptiveSolver):
    """Takes steps by the Runge-Kutta-Chebyshev method of order 2 (Sommeijer, Shampine and Verwer,
    J. Comput. Appl. Math. 88, 1998).

    s stages are stable for real negative eigenvalues up to about 0.65 s^2/h, against 3.3/h for the
    6 of Tsit5: gradient flows have such a spectrum, with few large eigenvalues. The number of
    stages is chosen at each step from the spectral radius of the field's Jacobian, by the power
    method, and is 1,000 at most. Error by the embedded estimate of order 2, dense output by cubic
    Hermite polynomials.
    """

    term_structure: ClassVar = dfx.AbstractTerm
    interpolation_cls: ClassVar = dfx.ThirdOrderHermitePolynomialInterpolation

    def order(self, terms: PyTree) -> int:
        return 2

    def error_order(self, terms: PyTree) -> int:
        return 3

    def init(self, terms: Any, t0: Any, t1: Any, y0: PyTree, args: Any) -> tuple[PyTree, PyTree]:
        slope = terms.vf(t0, y0, args)
        vector = jax.lax.fori_loop(
            0, START, lambda _, v: _power(terms, t0, y0, args, v)[0], _unit(slope)
        )
        return slope, vector

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: PyTree, args: Any, solver_state: Any, made_jump: Any
    ) -> Any:
        slope, vector = solver_state
        step = t1 - t0
        vector, radius = _power(terms, t0, y0, args, vector)
        wanted = jnp.ceil(jnp.sqrt(1 + SAFETY * step * radius / STABILITY))
        too_many = wanted > MOST
        stages = jnp.where(too_many, 2, wanted).astype(int)

        def field(fraction: Any, y: PyTree) -> PyTree:
            return terms.vf(t0 + fraction * step, y, args)

        y1, slope1 = _stages(field, step, y0, slope, jnp.maximum(stages, 2))
        error = jax.tree.map(
            lambda a, b, f, g: jnp.where(
                too_many, jnp.inf, 0.8 * (a - b) + 0.4 * step * (f + g)
            ),
            y0, y1, slope, slope1,
        )  # fmt: skip
        ends = {"k0": _scaled(step, slope), "k1": _scaled(step, slope1)}
        dense = {"y0": y0, "y1": y1, **ends}
        return y1, error, dense, (slope1, vector), dfx.RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: PyTree, args: Any) -> PyTree:
        return terms.vf(t0, y0, args)


def _scaled(factor: Any, tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: factor * leaf, tree)


def _unit(tree: PyTree) -> PyTree:
    norm = optx.two_norm(tree)
    return _scaled(jnp.where(norm > 0, 1 / jnp.where(norm > 0, norm, 1), 0), tree)


def _power(terms: Any, t: Any, y: PyTree, args: Any, vector: PyTree) -> tuple[PyTree, Array]:
    """Make one power iteration on the field's Jacobian at y: the next unit vector, and |J v|."""
    _, product = jax.jvp(lambda y: terms.vf(t, y, args), (y,), (vector,))
    return _unit(product), optx.two_norm(product)


def _stages(
    field: Any, step: Float[Array, ""], y0: PyTree, slope: PyTree, stages: Array
) -> tuple[PyTree, PyTree]:
    """Compute y(t + h) and the field there.

    By the three-term recursion of the shifted Chebyshev polynomials, whose values, first and second
    derivatives at w0 are carried along."""
    w0 = 1 + DAMPING / stages.astype(step.dtype) ** 2
    w1 = _w1(w0, stages)

    b = 1 / (4 * w0**2)  # T_2''/T_2'^2, which the first two take too

    def stage(j: Array, carry: Any) -> Any:
        (cheb, old_cheb), (b, old_b), (c, old_c), (y, old_y), f = carry
        cheb, old_cheb = _next(w0, cheb, old_cheb), cheb
        first = j == 1
        new_b = jnp.where(j <= 2, b, cheb[2] / cheb[1] ** 2)
        mu, nu = (jnp.where(first, 0, part) for part in (2 * new_b * w0 / b, -new_b / old_b))
        tilde = jnp.where(first, 1, 2) * new_b * w1 / jnp.where(first, 1, b)
        gamma = jnp.where(first, 0, -(1 - b * old_cheb[0]) * tilde)

        def combine(y0: Array, y: Array, old_y: Array, f: Array, f0: Array) -> Array:
            rest = (1 - mu - nu) * y0 + mu * y + nu * old_y
            return rest + step * (tilde * f + gamma * f0)

        new_y = jax.tree.map(combine, y0, y, old_y, f, slope)
        new_c = mu * c + nu * old_c + tilde + gamma
        return (cheb, old_cheb), (new_b, b), (new_c, c), (new_y, y), field(new_c, new_y)

    one, zero = jnp.ones_like(w0), jnp.zeros_like(w0)
    chebyshev = (jnp.stack([one, zero, zero]), jnp.stack([w0, one, zero]))  # T_0 and T_-1 = T_1
    start = (chebyshev, (b, b), (zero, zero), (y0, y0), slope)
    *_, (y, _), f = jax.lax.fori_loop(1, stages + 1, stage, start)
    return y, f


def _next(w0: Array, now: Array, before: Array) -> Array:
    """Compute `T_j, T_j', T_j''` from those of j - 1 and j - 2."""
    return 2 * w0 * now + 2 * jnp.stack([jnp.zeros_like(w0), now[0], 2 * now[1]]) - before


def _w1(w0: Array, stages: Array) -> Array:
    """Compute `T_s'(w0)/T_s''(w0)`, in closed form by s arccosh w0."""
    s = stages.astype(w0.dtype)
    root = jnp.sqrt((w0 - 1) * (w0 + 1))
    angle = s * jnp.log1p(w0 - 1 + root)
    first = s * jnp.sinh(angle) / root
    second = (s**2 * jnp.cosh(angle) - w0 * first) / root**2
    return first / second


def _kvaerno5(rtol: float, atol: float) -> dfx.AbstractSolver:
    """Solve its equations to the tolerances; in float32 to about 1e-4: more steps, no gain."""
    finder = dfx.VeryChord(rtol=rtol, atol=atol, norm=optx.rms_norm)
    return dfx.Kvaerno5(root_finder=finder, scan_kind=LOOP)


SOLVERS: dict[str, Callable[[float, float], dfx.AbstractSolver]] = {
    "tsit5": lambda rtol, atol: dfx.Tsit5(scan_kind=LOOP),
    "dopri8": lambda rtol, atol: dfx.Dopri8(scan_kind=LOOP),
    "kvaerno5": _kvaerno5,
    "rkc": lambda rtol, atol: RungeKuttaChebyshev(),
}
"""Each is made with the tolerances, which an implicit one needs for its equations."""


class Method(NamedTuple):
    """A method is a solver and its control of the step size."""

    solver: dfx.AbstractSolver
    controller: dfx.PIDController


def method_named(name: str, rtol: float, atol: float) -> Method:
    """Find a solver of the language, with steps whose error is about `atol + rtol |state|`."""
    one_of("solver", name, SOLVERS)
    if not (rtol > 0 and atol >= 0):
        raise ValueError(f"rtol must be above 0 and atol 0 or more, not {rtol} and {atol}")
    return Method(SOLVERS[name](rtol, atol), dfx.PIDController(rtol=rtol, atol=atol))
