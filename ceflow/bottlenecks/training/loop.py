"""Train from step to step: what is recorded, and what went wrong."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ceflow.bottlenecks.budget import ROWS
from ceflow.bottlenecks.training.batches import Batches
from ceflow.bottlenecks.training.steps import Dynamics, State, advance
from ceflow.history import History

STEPS = 256
"""Steps at once, at most."""
GROWN = 100.0
"""By this factor the loss of a batch may exceed the mean at the start."""


@dataclass(frozen=True)
class Instability:
    """A training whose loss grew beyond all bounds."""

    step: int
    loss: float
    rate: float
    """The learning rate of the steps."""
    largest: float
    """The largest stable one at the start."""

    def message(self, named: Callable[[float], str] = "{:.3g}".format) -> str:
        """Say it in one sentence, with rates as `named`.

        >>> Instability(step=7, loss=1e4, rate=2.0, largest=0.5).message()
        'the learning rate 2 is too large: the loss grew to 1e+04 at step 7; at the start the \
largest stable one is 0.5'
        """
        what = f"grew to {self.loss:.3g}" if np.isfinite(self.loss) else "stopped being finite"
        start = f"at the start the largest stable one is {named(self.largest)}"
        fallen = ", but that has fallen in training" if self.rate < self.largest else ""
        return (
            f"the learning rate {named(self.rate)} is too large: the loss {what} at step"
            f" {self.step}; {start}{fallen}"
        )


@dataclass(frozen=True)
class Training:
    """A finished training."""

    history: History
    """What was recorded, by the number of steps made before."""
    losses: Float[np.ndarray, " steps"]
    """The mean loss of each batch, before its step."""
    state: State
    instability: Instability | None = None


def run(
    dynamics: Dynamics,
    state: State,
    batches: Batches,
    steps: range,
    *,
    moments: Collection[int],
    record: Callable[[int, State], Mapping[str, Any]],
    until: Callable[[Mapping[str, Any]], bool],
    observe: Callable[[int], None],
    reference: float,
    unstable: Callable[[int, float], Instability],
) -> Training:
    """Make all steps, so many at once as rows of the kernel fit, by one program."""
    ends = sorted({*moments, steps.stop} - {steps.start})
    longest = max((b - a for a, b in pairwise([steps.start, *ends])), default=1)
    length = _length(dynamics, state, batches.size, longest)
    lines, losses, now = [], [], steps.start
    if now in moments:
        lines.append({"step": now, **record(now, state)})
    for end in ends:
        if lines and until(lines[-1]):
            break
        while now < end:
            count = min(length, end - now)
            memory = dynamics.engine.room(state.memory, length * batches.size)
            some = jnp.asarray(batches.some(now, length))
            state, found = advance(
                dynamics, state._replace(memory=memory), some, jnp.asarray(count)
            )
            losses.append(np.asarray(found)[:count])
            wrong = _grown(losses[-1], reference)
            if wrong is not None:
                trouble = unstable(now + wrong, float(losses[-1][wrong]))
                return Training(History.of_lines(lines), np.concatenate(losses), state, trouble)
            now += count
            observe(now)
        if end in moments:
            lines.append({"step": end, **record(end, state)})
    all_losses = np.concatenate(losses) if losses else np.zeros(0)
    return Training(History.of_lines(lines), all_losses, state)


def _length(dynamics: Dynamics, state: State, batch: int, steps: int) -> int:
    points = state.points
    fit = ROWS // (batch * len(points) * points.dtype.itemsize)
    return max(1, min(fit, STEPS, steps))


def _grown(losses: np.ndarray, reference: float) -> int | None:
    """Find the first loss that is too large."""
    wrong = ~(losses <= GROWN * max(reference, float(np.finfo(np.float32).tiny)))
    return int(np.argmax(wrong)) if wrong.any() else None
