"""The residual connection."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, Key

from ceflow.nets.states import apply, is_stateful


class Residual(eqx.nn.StatefulLayer):
    """`h -> shortcut(h) + body(h)`; the shortcut is the identity where it is None.

    With state, as `equinox.nn.Sequential`, where a branch has one.

    >>> import jax
    >>> from ceflow.nets import Dense
    >>> Residual(Dense(3, 3, key=jax.random.key(0)))(jax.numpy.ones(3)).shape
    (3,)
    """

    body: eqx.Module
    shortcut: eqx.Module | None

    def __init__(self, body: eqx.Module, shortcut: eqx.Module | None = None):
        self.body = body
        self.shortcut = shortcut

    def is_stateful(self) -> bool:
        """Tell whether a branch has state."""
        return is_stateful(self.body) or is_stateful(self.shortcut)

    def __call__(
        self,
        x: Float[Array, "..."],
        state: eqx.nn.State | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Any:
        """Add both branches; give the new state too, if any.

        `key` is ignored, and there for `equinox.nn.Sequential`."""
        straight, after = (x, state) if self.shortcut is None else apply(self.shortcut, x, state)
        bent, after = apply(self.body, x, after)
        return straight + bent if state is None else (straight + bent, after)
