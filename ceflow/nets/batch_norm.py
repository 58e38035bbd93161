"""Batch normalisation with running statistics."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ceflow.nets.types import wider

BATCH = "batch"
"""Name of the `jax.vmap` axis that runs over the examples of a batch."""

Moments = tuple[Float[Array, " channels"], Float[Array, " channels"]]
"""Mean and variance of each channel."""


class BatchNorm(eqx.nn.StatefulLayer):
    """`h -> weight (h - mean) / sqrt(variance + eps) + bias`, computed per channel.

    In training, the mean and variance are taken over the batch and all positions of the image. The
    running statistics are updated as `(1 - momentum) running + momentum batch`, with the unbiased
    variance (n - 1), as in PyTorch. The batch is the `jax.vmap` axis named `"batch"`. In inference
    (`eqx.nn.inference_mode`) the running statistics are used; they start at mean 0 and variance 1.
    Equinox's own layer is not used: its running variance starts at 1 but is corrected as if it had
    started at 0.

    Raises `ValueError` in training if there is no batch axis, or only one number per channel.

    >>> norm, state = eqx.nn.make_with_state(BatchNorm)(2)
    >>> batched = jax.vmap(norm, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    >>> y, state = batched(jnp.arange(16.0).reshape(4, 2, 2, 1), state)
    >>> print(y.mean(axis=(0, 2, 3)).round(3), (100 * state.get(norm.statistics)[0]).round())
    [0. 0.] [65. 85.]
    """

    weight: Float[Array, " channels"]
    bias: Float[Array, " channels"]
    statistics: eqx.nn.StateIndex
    inference: bool
    eps: float = eqx.field(static=True)
    momentum: float = eqx.field(static=True)
    initial: float = eqx.field(static=True)
    """Initial value of the weights."""

    def __init__(
        self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1, initial: float = 1.0
    ):
        self.weight = jnp.full(channels, initial)
        self.bias = jnp.zeros(channels)
        self.statistics = eqx.nn.StateIndex((jnp.zeros(channels), jnp.ones(channels)))
        self.inference = False
        self.eps = eps
        self.momentum = momentum
        self.initial = initial

    def __call__(
        self,
        x: Float[Array, "channels *positions"],
        state: eqx.nn.State,
        *,
        key: Key[Array, ""] | None = None,
    ) -> tuple[Float[Array, "channels *positions"], eqx.nn.State]:
        """Apply the layer. `key` is ignored; `equinox.nn.Sequential` passes it."""
        running = state.get(self.statistics)
        moments = running if self.inference else _moments(x)
        if not self.inference:
            state = state.set(self.statistics, self._moved(running, moments, x))
        mean, variance = (_along(values, x) for values in moments)
        normalised = (x - mean) / jnp.sqrt(variance + self.eps)
        y = _along(self.weight, x) * normalised + _along(self.bias, x)
        return y.astype(x.dtype), state

    def _moved(self, running: Moments, batch: Moments, x: Array) -> Moments:
        batch_mean, batch_variance = batch
        count = x[0].size * jax.lax.axis_size(BATCH)
        if count == 1:
            raise ValueError(
                "BatchNorm in training mode was given one number per channel, which has no"
                " variance; give it a larger batch"
            )
        measured = batch_mean, batch_variance * (count / (count - 1))
        share = self.momentum
        mean, variance = (
            (1 - share) * a + share * b for a, b in zip(running, measured, strict=True)
        )
        return mean, variance


def _moments(x: Array) -> Moments:
    """Compute the mean and variance of the batch.

    The variance is the mean squared difference from the mean: E[x^2] - E[x]^2 would lose digits.
    Moments of narrow floats are computed in float32.
    """
    x = x.astype(wider(x.dtype))
    axes = tuple(range(1, x.ndim))
    try:
        mean = jax.lax.pmean(x.mean(axis=axes), BATCH)
    except NameError:
        raise ValueError(
            f"BatchNorm in training mode needs a batch: jax.vmap(module, axis_name={BATCH!r},"
            " in_axes=(0, None), out_axes=(0, None)), or eqx.nn.inference_mode(module)"
        ) from None
    return mean, jax.lax.pmean(((x - _along(mean, x)) ** 2).mean(axis=axes), BATCH)


def _along(values: Float[Array, " channels"], x: Array) -> Array:
    """Reshape one number per channel so that it broadcasts over an image."""
    return values.reshape(-1, *(1,) * (x.ndim - 1))
