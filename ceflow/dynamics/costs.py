"""How many steps each solver takes, and so which one to take. Loads no JAX."""

import math
from typing import NamedTuple

STIFF = 400.0
"""Above this stiffness Tsit5 is held by stability, not accuracy, and the stabilised method needs a
third of its evaluations of the field or fewer (erf, 100 images of MNIST, rtol 1e-4: half of them at
240, a fifth at 500, a twelfth at 3,000)."""

LOOSE = 1e-5
"""Below this rtol a method of order 2 takes more steps than stability asks of Tsit5."""

DENSE = 400
"""Numbers in a state up to which the systems of an implicit method are cheap."""


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

STAGES = {"tsit5": 6, "dopri8": 13, "kvaerno5": 20, "rkc": 10}
"""Evaluations of the field in a step."""

STABLE = {"tsit5": 0.28, "dopri8": 0.2}
"""Steps that stability asks of an explicit solver, for each unit of stiffness."""

STABILISED = 8.0
"""Evaluations by rkc, for each root of a unit of stiffness."""

BEGINNING = 8
"""Steps at rtol 1e-4 beside one to each moment: most are made while the loss falls first."""

KINKS = 3000
"""Steps at rtol 1e-6 at the kinks of ReLU: the middle of 200 to 35,000, by no rule that is known
before. At 1e-4 they are some tens."""

SPREAD = 1.0
"""Standard deviation of the logarithm of that; of replicas together the one with most counts."""

COPIED = 5
"""Copies of a state that are moved for each evaluation of the field."""

CUBIC = 12
"""FLOPs of an eigendecomposition, for each row cubed, by the time it takes."""


class StepForecast(NamedTuple):
    """A forecast of one integration: attempts, and evaluations of the field in all of them.

    It says too whether that is known but for a factor of 2."""

    solver: str
    attempts: float
    evaluations: float
    known: bool

    def with_attempts(self, attempts: float) -> "StepForecast":
        """Give the same with another number of attempts."""
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
    """Forecast the steps of a flow of this stiffness to so many moments.

    Its state has `size` numbers; the solver is `default_solver`'s where it is "auto", whose other
    arguments are those here. Of replicas that step `together` the slowest counts.

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
    if solver == "kvaerno5":  # and the columns of its Jacobian
        evaluations += 2 * size * attempts
    return StepForecast(solver, attempts, evaluations, smooth and stable < 2 * beginning)


def dense_numbers(state: float, held: float) -> float:
    """Count the numbers that a step of Kvaerno5 holds: the Jacobian of a state, its factors, and
    all columns of it on their way through the numbers that an evaluation of the field holds."""
    return state * (4 * state + max(state, 2.5 * held))
