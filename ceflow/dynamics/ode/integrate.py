"""Integrating a flow through given times."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ceflow.compiler.programs import program
from ceflow.dynamics.ode import stepping
from ceflow.dynamics.ode.solvers import method_named
from ceflow.dynamics.ode.stepping import Carry, Stepper
from ceflow.nets import floats

CHUNK = 64
"""Attempted steps between two calls of `observe`."""

How = Literal["finished", "stopped", "failed"]
Reason = Literal["nan", "step-size", "steps"]

MESSAGES: dict[Reason, str] = {
    "nan": "the state or its derivative is NaN or infinite just after mu t = {time:g}",
    "step-size": "the step size fell below rounding at mu t = {time:g}",
    "steps": "{steps} steps were not enough to come further than mu t = {time:g}",
}
SMALLER = "a smaller time"
PRECISE = "float64"

REASONS: dict[int, Reason] = {stepping.NAN: "nan", stepping.UNDERFLOW: "step-size"}


@dataclass(frozen=True)
class Ending:
    """An ending says how an integration ended, and at which time mu t.

    "finished" at the last time asked for, "stopped" where the condition became 0, or "failed" for
    one reason, with a message that says what happened and `advice`, what to change, best first.
    """

    how: How
    time: float
    reason: Reason | None = None
    message: str = ""
    advice: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Say whether it did not fail."""
        return self.how != "failed"


class DenseSolution:
    """A solution that returns the state at any time, by the solver's interpolation.

    It stores 3 to 14 states per step. Raises `ValueError` for a time outside of the integration.
    """

    def __init__(self, solver: dfx.AbstractSolver, start: float, state: PyTree):
        self._ends: list[float] = [start]
        self._steps: list[Callable[[float], PyTree]] = [lambda t: state]
        self._interpolation = solver.interpolation_cls

    def add(self, start: Any, end: Any, parts: dict[str, PyTree]) -> None:
        """Add a step."""
        self._ends.append(float(end))
        self._steps.append(self._interpolation(t0=start, t1=end, **parts).evaluate)

    def __call__(self, t: float) -> PyTree:
        """Return the state at time mu t."""
        first, last = self._ends[0], self._ends[-1]
        if not first <= t <= last:
            raise ValueError(f"the integration went from {first:g} to {last:g}, not to {t:g}")
        step = int(np.searchsorted(self._ends, t))
        return jax.tree.map(jnp.asarray, self._steps[step](t))


@dataclass(frozen=True)
class Trajectory:
    """A trajectory is what came of an integration.

    Times are mu t, in units of one over the learning rate. `times` and `records` go as far as it
    came, with the time at which it stopped or failed as the last. `accepted` and `rejected` count
    steps, one number a replica where there are any.
    """

    times: Float[np.ndarray, " times"]
    records: PyTree  # what `record` gave, stacked along time
    state: PyTree  # at the last time
    ending: Ending
    accepted: Any
    rejected: Any
    dense: DenseSolution | None = None


def integrate(
    field: Callable[[Array, PyTree], PyTree],
    state: PyTree,
    times: Sequence[float] | Float[np.ndarray, " times"],
    *,
    record: Callable[[float, PyTree], PyTree] = lambda t, state: state,
    stop: Callable[[Array, PyTree], Array] | None = None,
    solver: str = "tsit5",
    rtol: float = 1e-4,
    atol: float = 1e-6,
    max_steps: int = 100_000,
    replicas: bool = False,
    dense: bool = False,
    observe: Callable[[float], None] = lambda t: None,
) -> Trajectory:
    """Solve `dstate/dt = field(t, state)` from `times[0]`, where it is `state`, through all times.

    `state` is a pytree of floats of one precision, which that of the work is. `field` and `stop`
    are pure JAX; as `equinox.Module`s that hold their data they are compiled once a shape, as
    plain functions once each. Steps adapt to an error of about `atol + rtol |state|` each, and end
    at the times asked for, where `record(t, state)` is called, outside of any trace.

    - `stop(t, state)`, above 0 at first, ends it where it becomes 0: found by shortening the step
      until it lies between -rtol and 0, so by the solver itself and not by interpolation.
    - `replicas`: every leaf of the state has a leading axis; `field` sees one replica. Each has
      steps of its own, so its numbers do not depend on the others beside it. They end together, as
      soon as one fails.
    - `dense`: keep all steps, for the state at any time (`Trajectory.dense`).
    - `observe(t)` is told how far it has come, after at most 64 steps.

    What fails is no exception: `Trajectory.ending` says how far it came, why it ended, and what to
    change; records are finite. Raises `ValueError` for times that do not rise, an unknown solver,
    a state that is no floats of one precision, and replicas with `stop` or `dense`.

    >>> decay = integrate(lambda t, y: -y, jnp.ones(1), [0.0, 1.0, 2.0], rtol=1e-6)
    >>> decay.records[:, 0].round(3), decay.ending.how
    (array([1.   , 0.368, 0.135], dtype=float32), 'finished')
    """
    if replicas and (stop is not None or dense):
        raise ValueError("replicas end together: give them no stop, and no dense output")
    state, dtype = _floats(state)
    moments = [jnp.asarray(t, dtype) for t in _rising(times)]
    stepper = Stepper(field, stop, method_named(solver, rtol, atol))
    steps = DenseSolution(stepper.method.solver, float(moments[0]), state) if dense else None
    first, further = (_start_each, _advance_each) if replicas else (_start, _advance)

    def forward(carry: Carry, until: Array) -> Carry:
        while _goes_on(carry, until, max_steps):
            limit = jnp.minimum(carry.made + CHUNK, max_steps)
            if steps is None:
                carry = further(stepper, carry, until, limit)
            else:
                carry = _advance_densely(stepper, carry, until, limit, steps)
            observe(float(carry.t.min()))
        return carry

    carry = first(stepper, moments[0], state)
    carry, history, finished = _history(carry, moments, forward, record, not replicas)
    reached, records = zip(*history, strict=True)
    return Trajectory(
        np.array(reached),
        jax.tree.map(lambda *each: np.stack(each), *records),
        carry.state,
        _ending(carry, finished, solver, dtype),
        np.asarray(carry.accepted)[()],
        np.asarray(carry.rejected)[()],
        steps,
    )


