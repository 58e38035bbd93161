"""Kernels of decoders and errors in a chain that look plausible and are wrong."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ceflow.bottlenecks import DecoderKernels, Simulation
from ceflow.bottlenecks.training.engines import History, _appended
from ceflow.claims.followed import Followed, LimitKernels

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


class Skipping(LimitKernels):
    """A chain whose first segment is driven by the error at the outputs of the second: it skips a
    Jacobian; of equal sizes."""

    def errors(self, now: Followed, start: Followed, chi: Array) -> list[Array]:
        _, *others = super().errors(now, start, chi)
        return [others[0], *others]


class AtTheStart(LimitKernels):
    """A chain in which errors come back through the Jacobians at the start, at another time."""

    def errors(self, now: Followed, start: Followed, chi: Array) -> list[Array]:
        return super().errors(now._replace(jacobians=start.jacobians), start, chi)


class SkippingHistory(History):
    """The same in the engine."""

    def learn(self, memory: Any, points: Array, chi: Any, rate: Array) -> tuple[Any, ...]:
        seen = self.seen(memory, points)
        last = seen[-1]
        error = chi(last.outputs)
        back = jnp.einsum("bod,bo->bd", last.jacobian, error)
        errors = [*[back] * (len(seen) - 1), error]
        each = zip(memory, seen, errors, strict=True)
        learned = tuple(_appended(past, at.points, rate * error) for past, at, error in each)
        return learned, back, last.outputs


class StaleHistory(History):
    """Errors come back through the initial Jacobians, though at the points of the moment."""

    def seen(self, memory: Any, points: Array) -> Any:
        pairs = zip(self.decoder.sequence, super().seen(memory, points), strict=True)
        return tuple(at._replace(jacobian=decoder.jacobian(at.points)) for decoder, at in pairs)


class SkippingSimulation(Simulation):
    def _engine(self) -> History:
        return SkippingHistory(self.initial.decoder, self.network.bottlenecks)


class StaleSimulation(Simulation):
    def _engine(self) -> History:
        return StaleHistory(self.initial.decoder, self.network.bottlenecks)
