"""The residual connection."""

import equinox as eqx
from jaxtyping import Array, Float, Key


class Residual(eqx.Module):
    """`h -> shortcut(h) + body(h)`; the shortcut is the identity where it is None.

    >>> import jax
    >>> from ceflow.nets import Dense
    >>> Residual(Dense(3, 3, key=jax.random.key(0)))(jax.numpy.ones(3)).shape
    (3,)
    """

    body: eqx.Module
    shortcut: eqx.Module | None = None

    def __call__(
        self, x: Float[Array, "..."], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "..."]:
        """Both branches, added; `key` is ignored, and there for `equinox.nn.Sequential`."""
        straight = x if self.shortcut is None else self.shortcut(x)  # pyright: ignore[reportCallIssue]
        return straight + self.body(x)  # pyright: ignore[reportCallIssue]
