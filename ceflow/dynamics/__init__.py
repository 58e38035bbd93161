"""Dynamics: gradient flow of finite networks, linearised ones, and infinitely wide ones in function
space; closed forms where the kernel is constant; how the NTK moves."""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy

if TYPE_CHECKING:
    from ceflow.dynamics.choice import default_solver
    from ceflow.dynamics.closed_form import ConstantKernel
    from ceflow.dynamics.drift import Median, drift_pairs, entry_drift, median_drift, relative_drift
    from ceflow.dynamics.gaussian import TrainedGaussian, trained_gaussian
    from ceflow.dynamics.kernel_flow import KernelFlow
    from ceflow.dynamics.linearised import Linearised, LinearisedFlow
    from ceflow.dynamics.losses import LOSSES, CrossEntropy, Loss, SquaredError
    from ceflow.dynamics.ode.integrate import DenseSolution, Ending, Trajectory, integrate
    from ceflow.dynamics.ode.solvers import SOLVERS
    from ceflow.dynamics.parameters import ParameterFlow, parameter_flow
    from ceflow.dynamics.scaling import PowerLaw, power_law
    from ceflow.dynamics.taylor import ntk_derivatives

__all__ = [
    "LOSSES",
    "SOLVERS",
    "ConstantKernel",
    "CrossEntropy",
    "DenseSolution",
    "Ending",
    "KernelFlow",
    "Linearised",
    "LinearisedFlow",
    "Loss",
    "Median",
    "ParameterFlow",
    "PowerLaw",
    "SquaredError",
    "TrainedGaussian",
    "Trajectory",
    "default_solver",
    "drift_pairs",
    "entry_drift",
    "integrate",
    "median_drift",
    "ntk_derivatives",
    "parameter_flow",
    "power_law",
    "relative_drift",
    "trained_gaussian",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ceflow.dynamics.choice": ("default_solver",),
        "ceflow.dynamics.closed_form": ("ConstantKernel",),
        "ceflow.dynamics.drift": (
            "Median",
            "drift_pairs",
            "entry_drift",
            "median_drift",
            "relative_drift",
        ),
        "ceflow.dynamics.gaussian": ("TrainedGaussian", "trained_gaussian"),
        "ceflow.dynamics.kernel_flow": ("KernelFlow",),
        "ceflow.dynamics.linearised": ("Linearised", "LinearisedFlow"),
        "ceflow.dynamics.losses": ("LOSSES", "CrossEntropy", "Loss", "SquaredError"),
        "ceflow.dynamics.ode.integrate": ("DenseSolution", "Ending", "Trajectory", "integrate"),
        "ceflow.dynamics.ode.solvers": ("SOLVERS",),
        "ceflow.dynamics.parameters": ("ParameterFlow", "parameter_flow"),
        "ceflow.dynamics.scaling": ("PowerLaw", "power_law"),
        "ceflow.dynamics.taylor": ("ntk_derivatives",),
    },
)
