"""BN eq. 5: outputs move by what the weights of the decoder and those of the encoder do."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.claims.gradient import Start, started
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict
from ceflow.spec import activations_of
from ceflow.spec.models import KINKED

EPS = 2.0**-52


def both_halves(trial: Trial) -> Verdict:
    """Compare, at width n, `dF/dw w' + dF/dtheta theta'` with a central difference of F.

    The one is by differentiation, the other along both halves; the error is relative in Frobenius
    norm.

    The difference moves F by eps^1/3 of itself, for an error of some eps^2/3. With kinks units
    switch on the way: moved by r, of n units r n do, and leave noise of sqrt(r); so r is eps^2/3,
    for an error of some eps^1/3, of which as much is rounding. Tolerances are 100 times that. In
    float64 at any precision, which only sets how well a difference quotient can do.
    """
    kinked = bool(activations_of(trial.bottleneck) & set(KINKED))
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
    """Compute `dF/dt` where only one half's weights move."""
    still = jax.tree.map(jnp.zeros_like, start.velocity)
    velocity = eqx.tree_at(lambda w: getattr(w, half), still, getattr(start.velocity, half))
    return start.rate(velocity)


def _difference(
    start: Start, moved: float, rate: Float[Array, "n outputs"]
) -> Float[Array, "n outputs"]:
    """Take a central difference, over a time in which F moves by a share `moved` of itself."""
    weights = eqx.filter(start.network, eqx.is_inexact_array)
    time = moved * _norm(start.outputs(weights)) / _norm(rate)
    ahead, behind = (
        start.outputs(jax.tree.map(lambda w, v, t=t: w + t * v, weights, start.velocity))
        for t in (time, -time)
    )
    return (ahead - behind) / (2 * time)


def _norm(each: Array) -> float:
    return float(jnp.linalg.norm(each))
