"""CE theorem 1: the NTK of an ensemble moves by O(1/m) in training."""

import jax.numpy as jnp
import numpy as np

from ceflow.claims.budget import MULTIPLES
from ceflow.claims.ensembles import in_parts, moved_kernels, of_multiplicity
from ceflow.claims.tolerances import noise_reach
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict
from ceflow.dynamics import median_drift, power_law

TIME = 8.0
"""mu t at the end, times the number of examples: with it the loss falls to about half."""

CORRECTIONS = 0.15
"""By this the slope may differ from -1 for terms of higher order in 1/(mn): with erf, mn of 64 and
more and two hidden layers it was -0.98 to -0.90 over four multiplicities."""


def drift_slope(trial: Trial) -> Verdict:
    """Measure the slope of the drift of the NTK in the multiplicity: m, 2m, 4m and 8m members.

    The drift is the median over `draws` ensembles, and over pairs of two inputs, of `|K_ij(t) -
    K_ij(0)|` after `steps` steps of gradient descent to mu t = 8/points. The tolerance is 0.15 for
    higher orders in 1/(mn), and the noise of so many draws.
    """
    counts = [trial.ensemble.multiplicity * factor for factor in MULTIPLES]
    drifts, errors = zip(*(_drift(trial, i, count) for i, count in enumerate(counts)), strict=True)
    law = power_law(counts, drifts, errors)
    assert law.stderr is not None
    about = {"multiplicities": counts, "drifts": list(drifts), "stderrs": list(errors)}
    tolerance = CORRECTIONS + noise_reach() * law.stderr
    return Verdict({"slope": Part(law.slope, -1.0, tolerance)}, about)


def _drift(trial: Trial, index: int, multiplicity: int) -> tuple[float, float]:
    """Measure the drift and its standard error, that of a pair in the middle."""
    model = of_multiplicity(trial, multiplicity)
    x, y = trial.examples()
    key, rate = trial.seed.fold(multiplicity).jax(), TIME / len(x) / trial.steps
    parts = []
    for some in in_parts(trial, index):
        moved = moved_kernels(model, key, some, x, y, jnp.asarray(rate, x.dtype), trial.steps)
        parts.append(np.asarray(moved, float))
    kernels = np.concatenate(parts)[: trial.draws]
    pairs = np.triu_indices(len(x), 1)
    start, end = kernels[:, 0][:, *pairs], kernels[:, 1][:, *pairs]
    value, stderr = median_drift(end, start)
    return float(np.median(value)), float(np.median(stderr))
