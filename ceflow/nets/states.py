"""Networks with state: the running statistics of batch normalisation."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

BATCH = "batch"
"""The name of the axis of `jax.vmap` that batches are along."""


def is_stateful(module: Any) -> bool:
    """Tell whether a module takes a state and gives a new one."""
    return isinstance(module, eqx.nn.StatefulLayer) and module.is_stateful()


def apply(module: Any, x: Array, state: Any) -> tuple[Array, Any]:
    """Apply a module to one example: give outputs and the state after, the same if it has none."""
    return module(x, state) if is_stateful(module) else (module(x), state)


class Frozen(eqx.Module):
    """A network at inference with the state it has: one example in, its outputs out.

    The state is constant: it is no parameter, and has no gradient.

    >>> from ceflow.nets import BatchNorm
    >>> norm, state = eqx.nn.make_with_state(BatchNorm)(2)
    >>> Frozen(norm, state)(jax.numpy.ones((2, 3, 3))).shape
    (2, 3, 3)
    """

    module: eqx.Module
    state: eqx.nn.State

    def __init__(self, module: eqx.Module, state: eqx.nn.State):
        self.module = eqx.nn.inference_mode(module)
        self.state = state

    def __call__(
        self, x: Float[Array, "..."], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "..."]:
        """Compute the outputs for one example; `key` is ignored."""
        return apply(self.module, x, jax.lax.stop_gradient(self.state))[0]
