"""Steps of an adaptive solver, and the conditions that end them.

Solver and controller are diffrax's, stepped by hand as its documentation shows ("Interactively step
through a solve"). diffrax's own loop, `diffrax.diffeqsolve` of 0.7.2, takes the same steps (a test
compares them). It was tried here, and has these drawbacks:

- It does not return the step size. If it is called once per save time, it searches for a step size
  each time, and takes 60 steps instead of 28 for a flow with 20 save times. To keep the step size,
  we would have to write a controller, from the same methods that are called here.
- After NaN or a blow-up in finite time, it goes on until `max_steps`, or until a least step size,
  which must be one number given in advance. It does not say which of the two happened.
- It locates an event by interpolation. With Tsit5 at rtol 1e-4, the time is off by 4e-4; here it is
  off by 3e-5.
- It returns to Python only at the end, so Ctrl-C has to wait. Calls of at most 64 steps, with such
  a controller, return in between, but their programs take at least twice as long to compile, and
  eight times with an event. CPU seconds of the first call, here and with diffrax's loop: 0.44 and
  1.11 for a small flow by Tsit5, 0.61 and 1.38 by rkc, 1.45 and 3.06 by Kvaerno5, 0.23 and 2.02
  with an event. Later calls take about equally long: 0.019 and 0.026 by Tsit5.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Bool, Float, Int, PyTree

from ceflow.dynamics.ode.solvers import Method

RUNNING, STOPPED, UNDERFLOW, NAN = range(4)
"""Values of `Carry.status`."""

LARGEST_STRETCH = 1.01
"""Largest factor by which a step is lengthened to end at a save time. It avoids tiny steps."""


class Stepper(eqx.Module):
    """The parts of an integration that stay the same from step to step.

    `field(t, state)` is dstate/dt. `stop(t, state)` is above 0 at first, and the integration ends
    where it becomes 0. If both are `equinox.Module`s, they are compiled once per shape of their
    arrays.
    """

    field: Callable[[Array, PyTree], PyTree]
    stop: Callable[[Array, PyTree], Array] | None
    method: Method

    @property
    def order(self) -> Any:
        """Order of the error of a step."""
        return self.method.solver.error_order(TERMS)

    def value(self, t: Array, state: PyTree) -> Float[Array, ""]:
        """Compute `stop(t, state)`, or 1 if there is no `stop`."""
        return jnp.ones_like(t) if self.stop is None else self.stop(t, state)


TERMS = dfx.ODETerm(lambda t, state, field: field(t, state))


class Bracket(NamedTuple):
    """A later time at which `stop` is below 0, and the value of `stop` at that time."""

    distance: Float[Array, ""]  # time from now; infinite while no such time is known
    value: Float[Array, ""]


class Carry(eqx.Module):
    """State of an integration between two steps."""

    t: Float[Array, ""]
    step: Float[Array, ""]  # size of the next step, unless a save time cuts it short
    state: PyTree
    solver_state: PyTree
    controller_state: PyTree
    value: Float[Array, ""]  # value of `stop`
    bracket: Bracket
    smallest: Float[Array, ""]  # step size up to which steps are lost in rounding
    status: Int[Array, ""]
    accepted: Int[Array, ""]
    rejected: Int[Array, ""]

    @property
    def made(self) -> Int[Array, ""]:
        """Number of attempts so far."""
        return self.accepted + self.rejected


def start(stepper: Stepper, t: Float[Array, ""], state: PyTree) -> Carry:
    """Return the carry before the first step, whose size is 1 % of |state|/|field|.

    This first size is from Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I,
    II.4. The controller then adapts it.
    """
    solver, controller = stepper.method
    speed, size = (
        optx.rms_norm(jax.tree.map(lambda a, y: a / _scale(controller, y), tree, state))
        for tree in (stepper.field(t, state), state)
    )
    moves = speed > 0
    step = jnp.where(moves, 0.01 * jnp.maximum(size, 1) / jnp.where(moves, speed, 1), 1.0)
    step = step.astype(t.dtype)
    _, controller_state = controller.init(
        TERMS, t, t, state, step, stepper.field, solver.func, stepper.order
    )
    value = stepper.value(t, state)
    carry = Carry(
        t=t,
        step=step,
        state=state,
        solver_state=solver.init(TERMS, t, t + step, state, stepper.field),
        controller_state=controller_state,
        value=value,
        bracket=Bracket(jnp.full_like(t, jnp.inf), -jnp.ones_like(value)),
        smallest=jnp.finfo(t.dtype).eps * step,
        status=jnp.where(jnp.isfinite(speed), jnp.where(value > 0, RUNNING, STOPPED), NAN),
        accepted=jnp.zeros((), int),
        rejected=jnp.zeros((), int),
    )
    return jax.tree.map(jnp.asarray, carry)


def _scale(controller: dfx.PIDController, y: Array) -> Any:
    return controller.atol + controller.rtol * jnp.abs(y)


def attempt(
    stepper: Stepper, carry: Carry, until: Float[Array, ""]
) -> tuple[Carry, Any, dict[str, PyTree]]:
    """Attempt one step.

    Returns the carry after it, whether the step was accepted, and the numbers by which the solver
    interpolates within it.
    """
    end = _end(carry, until)
    solver, controller = stepper.method
    state, error, dense, solver_state, _ = solver.step(
        TERMS, carry.t, end, carry.state, stepper.field, carry.solver_state, False
    )
    finite = _finite(error) & _finite(state)
    error = jax.tree.map(lambda leaf: jnp.where(jnp.isnan(leaf), jnp.inf, leaf), error)
    keep, new_t, next_t, _, controller_state, _ = controller.adapt_step_size(
        carry.t, end, carry.state, state, stepper.field, error, stepper.order,
        carry.controller_state,
    )  # fmt: skip
    value = stepper.value(end, state)
    # A step that passes the zero of `stop` is repeated, shorter, until it ends there.
    beyond = keep & (value <= 0)
    stopped = beyond & (value >= -controller.rtol)
    accepted = stopped | (keep & ~beyond)

    def chosen(new: PyTree, old: PyTree) -> PyTree:
        return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)

    # A step that a save time cut short does not limit the size of the next one.
    step = jnp.where(keep, jnp.maximum(next_t - new_t, carry.step), next_t - new_t)
    distance = carry.bracket.distance - jnp.where(accepted, end - carry.t, 0)
    t = chosen(end, carry.t)
    bracket = Bracket(
        jnp.where(beyond & ~stopped, end - carry.t, distance),
        jnp.where(beyond, value, carry.bracket.value),
    )
    rounding = jnp.maximum(carry.smallest, 4 * jnp.finfo(t.dtype).eps * jnp.abs(t))
    lost = ~keep & (step <= rounding)
    status = jnp.where(lost, jnp.where(finite, UNDERFLOW, NAN), RUNNING)
    status = jnp.where(stopped | (beyond & (bracket.distance <= rounding)), STOPPED, status)
    after = Carry(
        t=t,
        step=step,
        state=chosen(state, carry.state),
        solver_state=chosen(solver_state, carry.solver_state),
        controller_state=controller_state,
        value=chosen(value, carry.value),
        bracket=bracket,
        smallest=carry.smallest,
        status=status,
        accepted=carry.accepted + accepted,
        rejected=carry.rejected + ~accepted,
    )
    return after, accepted, dense


def _end(carry: Carry, until: Float[Array, ""]) -> Float[Array, ""]:
    """Return the time at which the next step ends.

    The end is set by the controller's step size, by the save time `until`, or by the zero of `stop`
    if it is linear over the bracket, whichever comes first.
    """
    distance, low = carry.bracket
    root = jnp.clip(distance * carry.value / (carry.value - low), 0.02 * distance, distance)
    known = jnp.isfinite(distance)
    step = jnp.where(known, jnp.minimum(carry.step, root), carry.step)
    stretch = jnp.where(known, 1, LARGEST_STRETCH)
    return jnp.where(carry.t + stretch * step >= until, until, carry.t + step)


def _finite(tree: PyTree) -> Bool[Array, ""]:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def advance(
    stepper: Stepper, carry: Carry, until: Float[Array, ""], limit: Int[Array, ""]
) -> Carry:
    """Attempt steps until the time `until`, an end, or `limit` attempts since the start."""

    def going(carry: Carry) -> Array:
        return (carry.status == RUNNING) & (carry.t < until) & (carry.made < limit)

    return jax.lax.while_loop(going, lambda carry: attempt(stepper, carry, until)[0], carry)
