"""The events told while work is under way. Lower layers tell an observer; only the cli prints."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; `index` counts from 1."""

    stage: str
    kind: str
    index: int
    total: int


@dataclass(frozen=True)
class Progress:
    """A stage has done so many of its steps, or so much of what `unit` measures."""

    stage: str
    done: float
    total: float
    unit: str = ""


@dataclass(frozen=True)
class StageFinished:
    """A stage is done; `seconds` is None where an earlier run had done it."""

    stage: str
    seconds: float | None


@dataclass(frozen=True)
class StageFailed:
    """A stage could not be done, and why."""

    stage: str
    why: str


@dataclass(frozen=True)
class StageSkipped:
    """A stage is not done, because one that it refers to is not."""

    stage: str
    why: str


@dataclass(frozen=True)
class Notice:
    """Something to be said of a stage, or of a whole run: then `stage` is empty."""

    stage: str
    text: str


class InaccurateKernelWarning(UserWarning):
    """A kernel may be off by more than 1 %: with the results where a stage is under way."""


Event = StageStarted | Progress | StageFinished | StageFailed | StageSkipped | Notice
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Observe nothing."""
