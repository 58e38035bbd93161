"""Solvers by their names in the language, and which one to take."""

from collections.abc import Callable
from typing import NamedTuple

import diffrax as dfx
import optimistix as optx

from ceflow.dynamics.ode.chebyshev import RungeKuttaChebyshev

STIFF = 400.0
"""Above this stiffness Tsit5 is held by stability, not accuracy, and the stabilised method needs a
third of its evaluations of the field or fewer (erf, 100 images of MNIST, rtol 1e-4: half of them at
240, a fifth at 500, a twelfth at 3,000)."""

LOOSE = 1e-5
"""Below this rtol a method of order 2 takes more steps than stability asks of Tsit5."""

DENSE = 400
"""Numbers in a state up to which the systems of an implicit method are cheap."""


def _kvaerno5(rtol: float, atol: float) -> dfx.AbstractSolver:
    """In float32 its equations are not solved to better than about 1e-4: more steps, no gain."""
    return dfx.Kvaerno5(root_finder=dfx.VeryChord(rtol=rtol, atol=atol, norm=optx.rms_norm))


SOLVERS: dict[str, Callable[[float, float], dfx.AbstractSolver]] = {
    "tsit5": lambda rtol, atol: dfx.Tsit5(),
    "dopri8": lambda rtol, atol: dfx.Dopri8(),
    "kvaerno5": _kvaerno5,
    "rkc": lambda rtol, atol: RungeKuttaChebyshev(),
}
"""Each is made with the tolerances, which an implicit one needs for its equations."""


class Method(NamedTuple):
    """A solver and its control of the step size."""

    solver: dfx.AbstractSolver
    controller: dfx.PIDController


def method_named(name: str, rtol: float, atol: float) -> Method:
    """A solver of the language, with steps whose error is about `atol + rtol |state|`."""
    if name not in SOLVERS:
        raise ValueError(f"a solver is one of {', '.join(SOLVERS)}, not {name!r}")
    if not (rtol > 0 and atol >= 0):
        raise ValueError(f"rtol must be above 0 and atol 0 or more, not {rtol} and {atol}")
    return Method(SOLVERS[name](rtol, atol), dfx.PIDController(rtol=rtol, atol=atol))


def default_solver(
    stiffness: float,
    *,
    size: int,
    smooth: bool = True,
    rtol: float = 1e-4,
    precise: bool = True,
) -> str:
    """Which solver to take for a flow, by name.

    `stiffness` is the largest eigenvalue of the kernel times mu t (for reduction "mean", divided by
    the number of examples); `size` counts the numbers of the state; `smooth` is False for networks
    with kinks (ReLU), where methods of order 2 gain nothing. Tsit5 unless the flow is stiff: it
    needs about 1.7 evaluations of the field for each unit of stiffness. Then Kvaerno5, whose steps
    solve dense systems, for states of up to 400 numbers in float64 (`precise`: in float32 the
    systems are not solved well enough, and it may reject steps without end), else the stabilised
    explicit method where it wins: smooth fields and rtol of 1e-5 or more.

    >>> default_solver(50, size=10), default_solver(1e4, size=10), default_solver(1e4, size=10**6)
    ('tsit5', 'kvaerno5', 'rkc')
    """
    if stiffness <= STIFF:
        return "tsit5"
    if size <= DENSE and precise:
        return "kvaerno5"
    return "rkc" if smooth and rtol >= LOOSE else "tsit5"
