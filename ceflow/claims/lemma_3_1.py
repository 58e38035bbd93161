"""BN lemma 3.1: f and its Jacobian J are jointly Gaussian at the start (BN figure 11)."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from ceflow.bottlenecks import DecoderKernels, WideDecoder
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict, noise_reach
from ceflow.nets import ACTIVATIONS
from ceflow.spec import Bottleneck, Mlp

DRAWING_CALLS = 20
"""Number of calls of the compiled program that draws the networks."""


class DrawnMoments(NamedTuple):
    """Means over draws for each pair of points, with z = (f(x), f(x'), J(x), J(x'))."""

    second: Float[Array, "pairs k k"]
    """`E[z z^T]`."""
    fourth: Float[Array, "pairs k"]
    """`E[z^4]`."""


def covariances(trial: Trial, kernels: type[DecoderKernels] = DecoderKernels) -> Verdict:
    """Compare covariances of f and J over `draws` decoders with their limits.

    The decoders have one output. The pairs x, x' of points are standard normal.

    - `JJ`, `ff` and `Jf` are relative deviations, in Frobenius norm, of the covariances of J (BN
      eq. 8), of f (eq. 4), and of f with J (eq. 9); root mean squares over pairs. The means of the
      covariances are exact at any width, so only the noise of `draws` draws remains.
    - `kurtosis` is the mean excess kurtosis of f and of the components of J. It is 0 for Gaussians;
      its value at width n is added to the tolerance.
    """
    network = trial.bottleneck
    d = int(network.size)
    pairs = trial.normal("pairs", trial.points, 2, d)
    moments = drawn_moments(trial, network, pairs)
    expected = np.asarray(theory(kernels(network), pairs), float)
    blocks = {"JJ": (slice(2, None),) * 2, "ff": (slice(2),) * 2, "Jf": (slice(2, None), slice(2))}
    parts, deviations = {}, {}
    for name, block in blocks.items():
        parts[name], deviations[name] = _deviation(moments.second, expected, block, trial.draws)
    narrow = float(unit_excess(network.wide_decoder, pairs.reshape(-1, d)).mean()) / trial.width
    parts["kurtosis"] = _kurtosis(moments, trial.draws, narrow)
    return Verdict(parts, {"deviations": deviations})


def _deviation(
    covariance: Array, expected: np.ndarray, block: tuple[slice, slice], draws: int
) -> tuple[Part, list[float]]:
    """Compute the deviation of one block of the covariance, and the deviation at each pair.

    The tolerance follows from `Var z_a z_b = C_aa C_bb + C_ab^2` for Gaussians.
    """
    rows, columns = block
    diagonal = np.diagonal(expected, axis1=1, axis2=2)
    squares = diagonal[:, rows, None] * diagonal[:, None, columns]
    true = expected[:, rows, columns]
    size = np.square(true).sum((1, 2))
    noise = (squares + np.square(true)).sum((1, 2)) / draws / size
    deviation = np.square(np.asarray(covariance)[:, rows, columns] - true).sum((1, 2)) / size
    reach = noise_reach(4) * float(np.sqrt(noise.mean()))
    return Part(float(np.sqrt(deviation.mean())), 0.0, reach), np.sqrt(deviation).tolist()


def _kurtosis(moments: DrawnMoments, draws: int, narrow: float) -> Part:
    """Compare the mean excess kurtosis of the components with 0.

    All components come from the same draws, so the variance of their mean is at most that of one,
    24/draws. `narrow`, the excess kurtosis at this width, is added to the tolerance.
    """
    variance = np.diagonal(np.asarray(moments.second), axis1=1, axis2=2)
    excess = np.asarray(moments.fourth) / variance**2 - 3
    return Part(float(excess.mean()), 0.0, noise_reach(4) * (24 / draws) ** 0.5 + narrow)


def theory(kernels: DecoderKernels, pairs: Float[Array, "p 2 d"]) -> Float[Array, "p k k"]:
    """Compute the covariance of z (BN eq. 4, 8 and 9)."""

    def one(points: Float[Array, "2 d"]) -> Float[Array, "k k"]:
        d = points.shape[1]
        ff, fj = kernels.nngp(points, points), kernels.nngp_slope(points, points).reshape(2, 2 * d)
        jj = kernels.nngp_mixed(points, points).transpose(0, 2, 1, 3).reshape(2 * d, 2 * d)
        return jnp.block([[ff, fj], [fj.T, jj]])

    return jax.lax.map(one, pairs)


def drawn_moments(trial: Trial, network: Bottleneck, pairs: Float[Array, "p 2 d"]) -> DrawnMoments:
    """Compute moments over drawn networks, one after another, to keep memory constant."""
    count = -(-trial.draws // DRAWING_CALLS)
    key, total = trial.seed.fold("decoders").jax(), None
    for call in range(DRAWING_CALLS):
        indices = call * count + jnp.arange(count)
        sums = _sums(network, trial.width, key, indices, trial.draws, pairs)
        total = sums if total is None else jax.tree.map(jnp.add, total, sums)
        trial.observe(call + 1, DRAWING_CALLS)
    return jax.tree.map(lambda each: each / trial.draws, total)


@eqx.filter_jit
def _sums(
    network: Bottleneck, width: int, key: Array, indices: Int[Array, " k"], draws: int, pairs: Array
) -> DrawnMoments:
    """Sum the moments over the networks with these indices, except indices from `draws` on."""
    points = pairs.reshape(-1, pairs.shape[-1])

    def add(total: DrawnMoments, index: Array) -> tuple[DrawnMoments, None]:
        first, last = jax.random.split(jax.random.fold_in(key, index))
        u = jax.random.normal(first, (width, points.shape[1]))
        v = jax.random.normal(last, (1, width))
        z = _values(WideDecoder.from_weights(network.wide_decoder, u, v), points)
        moments = DrawnMoments(z[:, :, None] * z[:, None], z**4)
        counted = jax.tree.map(lambda all, m: all + jnp.where(index < draws, m, 0), total, moments)
        return counted, None

    k = 2 * (1 + points.shape[1])
    empty = DrawnMoments(jnp.zeros((len(pairs), k, k)), jnp.zeros((len(pairs), k)))
    return jax.lax.scan(add, empty, indices)[0]


def _values(decoder: WideDecoder, points: Float[Array, "m d"]) -> Float[Array, "p k"]:
    """Compute z of each pair."""
    f = decoder(points).reshape(len(points) // 2, 2)
    slopes = decoder.jacobian(points).reshape(len(f), -1)
    return jnp.concatenate([f, slopes], axis=1)


QUADRATURE_NODES = 64
"""Number of quadrature nodes; it is even, so that no node is at the kink."""


def unit_excess(model: Mlp, points: Float[ArrayLike, "m d"]) -> Float[np.ndarray, "m k"]:
    """Compute the excess kurtosis of one hidden unit's contribution to f(x) and J(x).

    A contribution is `v r` with standard normal v, where r is phi(s) for f and phi'(s) u_b for J,
    with `s = sqrt(c/d) u.x` (BN eq. 1 and 15). Its excess kurtosis is `3 E[r^4]/E[r^2]^2 - 3`; as
    units are independent, that of n units is 1/n of it. The expectation is by quadrature over the
    component of u along x, and in closed form over the components perpendicular to x.

    >>> unit_excess(Mlp(activation="relu", widths=[1]), jnp.ones((1, 2))).round(4).tolist()
    [[15.0, 15.0, 15.0]]
    """
    x = np.asarray(points, float)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    t, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
    s = jnp.asarray((model.weight_variance / x.shape[1]) ** 0.5 * length * t)
    phi = ACTIVATIONS[model.activation]
    f, slope = (np.asarray(e, float)[:, :, None] for e in jax.jvp(phi, (s,), (jnp.ones_like(s),)))
    along = (x / length)[:, None]
    mean, rest = along * t[:, None], 1 - along**2
    second = np.concatenate([f**2, slope**2 * (mean**2 + rest)], axis=2)
    fourth = slope**4 * (mean**4 + 6 * mean**2 * rest + 3 * rest**2)
    fourth = np.concatenate([f**4, fourth], axis=2)
    low, high = (np.einsum("mkd,k->md", e, weights / weights.sum()) for e in (second, fourth))
    return 3 * high / low**2 - 3