def _history(
    carry: Carry,
    moments: list[Array],
    forward: Callable[[Carry, Array], Carry],
    record: Callable[[float, PyTree], PyTree],
    midway: bool,
) -> tuple[Carry, list[tuple[float, PyTree]], bool]:
    """Go through all moments or as far as it can.

    Gives where that is, what was recorded when, and whether the last was reached. `midway`: a place
    between two is recorded too."""
    history: list[tuple[float, PyTree]] = []
    for until in moments:
        carry = forward(carry, until)
        reached, here = bool((carry.t >= until).all()), float(carry.t.min())
        if reached or (midway and here > history[-1][0]):
            history.append((here, jax.tree.map(np.asarray, record(here, carry.state))))
        if not reached:
            return carry, history, False
    return carry, history, True


def _floats(state: PyTree) -> tuple[PyTree, Any]:
    state = jax.tree.map(floats, state)
    kinds = {leaf.dtype for leaf in jax.tree.leaves(state)}
    if len(kinds) != 1:
        given = ", ".join(sorted(map(str, kinds))) or "nothing"
        raise ValueError(f"a state holds floats of one precision, not {given}")
    return state, kinds.pop()


def _rising(times: Any) -> list[float]:
    times = [float(t) for t in times]
    pairs = itertools.pairwise(times)
    if not times or not np.isfinite(times).all() or any(a >= b for a, b in pairs):
        raise ValueError("times must be finite and rise, from the time of the state on")
    return times


def _goes_on(carry: Carry, until: Array, max_steps: int) -> bool:
    fine = (carry.status == stepping.RUNNING).all()
    return bool(fine & ((carry.t < until) & (carry.made < max_steps)).any())


def _advance_densely(
    stepper: Stepper, carry: Carry, until: Array, limit: Array, steps: DenseSolution
) -> Carry:
    """Do as `advance`, one attempt at a time, and keep each step."""
    while _goes_on(carry, until, int(limit)):
        before = carry.t
        carry, accepted, parts = _attempt(stepper, carry, until)
        if accepted:
            steps.add(before, carry.t, parts)
    return carry


def _ending(carry: Carry, finished: bool, solver: str, dtype: Any) -> Ending:
    time, status = float(carry.t.min()), int(carry.status.max())
    if status == stepping.STOPPED:
        return Ending("stopped", time)
    if finished and status == stepping.RUNNING:
        return Ending("finished", time)
    return failure(
        REASONS.get(status, "steps"), time, int(carry.made.max()), solver, dtype == np.float64
    )


def failure(reason: Reason, time: float, steps: int, solver: str, precise: bool) -> Ending:
    """Make an ending from what is known of it; `precise` where it was in float64."""
    stiff = ('a solver for stiff flows ("rkc" or "kvaerno5")',)
    stiff = stiff if solver in ("tsit5", "dopri8") else ()
    higher = () if precise else (PRECISE,)
    advice = {
        "nan": (SMALLER, *higher, "smaller inputs or targets"),
        "step-size": (*stiff, *higher, "a larger rtol and atol", SMALLER),
        "steps": (*stiff, "more steps", "a larger rtol", SMALLER),
    }[reason]
    message = MESSAGES[reason].format(time=time, steps=steps)
    return Ending("failed", time, reason, message, advice)


_start = program(stepping.start)
_attempt = program(stepping.attempt)
_advance = program(stepping.advance)
_start_each = eqx.filter_jit(eqx.filter_vmap(stepping.start, in_axes=(None, None, 0)))
_advance_each = eqx.filter_jit(
    eqx.filter_vmap(stepping.advance, in_axes=(None, eqx.if_array(0), None, 0))
)
