"""Claims by the names that specs use."""

from collections.abc import Callable

from ceflow.claims.ensembles import deviation_slope, drift_slope
from ceflow.claims.eq_5_and_6 import both_halves, by_kernels
from ceflow.claims.eq_41 import kernel_derivative
from ceflow.claims.lemma_3_1 import covariances
from ceflow.claims.lemma_4_1 import two_layers
from ceflow.claims.theorem_3_2 import evolution
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Verdict

CLAIMS: dict[str, Callable[[Trial], Verdict]] = {
    "lemma-1": deviation_slope,
    "theorem-1": drift_slope,
    "lemma-3.1": covariances,
    "theorem-3.2": evolution,
    "chain": evolution,
    "lemma-4.1": two_layers,
    "eq-5": both_halves,
    "eq-6": by_kernels,
    "eq-41": kernel_derivative,
}
"""Function that tests each claim, by the claim's name."""
