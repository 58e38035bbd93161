"""This module takes the steps of an adaptive solver, and says when they end.

Solver and controller are diffrax's, stepped by hand as its documentation shows ("Interactively step
through a solve"); its own loop, `diffrax.diffeqsolve` of 0.7.2, takes the same steps (a test
compares) and was tried in its place:

- It gives back no step size. Called from save time to save time it looks for one each time: 60
  steps against 28 for a flow with 20 of them. It keeps the size if a controller of ours, made by
  the methods that are called here, carries it along.
- NaN and blow-up in finite time end it after all `max_steps`, or with a least step size, which it
  takes as one number ahead of all; which of the two it was it does not tell.
- It places an event by interpolation: with rtol 1e-4 of Tsit5 4e-4 off in time, against 3e-5 here.
- It returns to Python at the end alone, so Ctrl-C waits for that. Calls of 64 steps at most, with
  the controller above, come back in between; their programs take twice as long to compile or more,
  with an event eight times. CPU seconds of the first call here and there: 0.44 and 1.11 for a small
  flow by Tsit5, 0.61 and 1.38 by rkc, 1.45 and 3.06 by Kvaerno5, 0.23 and 2.02 with an event. Later
  calls take about as long: 0.019 and 0.026 by Tsit5.
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
"""What `Carry.status` says."""

STRETCH = 1.01
"""A step that ends so near before a save time goes on to it: no slivers."""


class Stepper(eqx.Module):
    """A stepper holds what does not change from step to step.

    `field(t, state)` is dstate/dt; `stop(t, state)` is above 0 until it ends the integration where
    it becomes 0. As `equinox.Module`s they are compiled once for arrays of the same shapes.
    """

    field: Callable[[Array, PyTree], PyTree]
    stop: Callable[[Array, PyTree], Array] | None
    method: Method

    @property
    def order(self) -> Any:
        """The order of the error of a step."""
        return self.method.solver.error_order(TERMS)

    def value(self, t: Array, state: PyTree) -> Float[Array, ""]:
        """Give `stop` there, and 1 where there is none."""
        return jnp.ones_like(t) if self.stop is None else self.stop(t, state)


TERMS = dfx.ODETerm(lambda t, state, field: field(t, state))


class Bracket(NamedTuple):
    """A bracket is a later time at which `stop` is below 0, and its value there."""

    distance: Float[Array, ""]  # from now; infinite while no such time is known
    value: Float[Array, ""]


class Carry(eqx.Module):
    """The carry is all that one step hands to the next."""

    t: Float[Array, ""]
    step: Float[Array, ""]  # the next one, where no save time cuts it short
    state: PyTree
    solver_state: PyTree
    controller_state: PyTree
    value: Float[Array, ""]  # of stop
    bracket: Bracket
    smallest: Float[Array, ""]  # steps no larger are lost in rounding
    status: Int[Array, ""]
    accepted: Int[Array, ""]
    rejected: Int[Array, ""]

    @property
    def made(self) -> Int[Array, ""]:
        """Counts attempts so far."""
        return self.accepted + self.rejected


def start(stepper: Stepper, t: Float[Array, ""], state: PyTree) -> Carry:
    """Make the carry before the first step, whose size is 1 % of |state|/|field|.

    So do Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, II.4; the
    controller then adapts it."""
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
    """Try one step.

    Gives the carry after it, whether it was accepted, and what the solver interpolates by."""
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
    # A step that passes the end is made again, shorter, until it ends there.
    beyond = keep & (value <= 0)
    stopped = beyond & (value >= -controller.rtol)
    accepted = stopped | (keep & ~beyond)

    def chosen(new: PyTree, old: PyTree) -> PyTree:
        return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)

    # One that a save time cut short says nothing of how long the next may be.
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
    """Choose where the next step ends.

    That is by the controller, at the save time, or where `stop` becomes 0 if it is a straight line
    over the bracket."""
    distance, low = carry.bracket
    root = jnp.clip(distance * carry.value / (carry.value - low), 0.02 * distance, distance)
    known = jnp.isfinite(distance)
    step = jnp.where(known, jnp.minimum(carry.step, root), carry.step)
    stretch = jnp.where(known, 1, STRETCH)
    return jnp.where(carry.t + stretch * step >= until, until, carry.t + step)


def _finite(tree: PyTree) -> Bool[Array, ""]:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def advance(
    stepper: Stepper, carry: Carry, until: Float[Array, ""], limit: Int[Array, ""]
) -> Carry:
    """Make attempts until a time or an end, and no more than `limit` in all since the start."""

    def going(carry: Carry) -> Array:
        return (carry.status == RUNNING) & (carry.t < until) & (carry.made < limit)

    return jax.lax.while_loop(going, lambda carry: attempt(stepper, carry, until)[0], carry)
