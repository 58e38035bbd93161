"""CE lemma 1 and theorem 1: the NTK of ensembles with m members.

By lemma 1, the NTK approaches the mean kernel (NMK). By theorem 1, it drifts by O(1/m) in training.
"""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ceflow.claims.costs import MULTIPLICITY_FACTORS
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict, noise_reach
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.dynamics import median_drift, power_law
from ceflow.kernels import empirical_ntk
from ceflow.spec import Ensemble

DRAWING_BATCHES = 5
"""Number of batches in which the networks of one multiplicity are drawn."""


def of_multiplicity(trial: Trial, multiplicity: int) -> Ensemble:
    """Return the trial's ensemble with another multiplicity."""
    return trial.ensemble.replaced({"multiplicity": multiplicity})


def in_parts(trial: Trial, index: int) -> Iterator[Int[Array, " k"]]:
    """Yield the indices of networks in batches; the last ones may lie beyond `draws`.

    `index` is the number of multiplicities already done, to report progress.
    """
    count = -(-trial.draws // DRAWING_BATCHES)
    for part in range(DRAWING_BATCHES):
        yield part * count + jnp.arange(count)
        trial.observe(
            index * DRAWING_BATCHES + part + 1, len(MULTIPLICITY_FACTORS) * DRAWING_BATCHES
        )


def _drawn(model: Ensemble, key: Array, index: Array) -> Any:
    return lower(expand(model), jax.random.fold_in(key, index))


def _kernel(module: Any, x: Array) -> Float[Array, "n n"]:
    """Compute the mean of the NTK over outputs."""
    outputs = jax.eval_shape(module, x[0]).shape[0]
    return empirical_ntk(module, x, trace=True) / outputs


@eqx.filter_jit
def start_kernels(
    model: Ensemble, key: Array, indices: Int[Array, " k"], x: Float[Array, "n inputs"]
) -> Float[Array, "k n n"]:
    """Compute the initial NTKs of networks, one after another."""
    return jax.lax.map(lambda index: _kernel(_drawn(model, key, index), x), indices)


@eqx.filter_jit
def moved_kernels(
    model: Ensemble,
    key: Array,
    indices: Int[Array, " k"],
    x: Float[Array, "n inputs"],
    y: Float[Array, "n outputs"],
    rate: Float[Array, ""],
    steps: int,
) -> Float[Array, "k 2 n n"]:
    """Compute NTKs of networks before and after `steps` steps of gradient descent.

    The loss is `L = 1/2 |F - y|^2`, a sum over examples.
    """

    def one(index: Array) -> Array:
        weights, rest = eqx.partition(_drawn(model, key, index), eqx.is_inexact_array)

        def loss(weights: Any) -> Array:
            return 0.5 * jnp.square(jax.vmap(eqx.combine(weights, rest))(x) - y).sum()

        def step(weights: Any, _: None) -> tuple[Any, None]:
            slopes = jax.grad(loss)(weights)
            return jax.tree.map(lambda w, s: w - rate * s, weights, slopes), None

        last = jax.lax.scan(step, weights, length=steps)[0]
        return jnp.stack([_kernel(eqx.combine(each, rest), x) for each in (weights, last)])

    return jax.lax.map(one, indices)


def deviation_slope(trial: Trial) -> Verdict:
    """Measure the power with which the NTK's distance from the NMK falls with the multiplicity.

    The multiplicities are m, 2m, 4m and 8m. The distance is the root mean square of the relative
    deviation `|K_e - NMK|/|NMK|` in Frobenius norm over `draws` ensembles, where the NMK is the
    mean kernel of all members drawn. For independent members it falls exactly as m^-1/2. The
    tolerance is the noise of `draws` draws.
    """
    counts = [trial.ensemble.multiplicity * factor for factor in MULTIPLICITY_FACTORS]
    kernels = [_kernels_of(trial, index, count) for index, count in enumerate(counts)]
    mean = sum(count * each.mean(0) for count, each in zip(counts, kernels, strict=True))
    mean = mean / sum(counts)
    squares = [np.square(each - mean).sum((1, 2)) / np.square(mean).sum() for each in kernels]
    distances = [float(np.sqrt(each.mean())) for each in squares]
    errors = [
        float(each.std(ddof=1) / len(each) ** 0.5 / (2 * distance))
        for each, distance in zip(squares, distances, strict=True)
    ]
    law = power_law(counts, distances, errors)
    assert law.stderr is not None
    about = {"multiplicities": counts, "distances": distances, "stderrs": errors}
    return Verdict({"slope": Part(law.slope, -0.5, noise_reach() * law.stderr)}, about)


def _kernels_of(trial: Trial, index: int, multiplicity: int) -> Float[np.ndarray, "draws n n"]:
    """Compute the initial NTKs, means over outputs, of drawn ensembles of a multiplicity."""
    model, (x, _) = of_multiplicity(trial, multiplicity), trial.examples()
    seed = trial.seed.fold(multiplicity)
    parts: Iterator = (start_kernels(model, seed.jax(), some, x) for some in in_parts(trial, index))
    return np.concatenate([np.asarray(part, float) for part in parts])[: trial.draws]


SCALED_TIME = 8.0
"""Final time mu t times the number of examples. At this time, the loss has about halved."""

SLOPE_TOLERANCE = 0.15
"""Tolerance of the slope, which may differ from -1 by terms of higher order in 1/(mn). With erf,
two hidden layers and mn of at least 64, it was -0.98 to -0.90 over four multiplicities."""


def drift_slope(trial: Trial) -> Verdict:
    """Measure the power with which the drift of the NTK falls with the multiplicity.

    The multiplicities are m, 2m, 4m and 8m. The drift is the median of `|K_ij(t) - K_ij(0)|` over
    `draws` ensembles, and then over pairs of different inputs, after `steps` steps of gradient
    descent to mu t = 8/points. The tolerance is 0.15 for higher orders in 1/(mn), plus the noise of
    `draws` draws.
    """
    counts = [trial.ensemble.multiplicity * factor for factor in MULTIPLICITY_FACTORS]
    drifts, errors = zip(*(_drift(trial, i, count) for i, count in enumerate(counts)), strict=True)
    law = power_law(counts, drifts, errors)
    assert law.stderr is not None
    about = {"multiplicities": counts, "drifts": list(drifts), "stderrs": list(errors)}
    tolerance = SLOPE_TOLERANCE + noise_reach() * law.stderr
    return Verdict({"slope": Part(law.slope, -1.0, tolerance)}, about)


def _drift(trial: Trial, index: int, multiplicity: int) -> tuple[float, float]:
    """Measure the drift and its standard error, each a median over pairs of inputs."""
    model = of_multiplicity(trial, multiplicity)
    x, y = trial.examples()
    key, rate = trial.seed.fold(multiplicity).jax(), SCALED_TIME / len(x) / trial.steps
    parts = []
    for some in in_parts(trial, index):
        moved = moved_kernels(model, key, some, x, y, jnp.asarray(rate, x.dtype), trial.steps)
        parts.append(np.asarray(moved, float))
    kernels = np.concatenate(parts)[: trial.draws]
    pairs = np.triu_indices(len(x), 1)
    start, end = kernels[:, 0][:, *pairs], kernels[:, 1][:, *pairs]
    value, stderr = median_drift(end, start)
    return float(np.median(value)), float(np.median(stderr))
