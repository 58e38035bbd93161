"""Gradient flow of finite networks, and of infinitely wide ones in function space.

`parameters` defines the flow of a network's parameters, and `linearised` that of a linearised
network and of functions under a constant kernel; `closed_form` solves the latter without
integration. `ode` integrates flows by a solver that `costs` chooses. `losses` defines the losses.
`drift` and `taylor` measure how the NTK changes, `scaling` fits power laws, and
`ranks` computes correlations of ranks and of logarithms, and `permuted` tests them by permutations.
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy

if TYPE_CHECKING:
    from ceflow.dynamics.closed_form import (
        ConstantKernel,
        TrainedGaussian,
        TrainedStddev,
        trained_gaussian,
    )
    from ceflow.dynamics.costs import default_solver
    from ceflow.dynamics.drift import Median, drift_pairs, entry_drift, median_drift, relative_drift
    from ceflow.dynamics.linearised import KernelFlow, Linearised, LinearisedFlow
    from ceflow.dynamics.losses import LOSSES, CrossEntropy, Loss, SquaredError
    from ceflow.dynamics.ode.integrate import DenseSolution, Ending, Trajectory, integrate
    from ceflow.dynamics.ode.solvers import SOLVERS
    from ceflow.dynamics.parameters import ParameterFlow, parameter_flow
    from ceflow.dynamics.permuted import Joint, joint_correlation
    from ceflow.dynamics.ranks import Correlated, centred_ranks, log_correlation, rank_correlation
    from ceflow.dynamics.scaling import PowerLaw, power_law
    from ceflow.dynamics.taylor import ntk_derivatives

__all__ = [
    "LOSSES",
    "SOLVERS",
    "ConstantKernel",
    "Correlated",
    "CrossEntropy",
    "DenseSolution",
    "Ending",
    "Joint",
    "KernelFlow",
    "Linearised",
    "LinearisedFlow",
    "Loss",
    "Median",
    "ParameterFlow",
    "PowerLaw",
    "SquaredError",
    "TrainedGaussian",
    "TrainedStddev",
    "Trajectory",
    "centred_ranks",
    "default_solver",
    "drift_pairs",
    "entry_drift",
    "integrate",
    "joint_correlation",
    "log_correlation",
    "median_drift",
    "ntk_derivatives",
    "parameter_flow",
    "power_law",
    "rank_correlation",
    "relative_drift",
    "trained_gaussian",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ceflow.dynamics.costs": ("default_solver",),
        "ceflow.dynamics.closed_form": (
            "ConstantKernel",
            "TrainedGaussian",
            "TrainedStddev",
            "trained_gaussian",
        ),
        "ceflow.dynamics.drift": (
            "Median",
            "drift_pairs",
            "entry_drift",
            "joint_correlation",
            "log_correlation",
            "median_drift",
            "relative_drift",
        ),
        "ceflow.dynamics.linearised": ("KernelFlow", "Linearised", "LinearisedFlow"),
        "ceflow.dynamics.losses": ("LOSSES", "CrossEntropy", "Loss", "SquaredError"),
        "ceflow.dynamics.ode.integrate": ("DenseSolution", "Ending", "Trajectory", "integrate"),
        "ceflow.dynamics.ode.solvers": ("SOLVERS",),
        "ceflow.dynamics.parameters": ("ParameterFlow", "parameter_flow"),
        "ceflow.dynamics.permuted": ("Joint", "joint_correlation"),
        "ceflow.dynamics.ranks": (
            "Correlated",
            "centred_ranks",
            "log_correlation",
            "rank_correlation",
        ),
        "ceflow.dynamics.scaling": ("PowerLaw", "power_law"),
        "ceflow.dynamics.taylor": ("ntk_derivatives",),
    },
)
