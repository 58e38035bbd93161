"""The law of one NTK entry at finite width: exact moments, samplers, and the fit of alpha."""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy

if TYPE_CHECKING:
    from ceflow.variance.chunks import chunk_size
    from ceflow.variance.estimates import Estimate, estimate
    from ceflow.variance.exact import Moments, exact_moments
    from ceflow.variance.fit import Fit, fit_alpha
    from ceflow.variance.monte_carlo import draw_ntk
    from ceflow.variance.sampler import sample_ntk

__all__ = [
    "Estimate",
    "Fit",
    "Moments",
    "chunk_size",
    "draw_ntk",
    "estimate",
    "exact_moments",
    "fit_alpha",
    "sample_ntk",
]

__getattr__ = lazy(
    __name__,
    {
        "Estimate": "ceflow.variance.estimates",
        "estimate": "ceflow.variance.estimates",
        "Moments": "ceflow.variance.exact",
        "exact_moments": "ceflow.variance.exact",
        "Fit": "ceflow.variance.fit",
        "fit_alpha": "ceflow.variance.fit",
        "chunk_size": "ceflow.variance.chunks",
        "draw_ntk": "ceflow.variance.monte_carlo",
        "sample_ntk": "ceflow.variance.sampler",
    },
)
