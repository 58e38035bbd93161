"""Solvers by their names in the language."""

from collections.abc import Callable
from typing import NamedTuple

import diffrax as dfx
import optimistix as optx

from ceflow.dynamics.ode.chebyshev import RungeKuttaChebyshev


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
