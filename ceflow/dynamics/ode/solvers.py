"""Solvers that specs can name: some of diffrax's, and a stabilised explicit one.

The latter, the Runge-Kutta-Chebyshev method, is for stiff flows whose Jacobian is too large for the
linear systems of an implicit method.
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
"""Damping epsilon of the Runge-Kutta-Chebyshev method."""

STABILITY_FACTOR = 0.65
"""A step h of s stages is stable up to h rho = 0.65 (s^2 - 1), for a spectral radius rho; the exact
bound is a little higher."""

RADIUS_FACTOR = 1.15
"""Factor on the power method's estimate of the spectral radius, which approaches it from below."""

MOST_STAGES = 1000
"""Largest number of stages per step. A step that needs more is rejected and shortened."""

POWER_ITERATIONS = 12
"""Power iterations at the start, from the field itself. Each step makes one more, from the last
vector."""

STAGE_LOOP = "lax"
"""Kind of diffrax's loop over the stages of a step. Its default, which can be differentiated in
reverse, takes more than twice as long to trace; integrations are never differentiated here."""


class RungeKuttaChebyshev(dfx.AbstractAdaptiveSolver):
    """The Runge-Kutta-Chebyshev method of order 2.

    The method is due to Sommeijer, Shampine and Verwer (J. Comput. Appl. Math. 88, 1998). A step h
    of s stages is stable for real negative eigenvalues up to about 0.65 s^2/h; the 6 stages of
    Tsit5 are stable up to 3.3/h. Gradient flows have such a spectrum, with few large eigenvalues.
    At each step, the number of stages is chosen from the spectral radius of the field's Jacobian,
    which the power method estimates; it is at most 1,000. The error is estimated by the embedded
    estimate of order 2, and dense output uses cubic Hermite polynomials.
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
            0, POWER_ITERATIONS, lambda _, v: _power(terms, t0, y0, args, v)[0], _unit(slope)
        )
        return slope, vector

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: PyTree, args: Any, solver_state: Any, made_jump: Any
    ) -> Any:
        slope, vector = solver_state
        step = t1 - t0
        vector, radius = _power(terms, t0, y0, args, vector)
        wanted = jnp.ceil(jnp.sqrt(1 + RADIUS_FACTOR * step * radius / STABILITY_FACTOR))
        too_many = wanted > MOST_STAGES
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
    """Make one power iteration on the field's Jacobian J at y; return `J v/|J v|` and `|J v|`."""
    _, product = jax.jvp(lambda y: terms.vf(t, y, args), (y,), (vector,))
    return _unit(product), optx.two_norm(product)


def _stages(
    field: Any, step: Float[Array, ""], y0: PyTree, slope: PyTree, stages: Array
) -> tuple[PyTree, PyTree]:
    """Compute y(t + h) and the field at it, for a step h.

    The stages follow the three-term recursion of the shifted Chebyshev polynomials. The values and
    the first two derivatives of these at w0 are carried along.
    """
    w0 = 1 + DAMPING / stages.astype(step.dtype) ** 2
    w1 = _w1(w0, stages)

    b = 1 / (4 * w0**2)  # T_2''/T_2'^2, also used by the first two stages

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
    """Compute `T_j, T_j', T_j''` at w0 from those for j - 1 (`now`) and j - 2 (`before`)."""
    return 2 * w0 * now + 2 * jnp.stack([jnp.zeros_like(w0), now[0], 2 * now[1]]) - before


def _w1(w0: Array, stages: Array) -> Array:
    """Compute `T_s'(w0)/T_s''(w0)`, in closed form, from s arccosh w0."""
    s = stages.astype(w0.dtype)
    root = jnp.sqrt((w0 - 1) * (w0 + 1))
    angle = s * jnp.log1p(w0 - 1 + root)
    first = s * jnp.sinh(angle) / root
    second = (s**2 * jnp.cosh(angle) - w0 * first) / root**2
    return first / second


def _kvaerno5(rtol: float, atol: float) -> dfx.AbstractSolver:
    """Return Kvaerno5, which solves its stage equations to the given tolerances.

    In float32 they are solved to about 1e-4 only, so smaller tolerances cost steps without gain.
    """
    finder = dfx.VeryChord(rtol=rtol, atol=atol, norm=optx.rms_norm)
    return dfx.Kvaerno5(root_finder=finder, scan_kind=STAGE_LOOP)


SOLVERS: dict[str, Callable[[float, float], dfx.AbstractSolver]] = {
    "tsit5": lambda rtol, atol: dfx.Tsit5(scan_kind=STAGE_LOOP),
    "dopri8": lambda rtol, atol: dfx.Dopri8(scan_kind=STAGE_LOOP),
    "kvaerno5": _kvaerno5,
    "rkc": lambda rtol, atol: RungeKuttaChebyshev(),
}
"""Functions of rtol and atol that return each solver; implicit solvers use these tolerances for
their stage equations."""


class Method(NamedTuple):
    """A solver and its control of the step size."""

    solver: dfx.AbstractSolver
    controller: dfx.PIDController


def method_named(name: str, rtol: float, atol: float) -> Method:
    """Return the solver of a name, with a step size control for errors `atol + rtol |state|`.

    Raises `ValueError` for an unknown name, and for tolerances out of range.
    """
    one_of("solver", name, SOLVERS)
    if not (rtol > 0 and atol >= 0):
        raise ValueError(f"rtol must be above 0 and atol 0 or more, not {rtol} and {atol}")
    return Method(SOLVERS[name](rtol, atol), dfx.PIDController(rtol=rtol, atol=atol))
