"""Kernels of networks, and linear algebra with them.

`infinite` computes the NNGP and NTK at infinite width, `empirical` those of any Equinox module, and
`draws` means over random networks. `tiles` stores kernels larger than memory; `algebra` has spectra
and regression. `pieces` splits batches, and `costs` forecasts time and memory.
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy
from ceflow._machine import MEMORY

if TYPE_CHECKING:
    from ceflow.events import InaccurateKernelWarning
    from ceflow.kernels.algebra.cholesky import SingularError, rounding_ridge
    from ceflow.kernels.algebra.eigenvalues import Spectrum, eigenvalue_max, spectrum
    from ceflow.kernels.algebra.gradients import Iterated, conjugate_gradients
    from ceflow.kernels.algebra.labels import accuracy, alignment
    from ceflow.kernels.algebra.learning import Modes, learning_curve, modes
    from ceflow.kernels.algebra.matrix import Matrix, as_kernel, norm, relative_distance, row_blocks
    from ceflow.kernels.algebra.predictive import Predictive, calibration_error, log_loss
    from ceflow.kernels.algebra.regression import Regression, fit, regression
    from ceflow.kernels.draws.average import KernelAverage
    from ceflow.kernels.draws.conditional import conditional_ntk, conditional_outputs
    from ceflow.kernels.draws.devices import ensemble_ntk, spread
    from ceflow.kernels.draws.mean import MeanKernel, mean_kernel
    from ceflow.kernels.empirical.nngp import empirical_nngp
    from ceflow.kernels.empirical.ntk import empirical_ntk
    from ceflow.kernels.empirical.operator import ntk_operator
    from ceflow.kernels.infinite.limits import (
        Kernels,
        analytic,
        analytic_error,
        block_kernel,
        inaccuracy,
    )
    from ceflow.kernels.tiles.computing import assemble
    from ceflow.kernels.tiles.kernel import TiledKernel, open
    from ceflow.kernels.tiles.writing import write_tiles

__all__ = [
    "MEMORY",
    "InaccurateKernelWarning",
    "Iterated",
    "KernelAverage",
    "Kernels",
    "Matrix",
    "MeanKernel",
    "Modes",
    "Predictive",
    "Regression",
    "SingularError",
    "Spectrum",
    "TiledKernel",
    "accuracy",
    "alignment",
    "analytic",
    "analytic_error",
    "as_kernel",
    "assemble",
    "block_kernel",
    "calibration_error",
    "conditional_ntk",
    "conditional_outputs",
    "conjugate_gradients",
    "eigenvalue_max",
    "empirical_nngp",
    "empirical_ntk",
    "ensemble_ntk",
    "fit",
    "inaccuracy",
    "learning_curve",
    "log_loss",
    "mean_kernel",
    "modes",
    "norm",
    "ntk_operator",
    "open",
    "regression",
    "relative_distance",
    "rounding_ridge",
    "row_blocks",
    "spectrum",
    "spread",
    "write_tiles",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ceflow.events": ("InaccurateKernelWarning",),
        "ceflow.kernels.algebra.cholesky": ("SingularError", "rounding_ridge"),
        "ceflow.kernels.algebra.eigenvalues": ("Spectrum", "eigenvalue_max", "spectrum"),
        "ceflow.kernels.algebra.gradients": ("Iterated", "conjugate_gradients"),
        "ceflow.kernels.algebra.labels": ("accuracy", "alignment"),
        "ceflow.kernels.algebra.learning": ("Modes", "learning_curve", "modes"),
        "ceflow.kernels.algebra.matrix": (
            "Matrix",
            "as_kernel",
            "norm",
            "relative_distance",
            "row_blocks",
        ),
        "ceflow.kernels.algebra.predictive": ("Predictive", "calibration_error", "log_loss"),
        "ceflow.kernels.algebra.regression": ("Regression", "fit", "regression"),
        "ceflow.kernels.draws.average": ("KernelAverage",),
        "ceflow.kernels.draws.conditional": ("conditional_ntk", "conditional_outputs"),
        "ceflow.kernels.draws.devices": ("ensemble_ntk", "spread"),
        "ceflow.kernels.draws.mean": ("MeanKernel", "mean_kernel"),
        "ceflow.kernels.empirical.nngp": ("empirical_nngp",),
        "ceflow.kernels.empirical.ntk": ("empirical_ntk",),
        "ceflow.kernels.empirical.operator": ("ntk_operator",),
        "ceflow.kernels.infinite.limits": (
            "Kernels",
            "analytic",
            "analytic_error",
            "block_kernel",
            "inaccuracy",
        ),
        "ceflow.kernels.tiles.computing": ("assemble",),
        "ceflow.kernels.tiles.kernel": ("TiledKernel", "open"),
        "ceflow.kernels.tiles.writing": ("write_tiles",),
    },
)
