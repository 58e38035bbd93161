"""How a flow is integrated, and how many steps that takes, as far as it is known before it."""

import math
from typing import NamedTuple

from ceflow.compiler import Plan
from ceflow.dynamics.choice import default_solver
from ceflow.spec import Bottleneck, Circle, Flow, Model, activations_of, widths_of
from ceflow.spec.models import KINKED

SMOOTH = ("kernel", "linearised")
"""Engines whose field has no kinks, whatever the network's activations."""

RTOL = {"float32": 1e-4, "float64": 1e-6}

SQUARES = {"digits": 0.24, "idx": 0.1, "cifar10": 0.25, "gaussian": 1.0, "deep-gp": 1.0}
"""The mean square of an input as it is read, of MNIST for `idx`. Other files hold anything."""

SHARE = 0.4
"""Of N K(x, x), the largest eigenvalue of the NTK of N examples: from 0.03 to 0.6."""

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


class Steps(NamedTuple):
    """What one integration takes: attempts, evaluations of the field in all of them, and whether
    that is known but for a factor of 2."""

    solver: str
    attempts: float
    evaluations: float
    known: bool

    def of(self, attempts: float) -> "Steps":
        """The same with another number of attempts."""
        each = self.evaluations / self.attempts
        return self._replace(attempts=attempts, evaluations=each * attempts)


def tolerances(stage: Flow, precision: str) -> dict[str, float]:
    """Of a step."""
    rtol = stage.rtol or RTOL[precision]
    return {"rtol": rtol, "atol": rtol / 1000 if stage.atol is None else stage.atol}


STIFFEST = 1e100
"""No solver comes anywhere beyond it."""


def is_smooth(stage: Flow, model: Model) -> bool:
    """Whether the flow goes through no kinks: an infinitely wide encoder's are in its kernel."""
    engine = stage.engine_of(model)
    if engine == "features" and isinstance(model, Bottleneck):
        return model.decoder.activation not in KINKED
    return engine in SMOOTH or not activations_of(model) & set(KINKED)


def steps_of(stage: Flow, plan: Plan, model: Model, size: float, together: int = 1) -> Steps:
    """Of a flow whose state has `size` numbers, of so many replicas that step together."""
    stiff, smooth = stiffness(stage, plan, model), is_smooth(stage, model)
    precision = plan.document.precision
    rtol = tolerances(stage, precision)["rtol"]
    solver = stage.solver
    if solver == "auto":
        precise = precision == "float64"
        solver = default_solver(stiff, size=int(size), smooth=smooth, rtol=rtol, precise=precise)
    beginning = BEGINNING * (1e-4 / rtol) ** (1 / ORDERS[solver])
    stable = STABLE.get(solver, 0.0) * stiff
    attempts = max(stage.moment_count + beginning, stable)
    if not smooth:
        most = math.exp(SPREAD * math.sqrt(2 * math.log(together)))
        attempts += KINKS * 1e-6 / rtol * most
    evaluations = STAGES[solver] * attempts
    if solver == "rkc":
        evaluations = max(evaluations, STABILISED * math.sqrt(stiff))
    if solver == "kvaerno5":  # and the columns of its Jacobian
        evaluations += 2 * size * attempts
    known = smooth and stable < 2 * beginning and _square(plan) is not None
    return Steps(solver, attempts, evaluations, known).of(min(attempts, stage.steps))


def stiffness(stage: Flow, plan: Plan, model: Model) -> float:
    """The largest eigenvalue of the NTK times mu t, about: it is 0.4 N K(x, x), and K(x, x) the
    mean square of an input for each layer with weights."""
    assert plan.data is not None
    square = _square(plan) or 1.0
    weight = 1 if stage.reduction == "sum" else 1 / plan.data.train
    layers = len(widths_of(model)) + 1
    return min(SHARE * plan.data.train * layers * square * weight * stage.time, STIFFEST)


def _square(plan: Plan) -> float | None:
    """The mean square of an input, where it is known without reading the data."""
    source = plan.document.data
    if isinstance(source, Circle):
        return source.scale * source.scale / 2
    assert source is not None
    assert plan.data is not None
    known = {"unit": 1 / plan.data.inputs, "standard": 1.0}
    square = known.get(source.normalise, SQUARES.get(source.source))
    return None if square is None else square * source.scale * source.scale
