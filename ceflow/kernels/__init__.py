"""Kernels: infinite-width NNGP and NTK in closed form, the empirical NTK of any Equinox module."""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy

if TYPE_CHECKING:
    from ceflow.kernels.compare import KernelAverage, relative_distance
    from ceflow.kernels.empirical import empirical_ntk
    from ceflow.kernels.infinite import Kernels, analytic

__all__ = ["KernelAverage", "Kernels", "analytic", "empirical_ntk", "relative_distance"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ceflow.kernels.compare": (
            "KernelAverage",
            "relative_distance",
        ),
        "ceflow.kernels.infinite": (
            "Kernels",
            "analytic",
        ),
        "ceflow.kernels.empirical": ("empirical_ntk",),
    },
)
