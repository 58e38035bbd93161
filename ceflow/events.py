"""Events during a run. Lower layers send them to an observer; only the cli prints."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class StageStarted:
    """A stage starts; `index` counts from 1, and so does `run` in a sweep of `runs` runs."""

    stage: str
    kind: str
    index: int
    total: int
    run: int = 1
    runs: int = 1


@dataclass(frozen=True)
class Progress:
    """A stage has done this part of its work, measured in `unit`."""

    stage: str
    done: float
    total: float
    unit: str = ""


@dataclass(frozen=True)
class LossRecorded:
    """A descent has recorded its training loss, the mean over replicas."""

    stage: str
    loss: float


@dataclass(frozen=True)
class CheckpointWritten:
    """A stage has kept its work up to a step, of `steps` in all."""

    stage: str
    step: int
    steps: int


@dataclass(frozen=True)
class CheckpointRead:
    """A stage goes on from a step, of `steps` in all, that earlier sessions have taken `seconds`
    for.
    """

    stage: str
    step: int
    steps: int
    seconds: float
    sessions: int


@dataclass(frozen=True)
class StageFinished:
    """A stage is done; `seconds` is None if an earlier run did it. A stage that has gone on from a
    checkpoint took several sessions, whose seconds are added.
    """

    stage: str
    seconds: float | None
    sessions: int = 1


@dataclass(frozen=True)
class StageFailed:
    """A stage failed; `why` is the reason."""

    stage: str
    why: str


@dataclass(frozen=True)
class StageSkipped:
    """A stage is skipped, because a stage that it refers to is not done."""

    stage: str
    why: str


@dataclass(frozen=True)
class Notice:
    """A note on a stage, or on the whole run if `stage` is empty."""

    stage: str
    text: str


class InaccurateKernelWarning(UserWarning):
    """A kernel may be wrong by more than 1 %; in a run, it is added to the warnings of
    the results.
    """


Event = (
    StageStarted
    | Progress
    | LossRecorded
    | CheckpointWritten
    | CheckpointRead
    | StageFinished
    | StageFailed
    | StageSkipped
    | Notice
)
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing."""
