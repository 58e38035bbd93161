"""The law of one NTK entry at finite width: exact moments, samplers, and the fit of alpha.

`exact` and `block_moments` compute moments in closed form. `sampler` and `block_sampler` draw
entries without drawing all weights, and `monte_carlo` with all weights. `inputs` draws inputs,
`estimates` computes moments from draws, `fit` fits alpha to moments, and `costs` forecasts costs.
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy

if TYPE_CHECKING:
    from ceflow.variance.costs import chunk_size
    from ceflow.variance.estimates import Estimate, estimate_moments
    from ceflow.variance.exact import Moments, MomentsOverflow, exact_moments
    from ceflow.variance.fit import Fit, fit_alpha
    from ceflow.variance.inputs import draw_inputs
    from ceflow.variance.monte_carlo import draw_ntk
    from ceflow.variance.sampler import sample_chunks, sample_ntk

__all__ = [
    "Estimate",
    "Fit",
    "Moments",
    "MomentsOverflow",
    "chunk_size",
    "draw_inputs",
    "draw_ntk",
    "estimate_moments",
    "exact_moments",
    "fit_alpha",
    "sample_chunks",
    "sample_ntk",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ceflow.variance.costs": ("chunk_size",),
        "ceflow.variance.estimates": (
            "Estimate",
            "estimate_moments",
        ),
        "ceflow.variance.exact": (
            "Moments",
            "MomentsOverflow",
            "exact_moments",
        ),
        "ceflow.variance.fit": (
            "Fit",
            "fit_alpha",
        ),
        "ceflow.variance.monte_carlo": ("draw_ntk",),
        "ceflow.variance.inputs": ("draw_inputs",),
        "ceflow.variance.sampler": (
            "sample_chunks",
            "sample_ntk",
        ),
    },
)
