"""Kernels of decoders that look plausible and are wrong."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ceflow.bottlenecks import DecoderKernels

ROWS = 2**18
"""Units over which an expectation is taken that has no closed form here."""


class WithoutSlope(DecoderKernels):
    """K without `x.x'/d E[phi' phi']`: the decoder's last layer alone learns."""

    def ntk(self, one: Any, two: Any) -> Array:
        return self.nngp(one, two)


class WithoutMasks(DecoderKernels):
    """Xi without `x.x'/d dE[phi' phi']/dx`: masks do not move with x."""

    def ntk_slope(self, one: Any, two: Any) -> Array:
        slope = (self.ntk(one, two) - self.nngp(one, two)) / (one @ two.T)
        return slope[..., None] * two + jnp.swapaxes(self.nngp_slope(two, one), 0, 1)


class AsPrinted(DecoderKernels):
    """BN eq. 40 as it is printed, `E[u phi' phi']`, for `dSigma/dx`."""

    def nngp_slope(self, one: Any, two: Any) -> Array:
        d = two.shape[1]
        u = jax.random.normal(jax.random.key(0), (ROWS, d))
        masks = [(u @ each.T > 0).astype(u.dtype) for each in (one, two)]
        return jnp.einsum("ra,rb,rd->abd", *masks, u) / ROWS / d**0.5

    def ntk_slope(self, one: Any, two: Any) -> Array:
        right = jnp.swapaxes(super().nngp_slope(two, one), 0, 1)
        printed = jnp.swapaxes(self.nngp_slope(two, one), 0, 1)
        return super().ntk_slope(one, two) - right + printed


class WithoutRoot(DecoderKernels):
    """BN eq. 22 as it is printed, without `1/sqrt d`."""

    def nngp_slope(self, one: Any, two: Any) -> Array:
        return two.shape[1] ** 0.5 * super().nngp_slope(one, two)
