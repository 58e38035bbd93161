"""Integration of a flow through given times."""

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

MOST_STEPS = 2**31 - 1
"""Largest number of steps: they are counted in 32 bits."""
OBSERVED_ATTEMPTS = 64
"""Attempted steps between two calls of `observe`."""

How = Literal["finished", "stopped", "failed"]
Reason = Literal["nan", "step-size", "steps"]

MESSAGES: dict[Reason, str] = {
    "nan": "the state or its derivative is NaN or infinite just after mu t = {time:g}",
    "step-size": "the step size fell below rounding at mu t = {time:g}",
    "steps": "{steps} steps were not enough to come further than mu t = {time:g}",
}
SMALLER_TIME = "a smaller time"
FLOAT64 = "float64"

REASONS: dict[int, Reason] = {stepping.NAN: "nan", stepping.UNDERFLOW: "step-size"}


@dataclass(frozen=True)
class Ending:
    """How an integration ended, and at which time mu t.

    `how` is "finished" if the last time was reached, "stopped" if `stop` became 0, and "failed"
    otherwise. A failure has a reason, a message that says what happened, and `advice`: changes that
    may help, best first.
    """

    how: How
    time: float
    reason: Reason | None = None
    message: str = ""
    advice: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether the integration did not fail."""
        return self.how != "failed"


class DenseSolution:
    """A function that returns the state at any time, by the solver's interpolation.

    It stores 3 to 14 states per step. Raises `ValueError` for a time outside the integration.
    """

    def __init__(self, solver: dfx.AbstractSolver, start: float, state: PyTree):
        self._ends: list[float] = [start]
        self._steps: list[Callable[[float], PyTree]] = [lambda t: state]
        self._interpolation = solver.interpolation_cls

    def add(self, start: Any, end: Any, parts: dict[str, PyTree]) -> None:
        """Add the step from `start` to `end`, with the numbers that interpolate it."""
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
    """Result of an integration.

    Times are mu t, in units of one over the learning rate. `times` and `records` end where the
    integration ended: at the last requested time, or at the time at which it stopped or failed.
    `accepted` and `rejected` are numbers of steps; with replicas, they have one number per replica.
    """

    times: Float[np.ndarray, " times"]
    records: PyTree  # results of `record`, stacked along time
    state: PyTree  # state at the last time
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
    """Solve `dstate/dt = field(t, state)` through all times, from `state` at `times[0]`.

    `state` is a pytree of floats of one precision, in which the integration computes. `field` and
    `stop` are pure JAX functions. If they are `equinox.Module`s that hold their data, they are
    compiled once per shape; plain functions are compiled once per function. The step size adapts so
    that the error per step is about `atol + rtol |state|`. Steps end at the given times, where
    `record(t, state)` is called, outside any trace.

    - `stop(t, state)` must be above 0 at the start; the integration ends where it becomes 0. The
      last step is shortened until `stop` lies between -rtol and 0, so that the final state comes
      from the solver and not from interpolation.
    - `replicas`: every leaf of the state has a leading axis of replicas, and `field` receives one
      replica. Each replica has its own step size, so its results do not depend on the others. The
      integration ends for all as soon as one fails.
    - `dense`: keep all steps, to compute the state at any time (`Trajectory.dense`).
    - `observe(t)` is called with the time reached, after at most 64 steps.

    A failing integration raises no exception: `Trajectory.ending` says when and why it ended, and
    what to change. All records are finite. Raises `ValueError` for times that do not rise, for an
    unknown solver, for a state that is not made of floats of one precision, and for replicas with
    `stop` or `dense`.

    >>> decay = integrate(lambda t, y: -y, jnp.ones(1), [0.0, 1.0, 2.0], rtol=1e-6)
    >>> decay.records[:, 0].round(3), decay.ending.how
    (array([1.   , 0.368, 0.135], dtype=float32), 'finished')
    """
    if replicas and (stop is not None or dense):
        raise ValueError("replicas end together: give them no stop, and no dense output")
    state, dtype = _floats(state)
    max_steps = min(max_steps, MOST_STEPS)
    moments = [jnp.asarray(t, dtype) for t in _rising(times)]
    stepper = Stepper(field, stop, method_named(solver, rtol, atol))
    steps = DenseSolution(stepper.method.solver, float(moments[0]), state) if dense else None
    first, further = (_start_each, _advance_each) if replicas else (_start, _advance)

    def forward(carry: Carry, until: Array) -> Carry:
        while _goes_on(carry, until, max_steps):
            limit = jnp.minimum(carry.made + OBSERVED_ATTEMPTS, max_steps)
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
    """Integrate and record through all moments, or as far as possible.

    Returns the carry reached, the recorded times with their records, and whether the last moment
    was reached. With `midway`, an end between two moments is recorded too.
    """
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
    """Advance like `stepping.advance`, but add every accepted step to `steps`."""
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
    """Return the ending of a failed integration; `precise` is True if it ran in float64."""
    stiff = ('a solver for stiff flows ("rkc" or "kvaerno5")',)
    stiff = stiff if solver in ("tsit5", "dopri8") else ()
    higher = () if precise else (FLOAT64,)
    advice = {
        "nan": (SMALLER_TIME, *higher, "smaller inputs or targets"),
        "step-size": (*stiff, *higher, "a larger rtol and atol", SMALLER_TIME),
        "steps": (*stiff, "more steps", "a larger rtol", SMALLER_TIME),
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
