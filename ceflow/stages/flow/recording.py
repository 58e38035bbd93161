"""The recordings of an engine's replicas at each moment, and the history made of them.

Loads JAX: imported only when a stage runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ceflow import dynamics
from ceflow.dynamics import Ending
from ceflow.history import History
from ceflow.spec import Flow
from ceflow.stages.descents import losses_and_accuracies
from ceflow.stages.flow.problem import FlowProblem, Integration
from ceflow.stages.flow.result import Steps
from ceflow.stages.ntk import Arrays, KernelsOf, NtkRecorder
from ceflow.stages.result import Values
from ceflow.stages.stage import finite, written

FIRST_NETWORK_ARRAYS = ("kernel", "covariance", "std")
"""Arrays recorded for the first network only."""

NON_SCALARS = (*FIRST_NETWORK_ARRAYS, "entries", "predictions")
"""Recorded arrays that are not one number per replica."""

FEWEST_REPLICAS = 4
"""Minimum number of replicas for a standard error of the median."""


@dataclass(frozen=True)
class Recording:
    """Arrays over times and replicas, and how the replicas ended."""

    times: tuple[float, ...]
    arrays: Mapping[str, Float[np.ndarray, "times replicas ..."]]
    outputs: Float[np.ndarray, "replicas n outputs"]
    """Outputs at the last time."""
    ending: Ending
    steps: Steps
    solver: str | None = None
    derivatives: Float[np.ndarray, "replicas 3 pairs"] | None = None
    """Time derivatives of the NTK entries, at the start."""
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_integration(
        cls, integration: Integration, outputs: Float[np.ndarray, "replicas n outputs"]
    ) -> "Recording":
        """Build a recording from an integration whose records are the arrays."""
        trajectory, solver, warnings = integration
        accepted, rejected = (int(np.max(n)) for n in (trajectory.accepted, trajectory.rejected))
        return cls(
            tuple(trajectory.times.tolist()),
            trajectory.records,
            outputs,
            trajectory.ending,
            Steps(accepted=accepted, rejected=rejected),
            solver,
            warnings=warnings,
        )


def joined(parts: Sequence[Recording], replicas: int, warnings: tuple[str, ...] = ()) -> Recording:
    """Join several groups of replicas, up to the time that all reached, with the largest number of
    steps.
    """
    worst = min(parts, key=lambda part: (bool(part.ending), part.times[-1]))
    columns = zip(*(part.times for part in parts), strict=False)
    times = tuple(each[0] for each in columns if len(set(each)) == 1)

    def together(key: str) -> np.ndarray:
        several = [part.arrays[key][: len(times)] for part in parts]
        return np.concatenate(several[: 1 if key in FIRST_NETWORK_ARRAYS else None], axis=1)[
            :, :replicas
        ]

    told = dict.fromkeys(text for part in parts for text in part.warnings)
    derivatives = [part.derivatives for part in parts if part.derivatives is not None]
    return replace(
        worst,
        times=times,
        arrays={key: together(key) for key in worst.arrays},
        outputs=np.concatenate([part.outputs for part in parts])[:replicas],
        steps=Steps(
            accepted=max(part.steps.accepted for part in parts),
            rejected=max(part.steps.rejected for part in parts),
        ),
        derivatives=np.concatenate(derivatives)[:replicas] if derivatives else None,
        warnings=(*warnings, *told),
    )


def history_of(stage: Flow, recording: Recording) -> History:
    """Build the history of the medians over replicas."""
    arrays = recording.arrays
    columns: dict[str, tuple[Any, ...]] = {"time": tuple(map(written, recording.times))}
    for key in arrays:
        if key not in NON_SCALARS:
            columns[key] = tuple(finite(np.median(each)) for each in arrays[key])
    if "drift" in stage.record:
        start = arrays["entries"][0]
        medians = [_median("drift", entries, start) for entries in arrays["entries"]]
        columns.update(History.of_lines(medians).columns)
    if stage.entries is not None:
        medians = (np.median(entries, axis=0) for entries in arrays["entries"])
        columns["entries"] = tuple([*map(finite, each)] for each in medians)
    return History(columns)


def derivatives_of(recording: Recording) -> Values:
    """Return the medians over replicas and pairs of the absolute derivatives, by name."""
    values: Values = {}
    if recording.derivatives is not None:
        for order in range(3):
            each = recording.derivatives[:, order]
            values |= _median(f"derivative_{order + 1}", each, np.zeros_like(each))
    return values


def _median(
    key: str,
    now: Float[np.ndarray, "replicas pairs"],
    start: Float[np.ndarray, "replicas pairs"],
) -> Values:
    """Return the median over replicas of |now - start|, then the median over pairs. The standard
    error is that of the middle pair, since the pairs of one network move together.
    """
    if len(now) < FEWEST_REPLICAS:
        drifts = np.median(dynamics.entry_drift(now, start), axis=0)
        return {key: finite(np.median(drifts))}
    value, stderr = dynamics.median_drift(now, start)
    return {key: finite(np.median(value)), f"{key}_stderr": finite(np.median(stderr))}


def outcomes(problem: FlowProblem, outputs: Float[np.ndarray, "replicas n outputs"]) -> Arrays:
    """Compute the loss of each replica on training and test examples, and the accuracy if the
    targets are classes; keep the outputs if `predictions` are recorded.
    """
    found = losses_and_accuracies(problem.job.plan, problem.loss, problem.dataset, outputs)
    problem.job.recorded(found["train_loss"])
    if "predictions" in problem.stage.record:
        found["predictions"] = np.asarray(outputs, problem.x.dtype)
    return found


def ntk_recorder(problem: FlowProblem, kernels_of: KernelsOf) -> NtkRecorder:
    """Build the recorder of what a flow stage requests of the NTK of the training examples."""
    return NtkRecorder(
        kernels_of, problem.stage.record, problem.y, problem.train, problem.stage.entries
    )
