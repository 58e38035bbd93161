"""Measuring the latency of networks on this machine. Loads JAX."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LEAST_REPEATS = 5
"""Least number of repeats of each measurement."""


class Timing(NamedTuple):
    """Median seconds of a call over repeats, and `spread`: half the interquartile range over it."""

    seconds: float
    spread: float
    repeats: int


def time_forward(
    makers: Iterable[Callable[[], eqx.Module]],
    inputs: Float[Array, "batch ..."],
    seconds: float = 2.0,
) -> list[Timing]:
    """Time the compiled forward pass of a batch for each module that the makers create.

    Modules take one example. All are compiled first, and then called in turn for about `seconds` in
    total, so that slow moments of the machine affect all alike. Weights are zeros, as they do not
    affect the time, and drawing them would take longer than the timing.
    """
    forwards = [_compiled(_zeros(make), inputs) for make in makers]
    return time_in_turn([partial(_finished, forward) for forward in forwards], seconds)


def _zeros(make: Callable[[], eqx.Module]) -> eqx.Module:
    def filled(leaf: Any) -> Any:
        is_slot = isinstance(leaf, jax.ShapeDtypeStruct)
        return jnp.zeros(leaf.shape, leaf.dtype) if is_slot else leaf

    return jax.tree.map(filled, eqx.filter_eval_shape(make))


def _compiled(module: eqx.Module, inputs: Array) -> Callable[[], Array]:
    """Compile a forward pass by calling it once."""
    arrays, rest = eqx.partition(module, eqx.is_array)

    @jax.jit
    def forward(arrays: eqx.Module, x: Array) -> Array:
        return jax.vmap(eqx.combine(arrays, rest))(x)  # pyright: ignore

    return partial(forward.lower(arrays, inputs).compile(), arrays, inputs)


def _finished(forward: Callable[[], Array]) -> None:
    jax.block_until_ready(forward())


def time_in_turn(calls: Sequence[Callable[[], object]], seconds: float) -> list[Timing]:
    """Time calls in turn, round after round, for about `seconds` in total.

    >>> import time
    >>> fast, slow = time_in_turn([lambda: None, lambda: time.sleep(0.002)], 0.05)
    >>> slow.seconds > 0.002 > fast.seconds
    True
    """
    for call in calls:  # the first call of each is slower
        call()
    end, taken = time.perf_counter() + seconds, []
    while len(taken) < LEAST_REPEATS or time.perf_counter() < end:
        taken.append([_seconds(call) for call in calls])
    low, median, high = np.percentile(taken, (25, 50, 75), axis=0)
    spread = (high - low) / 2 / median
    return [Timing(float(m), float(s), len(taken)) for m, s in zip(median, spread, strict=True)]


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
