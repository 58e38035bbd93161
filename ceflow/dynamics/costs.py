"""Forecasts of the steps that each solver takes, and the choice of a solver. Loads no JAX."""

import math
from typing import NamedTuple

STIFF = 400.0
"""Stiffness above which stability, not accuracy, limits Tsit5, and the stabilised method needs a
third of its evaluations of the field or fewer (erf, 100 images of MNIST, rtol 1e-4: half of them at
240, a fifth at 500, a twelfth at 3,000)."""

LOOSE = 1e-5
"""Value of rtol below which a method of order 2 takes more steps than Tsit5 for stability."""

DENSE = 400
"""Largest state, in numbers, for which the linear systems of an implicit method are cheap."""


def default_solver(
    stiffness: float,
    *,
    size: int,
    smooth: bool = True,
    rtol: float = 1e-4,
    precise: bool = True,
) -> str:
    """Choose the solver for a flow, by name.

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


ORDERS = {"tsit5": 5, "dopri8": 8, "kvaerno5": 5, "rkc": 2}
"""Order of each solver."""

STAGES = {"tsit5": 6, "dopri8": 13, "kvaerno5": 20, "rkc": 10}
"""Evaluations of the field per step of each solver."""

STABLE = {"tsit5": 0.28, "dopri8": 0.2}
"""Steps per unit of stiffness that stability requires of an explicit solver."""

STABILISED = 8.0
"""Evaluations of the field by rkc per square root of the stiffness."""

BEGINNING = 8
"""Steps at rtol 1e-4 in addition to one per moment, mostly during the initial fall of the loss."""

KINKS = 3000
"""Typical steps at rtol 1e-6 due to the kinks of ReLU; measured numbers are 200 to 35,000, and not
predictable. At 1e-4 they are some tens."""

SPREAD = 1.0
"""Standard deviation of the logarithm of that number; the slowest of joint replicas counts."""

COPIED = 5
"""Copies of a state moved through memory per evaluation of the field."""

CUBIC = 12
"""FLOPs of an eigendecomposition over the cube of the rows, in equivalent time."""


class StepForecast(NamedTuple):
    """Forecast of an integration: attempted steps, and evaluations of the field.

    `known` tells whether the numbers are accurate within a factor of 2.
    """

    solver: str
    attempts: float
    evaluations: float
    known: bool

    def with_attempts(self, attempts: float) -> "StepForecast":
        """Return this forecast with another number of attempts."""
        each = self.evaluations / self.attempts
        return self._replace(attempts=attempts, evaluations=each * attempts)


def steps(
    stiffness: float,
    solver: str,
    *,
    size: float,
    moments: int,
    rtol: float,
    smooth: bool = True,
    precise: bool = True,
    together: int = 1,
) -> StepForecast:
    """Forecast the steps of a flow with a given stiffness that is recorded at `moments` times.

    The state has `size` numbers. The solver "auto" stands for that of `default_solver`, called with
    the same arguments. If `together` replicas step together, the slowest one counts.

    >>> steps(10, "auto", size=100, moments=20, rtol=1e-4)
    StepForecast(solver='tsit5', attempts=28.0, evaluations=168.0, known=True)
    """
    if solver == "auto":
        solver = default_solver(
            stiffness, size=int(size), smooth=smooth, rtol=rtol, precise=precise
        )
    beginning = BEGINNING * (1e-4 / rtol) ** (1 / ORDERS[solver])
    stable = STABLE.get(solver, 0.0) * stiffness
    attempts = max(moments + beginning, stable)
    if not smooth:
        most = math.exp(SPREAD * math.sqrt(2 * math.log(together)))
        attempts += KINKS * 1e-6 / rtol * most
    evaluations = STAGES[solver] * attempts
    if solver == "rkc":
        evaluations = max(evaluations, STABILISED * math.sqrt(stiffness))
    if solver == "kvaerno5":  # also the columns of the Jacobian
        evaluations += 2 * size * attempts
    return StepForecast(solver, attempts, evaluations, smooth and stable < 2 * beginning)


def dense_numbers(state: float, held: float) -> float:
    """Count the numbers that a step of Kvaerno5 holds: the Jacobian of a state, its factors, and
    all columns of it on their way through the numbers that an evaluation of the field holds."""
    return state * (4 * state + max(state, 2.5 * held))
