"""BN eq. 5 and 6: gradient flow of a network with a bottleneck.

Eq. 5 splits dF/dt into contributions of the decoder's and of the encoder's weights; eq. 6 expresses
dF/dt by the empirical NTKs of both halves.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.bottlenecks import sample
from ceflow.claims.followed import Segments
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import ROUNDING_FACTOR, Part, Verdict
from ceflow.kernels import empirical_ntk


class Start(NamedTuple):
    """Start of gradient flow on `L = 1/2 |F - y|^2`, with chi = F - y and the weights' velocity."""

    network: Segments
    x: Float[Array, "n inputs"]
    chi: Float[Array, "n outputs"]
    velocity: Segments
    """Velocities `-dL/dw` and `-dL/dtheta` of the weights, in a copy of the network."""

    def outputs(self, weights: Any) -> Float[Array, "n outputs"]:
        """Compute the outputs of the network with other weights."""
        rest = eqx.filter(self.network, eqx.is_inexact_array, inverse=True)
        return jax.vmap(eqx.combine(weights, rest))(self.x)

    def rate(self, velocity: Any) -> Float[Array, "n outputs"]:
        """Compute dF/dt when the weights have this velocity."""
        weights = eqx.filter(self.network, eqx.is_inexact_array)
        return jax.jvp(self.outputs, (weights,), (velocity,))[1]


def started(trial: Trial) -> Start:
    """Draw a network of width n, and compute its start on the trial's examples."""
    x, y = trial.examples()
    initial = sample(trial.bottleneck, *trial.sizes, trial.seed.fold("network"), width=trial.width)
    network = Segments.from_network(initial)
    weights = eqx.filter(network, eqx.is_inexact_array)
    start = Start(network, x, jnp.zeros_like(y), weights)
    outputs, back = jax.vjp(start.outputs, weights)
    chi = outputs - y
    (slopes,) = back(-chi)
    return start._replace(chi=chi, velocity=slopes)


EPS = 2.0**-52
"""Machine epsilon of float64."""


def both_halves(trial: Trial) -> Verdict:
    """Compare `dF/dw w' + dF/dtheta theta'` with a central difference of F, at width n.

    The first is computed by differentiation for each half, the second while the weights of both
    halves move. The error is relative in Frobenius norm.

    Without kinks, the difference changes F by eps^1/3 of itself, which gives an error of about
    eps^2/3. With kinks, units switch in between: if F changes by a fraction r, r n of n units
    switch and leave noise of sqrt(r). So r is eps^2/3, and the error is about eps^1/3, from
    switching and from rounding alike. The tolerance is 100 times the error.

    The computation is in float64 whatever the run's precision, which would only limit the accuracy
    of the difference quotient.
    """
    kinked = bool(trial.bottleneck.kinks)
    moved, error = EPS ** (2 / 3 if kinked else 1 / 3), EPS ** (1 / 3 if kinked else 2 / 3)
    with jax.enable_x64(True):
        start = started(trial)
        decoder, encoder = (_of(start, half) for half in ("decoder", "encoder"))
        whole = decoder + encoder
        if not _norm(whole):
            raise ValueError("eq. 5: nothing in the network drawn moves; take a larger width")
        deviation = _norm(whole - _difference(start, moved, whole)) / _norm(whole)
        share = _norm(encoder) / _norm(whole)
    return Verdict({"derivative": Part(deviation, 0.0, 100 * error)}, {"encoder_share": share})


def _of(start: Start, half: str) -> Float[Array, "n outputs"]:
    """Compute dF/dt when only the weights of one half (encoder or decoder) move."""
    still = jax.tree.map(jnp.zeros_like, start.velocity)
    velocity = eqx.tree_at(lambda w: getattr(w, half), still, getattr(start.velocity, half))
    return start.rate(velocity)


def _difference(
    start: Start, moved: float, rate: Float[Array, "n outputs"]
) -> Float[Array, "n outputs"]:
    """Compute dF/dt by a central difference, over a time in which F changes by `moved` |F|."""
    weights = eqx.filter(start.network, eqx.is_inexact_array)
    time = moved * _norm(start.outputs(weights)) / _norm(rate)
    ahead, behind = (
        start.outputs(jax.tree.map(lambda w, v, t=t: w + t * v, weights, start.velocity))
        for t in (time, -time)
    )
    return (ahead - behind) / (2 * time)


def _norm(each: Array) -> float:
    return float(jnp.linalg.norm(each))


def by_kernels(trial: Trial) -> Verdict:
    """Compare dF/dt with sums over empirical NTKs, at width n.

    The sums are `-sum_i K_n chi_i - sum_i J Theta_n J_i^T chi_i`. They equal dF/dt at any width, so
    the relative error in Frobenius norm must be within rounding.
    """
    start = started(trial)
    exact = start.rate(start.velocity)
    error = float(jnp.linalg.norm(kernel_sums(start) - exact) / jnp.linalg.norm(exact))
    eps = float(jnp.finfo(exact.dtype).eps)
    return Verdict({"derivative": Part(error, 0.0, ROUNDING_FACTOR * trial.width**0.5 * eps)})


def kernel_sums(start: Start) -> Float[Array, "n outputs"]:
    """Compute the right side of eq. 6.

    It uses the empirical NTKs of the decoder (n, n, outputs, outputs) and the encoder (n, n, d, d).
    """
    network, chi = start.network, start.chi
    points = jax.vmap(network.encoder)(start.x)
    jacobian = jax.vmap(jax.jacrev(network.decoder))(points)
    theta = empirical_ntk(network.encoder, start.x)
    pulled = jnp.einsum("nod,no->nd", jacobian, chi)
    moved = -jnp.einsum("ijab,jb->ia", theta, pulled)
    learned = -jnp.einsum("ijab,jb->ia", empirical_ntk(network.decoder, points), chi)
    return learned + jnp.einsum("nod,nd->no", jacobian, moved)
