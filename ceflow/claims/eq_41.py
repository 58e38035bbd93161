"""BN eq. 31 to 41: the derivative of the decoder's empirical NTK approaches Xi, term by term."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.bottlenecks import DecoderKernels, WideDecoder
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict, noise_bound
from ceflow.spec import Bottleneck

TERMS = ("eq-31", "eq-39", "eq-40", "eq-41")
"""Names of the three terms of eq. 30 and of their sum."""


class Means(NamedTuple):
    """Means of the terms over units, and the covariances of these means."""

    mean: Float[Array, "pairs terms d"]
    noise: Float[Array, "pairs terms d d"]


def kernel_derivative(trial: Trial, kernels: type[DecoderKernels] = DecoderKernels) -> Verdict:
    """Compare the decoder's `dK_n/dx` with its limit Xi, term by term.

    It is computed at `points` pairs x, x' of standard normal points. Each pair has its own decoder,
    of width n and with one output.

    The parts `eq-31`, `eq-39` and `eq-40` are the relative deviations of the terms of eq. 30 from
    their limits, over all pairs; `eq-41` is the relative deviation of dK_n/dx from Xi. Each term is
    a mean over n independent units, whose scatter gives the tolerance.

    If phi has a kink, phi'' is not a function: the derivative of a mask is 0 almost everywhere at
    any n, while its limit is not 0. Then `eq-39` uses the difference quotient of phi' over
    x +- h e_k with h = n^-1/5. As in footnote 5, which uses softplus(m x)/m, the limit of infinite
    n is taken first. The bias of order h^2 is known from the limit and added to the tolerance.
    """
    network, n = trial.bottleneck, trial.width
    pairs = trial.normal("pairs", trial.points, 2, int(network.size))
    step = n**-0.2 if network.wide_decoder.kinks else None
    means = terms(network, n, trial.seed.fold("units").jax(), pairs, step)
    mean, noise = (np.asarray(each, float) for each in means)
    limit = kernels(network)
    expected = np.asarray(limits(limit, pairs), float)
    bias = np.zeros_like(expected)
    if step is not None:
        whole, half = (np.asarray(quotients(limit, pairs, h)) for h in (step, step / 2))
        bias[:, 1] = bias[:, 3] = 4 / 3 * (whole - half)  # h^2 bias: a quarter of it at h/2
    offs = mean - expected
    parts = {
        name: _part(offs[:, i], noise[:, i], expected[:, i], bias[:, i])
        for i, name in enumerate(TERMS)
    }
    return Verdict(parts, {} if step is None else {"step": step})


def _part(off: np.ndarray, noise: np.ndarray, expected: np.ndarray, bias: np.ndarray) -> Part:
    size = float(np.linalg.norm(expected))
    if not size:
        raise ValueError(
            "a limit is 0 at every pair of points, as a kink's is where both have opposite signs,"
            " and nothing is relative to it: take more points"
        )
    variances = np.linalg.eigvalsh(noise).ravel().clip(0)
    away = float(np.linalg.norm(bias)) + noise_bound(variances, len(TERMS))
    return Part(float(np.linalg.norm(off)) / size, 0.0, away / size)


@eqx.filter_jit
def terms(
    network: Bottleneck,
    width: int,
    key: Array,
    pairs: Float[Array, "p 2 d"],
    step: float | None,
) -> Means:
    """Compute the terms of `dK_n/dx` at each pair; this takes memory for some 12 n d numbers."""
    d = pairs.shape[-1]

    def one(item: tuple[Array, Array]) -> Means:
        index, pair = item
        weights = jax.random.normal(jax.random.fold_in(key, index), (width, d + 1))
        decoder = WideDecoder.from_weights(
            network.wide_decoder, weights[:, :d], weights[None, :, d]
        )
        every = unit_terms(decoder, pair, step)
        mean = every.mean(1)
        off = every - mean[:, None]
        return Means(mean, jnp.einsum("tnd,tne->tde", off, off) / float(width) ** 2)

    return jax.lax.map(one, (jnp.arange(len(pairs)), pairs))


def unit_terms(
    decoder: WideDecoder, pair: Float[Array, "2 d"], step: float | None
) -> Float[Array, "terms n d"]:
    """Compute each unit's contribution to the terms of eq. 30, times n; their mean is dK_n/dx."""
    x, other = pair
    (scale, last), u, phi = decoder.scales, decoder.u, decoder.activation
    squares, size = jnp.square(decoder.v[0]), len(u) * last**2
    a, b = scale * u @ x, scale * u @ other

    def slope(at: Array) -> Array:
        return jax.jvp(phi, (at,), (jnp.ones_like(at),))[1]

    if step is None:
        curve = jax.jvp(slope, (a,), (jnp.ones_like(a),))[1]
        turning = scale * curve[:, None] * u
    else:
        by = step * scale * u
        turning = (slope(a[:, None] + by) - slope(a[:, None] - by)) / (2 * step)
    each = [
        size * scale**2 * (squares * slope(a) * slope(b))[:, None] * other,
        size * scale**2 * (x @ other) * (squares * slope(b))[:, None] * turning,
        size * scale * (slope(a) * phi(b))[:, None] * u,
    ]
    return jnp.stack([*each, sum(each, jnp.zeros_like(u))])


def limits(kernels: DecoderKernels, pairs: Float[Array, "p 2 d"]) -> Float[Array, "p terms d"]:
    """Compute the limits of the three terms of eq. 30, and of their sum, Xi.

    The first is `(b c/d) x' E[phi' phi']`, the third `dSigma/dx`, and the second the rest of Xi.
    """
    x, other, each = pairs[:, 0], pairs[:, 1], jnp.arange(len(pairs))
    whole = kernels.ntk_slope(x, other)[each, each]
    own = kernels.nngp_slope(other, x)[each, each]
    first = _slopes(kernels, x, other)[each, each, None] * other
    return jnp.stack([first, whole - first - own, own, whole], axis=1)


def quotients(
    kernels: DecoderKernels, pairs: Float[Array, "p 2 d"], step: float
) -> Float[Array, "p d"]:
    """Compute the limit of the difference quotient that replaces the second term at kinks."""
    x, other, each = pairs[:, 0], pairs[:, 1], jnp.arange(len(pairs))
    shape, unit = (*x.shape, len(x)), step * jnp.eye(x.shape[1], dtype=x.dtype)
    ahead, behind = (
        _slopes(kernels, (x[:, None] + by).reshape(-1, x.shape[1]), other).reshape(shape)
        for by in (unit, -unit)
    )
    quotient = (ahead - behind)[each, :, each] / (2 * step)
    return (x * other).sum(1, keepdims=True) * quotient


def _slopes(
    kernels: DecoderKernels, x: Float[Array, "m d"], other: Float[Array, "p d"]
) -> Float[Array, "m p"]:
    """Compute `b c/d E[phi' phi']`, which is (K - Sigma)/(x.x')."""
    return (kernels.ntk(x, other) - kernels.nngp(x, other)) / (x @ other.T)
