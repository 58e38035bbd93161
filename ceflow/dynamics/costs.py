"""Forecasts of the steps that each solver takes, and the choice of a solver. Loads no JAX."""

import math
from typing import NamedTuple

STIFFNESS_LIMIT = 400.0
"""Stiffness above which stability, not accuracy, limits the steps of Tsit5. The stabilised method
then needs at most a third of Tsit5's evaluations of the field (erf, 100 images of MNIST, rtol 1e-4:
a half at stiffness 240, a fifth at 500, a twelfth at 3,000)."""

ORDER_2_RTOL = 1e-5
"""Smallest rtol for which a method of order 2 is chosen. Below it, such a method takes more steps
for accuracy than Tsit5 takes for stability."""

LARGEST_DENSE_STATE = 400
"""Numbers in the largest state for which the linear systems of an implicit method are cheap."""


def default_solver(
    stiffness: float,
    *,
    size: int,
    smooth: bool = True,
    rtol: float = 1e-4,
    precise: bool = True,
) -> str:
    """Choose the solver for a flow, and return its name.

    `stiffness` is the largest eigenvalue of the kernel times mu t (for reduction "mean", divided by
    the number of examples). `size` is the number of numbers in the state. `smooth` is False for
    networks with kinks (ReLU), where methods of order 2 gain nothing. `precise` is True in float64.

    - Tsit5 is chosen unless the flow is stiff, as it needs about 1.7 evaluations of the field per
      unit of stiffness.
    - Kvaerno5 is chosen for stiff flows with states of up to 400 numbers in float64. Its steps
      solve dense linear systems. In float32 the solutions are not accurate enough, and it may
      reject steps without end.
    - The stabilised explicit method is chosen for other stiff flows if it is faster than Tsit5: for
      smooth fields and an rtol of 1e-5 or more.

    >>> default_solver(50, size=10), default_solver(1e4, size=10), default_solver(1e4, size=10**6)
    ('tsit5', 'kvaerno5', 'rkc')
    """
    if stiffness <= STIFFNESS_LIMIT:
        return "tsit5"
    if size <= LARGEST_DENSE_STATE and precise:
        return "kvaerno5"
    return "rkc" if smooth and rtol >= ORDER_2_RTOL else "tsit5"


SOLVER_ORDERS = {"tsit5": 5, "dopri8": 8, "kvaerno5": 5, "rkc": 2}
"""Order of each solver, by name."""

EVALUATIONS_PER_STEP = {"tsit5": 6, "dopri8": 13, "kvaerno5": 20, "rkc": 10}
"""Evaluations of the field per step of each solver, by name."""

STEPS_PER_STIFFNESS = {"tsit5": 0.28, "dopri8": 0.2}
"""Steps per unit of stiffness that each explicit solver needs for stability, by name."""

RKC_EVALUATIONS_PER_ROOT = 8.0
"""Evaluations of the field by rkc per square root of the stiffness."""

INITIAL_STEPS = 8
"""Steps at rtol 1e-4 in addition to one per recorded moment, mostly while the loss first falls."""

RELU_STEPS = 3000
"""Typical number of additional steps at rtol 1e-6 due to the kinks of ReLU. Measured numbers are
between 200 and 35,000 and cannot be predicted. At rtol 1e-4 there are some tens."""

RELU_LOG_STDDEV = 1.0
"""Standard deviation of the logarithm of the steps due to kinks. Replicas that step together take
as many steps as the slowest of them."""

STATE_COPIES_MOVED = 5
"""Copies of a state moved through memory per evaluation of the field."""


class StepForecast(NamedTuple):
    """Forecast of an integration: numbers of attempted steps and of evaluations of the field.

    `known` says whether these numbers are accurate within a factor of 2.
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

    The state has `size` numbers. For the solver "auto", `default_solver` chooses one. If `together`
    replicas step together, the forecast is that of the slowest one.

    >>> steps(10, "auto", size=100, moments=20, rtol=1e-4)
    StepForecast(solver='tsit5', attempts=28.0, evaluations=168.0, known=True)
    """
    if solver == "auto":
        solver = default_solver(
            stiffness, size=int(size), smooth=smooth, rtol=rtol, precise=precise
        )
    beginning = INITIAL_STEPS * (1e-4 / rtol) ** (1 / SOLVER_ORDERS[solver])
    stable = STEPS_PER_STIFFNESS.get(solver, 0.0) * stiffness
    attempts = max(moments + beginning, stable)
    if not smooth:
        most = math.exp(RELU_LOG_STDDEV * math.sqrt(2 * math.log(together)))
        attempts += RELU_STEPS * 1e-6 / rtol * most
    evaluations = EVALUATIONS_PER_STEP[solver] * attempts
    if solver == "rkc":
        evaluations = max(evaluations, RKC_EVALUATIONS_PER_ROOT * math.sqrt(stiffness))
    if solver == "kvaerno5":  # also the columns of the Jacobian
        evaluations += 2 * size * attempts
    return StepForecast(solver, attempts, evaluations, smooth and stable < 2 * beginning)


def dense_numbers(state: float, held: float) -> float:
    """Count the numbers that a step of Kvaerno5 holds in memory.

    They are the Jacobian of a state with `state` numbers, its factors, and the intermediate values
    of all its columns, where one evaluation of the field holds `held` numbers.
    """
    return state * (4 * state + max(state, 2.5 * held))
