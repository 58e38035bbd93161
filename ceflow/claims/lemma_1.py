"""CE lemma 1: the NTK of an ensemble approaches the mean kernel as it has more members."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from ceflow.claims.budget import MULTIPLES
from ceflow.claims.ensembles import in_parts, of_multiplicity, start_kernels
from ceflow.claims.tolerances import noise_reach
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict
from ceflow.dynamics import power_law


def deviation_slope(trial: Trial) -> Verdict:
    """Measure the slope of the distance from the NMK in the multiplicity: m to 8m members.

    The multiplicities are m, 2m, 4m and 8m.

    The distance is the root mean square over `draws` ensembles of `|K_e - NMK|`, relative in
    Frobenius norm, which of independent members falls as m^-1/2 exactly; the NMK is the mean over
    all of them. The tolerance is the noise of so many draws.
    """
    counts = [trial.ensemble.multiplicity * factor for factor in MULTIPLES]
    kernels = [_drawn(trial, index, count) for index, count in enumerate(counts)]
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


def _drawn(trial: Trial, index: int, multiplicity: int) -> Float[np.ndarray, "draws n n"]:
    """Draw kernels of ensembles of so many members, the mean over outputs."""
    model, (x, _) = of_multiplicity(trial, multiplicity), trial.examples()
    seed = trial.seed.fold(multiplicity)
    parts: Iterator = (start_kernels(model, seed.jax(), some, x) for some in in_parts(trial, index))
    return np.concatenate([np.asarray(part, float) for part in parts])[: trial.draws]
