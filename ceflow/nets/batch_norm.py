"""Batch normalisation with running statistics."""

from functools import partial
from typing import Any

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
        if self.inference:
            return self._scaled(_standardised(x, running, self.eps), x), state
        moments = _moments(x)
        count = x[0].size * jax.lax.axis_size(BATCH)
        state = state.set(self.statistics, self._moved(running, moments, count))
        return self._scaled(_standardised(x, moments, self.eps), x), state

    def of_batch(
        self, x: Float[Array, "channels *positions batch"], state: eqx.nn.State
    ) -> tuple[Float[Array, "channels *positions batch"], eqx.nn.State]:
        """Apply the layer to a whole batch."""
        running = state.get(self.statistics)
        if self.inference:
            return self._scaled(_standardised(x, running, self.eps), x), state
        wide = x.astype(wider(x.dtype))
        y, moments, _ = normalised(wide, self.weight, self.bias, self.eps)
        state = state.set(self.statistics, self._moved(running, moments, x[0].size))
        return y.astype(x.dtype), state

    def _scaled(self, standardised: Array, x: Array) -> Array:
        y = _along(self.weight, x) * standardised + _along(self.bias, x)
        return y.astype(x.dtype)

    def _moved(self, running: Moments, batch: Moments, count: int) -> Moments:
        """Move the running statistics towards those of a batch of `count` numbers a channel."""
        batch_mean, batch_variance = batch
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


def _standardised(x: Array, moments: Moments, eps: float) -> Array:
    mean, variance = moments
    return (x - _along(mean, x)) / jnp.sqrt(_along(variance, x) + eps)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def normalised(
    x: Float[Array, "channels ..."],
    weight: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    eps: float,
) -> tuple[Float[Array, "channels ..."], Moments, Float[Array, "channels ..."]]:
    """Normalise each channel; return its moments and `d = x - mean` too.

    With `f = weight r` and `r = 1 / sqrt(variance + eps)`, the outputs are `f d + bias`, and their
    derivative is `f (dx - mean(dx) - r^2 d mean(d dx)) + r d dweight + dbias`. Its transpose is of
    the same form. So the gradient reads d and not x, and takes two sums over a channel, which those
    of weight and bias share.
    """
    mean = x.mean(axis=_positions(x))
    centred = jax.lax.optimization_barrier(x - _along(mean, x))
    variance = (centred**2).mean(axis=_positions(x))
    factor = weight / jnp.sqrt(variance + eps)
    return _along(factor, x) * centred + _along(bias, x), (mean, variance), centred


@normalised.defjvp
def _(eps: float, primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> Any:
    outputs, (change, of_weight, of_bias) = normalised(*primals, eps), tangents
    (x, weight, _), (_, (_, variance), centred) = primals, outputs
    root = jnp.sqrt(variance + eps)
    factor, moved = weight / root, change.mean(axis=_positions(x))
    together = (centred * change).mean(axis=_positions(x))
    # numbers of a channel are multiplied first, so that the transpose sums over it once
    turned = (
        _along(of_weight / root, x) * centred - _along(factor / root**2 * together, x) * centred
    )
    y = _along(factor, x) * change - _along(factor * moved, x) + turned + _along(of_bias, x)
    return outputs, (y, (moved, 2 * together), change - _along(moved, x))


def _positions(x: Array) -> tuple[int, ...]:
    return tuple(range(1, x.ndim))


def _along(values: Float[Array, " channels"], x: Array) -> Array:
    """Reshape one number per channel so that it broadcasts over an image."""
    return values.reshape(-1, *(1,) * (x.ndim - 1))
