"""Progress on stderr: bars with the remaining time, for stages that take longer than a second."""

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from ceflow.events import (
    CheckpointRead,
    CheckpointWritten,
    Event,
    LossRecorded,
    Notice,
    Progress,
    StageFailed,
    StageFinished,
    StageSkipped,
    StageStarted,
)
from ceflow.report.text import of_sessions, seconds, share
from ceflow.spec import printable

HEIGHTS = "▁▂▃▄▅▆▇█"
CURVE_LENGTH = 24
"""Maximum number of values in the curve of the loss."""
CURVE_SHARE = 8
"""The curve takes at most one column of so many, which leaves room for the remaining time."""
NOTABLE_SECONDS = 1.0
"""Seconds above which a stage's forecast is shown beside the time it took."""


class Watcher:
    """An observer that shows progress: temporary bars on a terminal, with the loss of descents,
    otherwise one line per stage. `forecasts` are the seconds forecast for each stage.
    """

    def __init__(self, forecasts: Mapping[str, float] | None = None) -> None:
        self.forecasts = forecasts or {}
        self.losses: list[float] = []
        self.console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        self.bars = Bars(*columns, console=self.console, transient=True)
        self.title = ""

    def __enter__(self) -> "Watcher":
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.bars.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            run = f"run {event.run} of {event.runs}  " if event.runs > 1 else ""
            self.title = f"{run}[{event.index}/{event.total}] {event.stage}"
            self.losses = []
            if self.console.is_terminal:
                self.task = self.bars.add_task(self.title, total=None, done="", loss="")
        elif isinstance(event, Progress) and self.console.is_terminal:
            done = f"{event.unit} {event.done:.4g}/{event.total:.4g}".strip()
            self.bars.update(self.task, completed=event.done, total=event.total, done=done)
        elif isinstance(event, LossRecorded):
            self.losses.append(event.loss)
            if self.console.is_terminal:
                last = self.losses[-min(CURVE_LENGTH, self.console.width // CURVE_SHARE) :]
                self.bars.update(self.task, loss=f"loss {event.loss:.3g} {small_curve(last)}")
        elif isinstance(event, Notice):
            self._say(": ".join(filter(None, (event.stage.strip(), event.text))))
        elif isinstance(event, CheckpointRead):
            at = f"step {event.step:,} of {event.steps:,}"
            self._say(f"{event.stage}: it goes on from its checkpoint at {at}")
        elif not isinstance(event, Progress | CheckpointWritten):
            if self.console.is_terminal:
                self.bars.remove_task(self.task)
            self._say(f"{self.title}  {_how(event, self.forecasts.get(event.stage))}")

    def _say(self, line: str) -> None:
        self.console.print(
            printable(line), style="dim", highlight=False, markup=False, soft_wrap=True
        )


def small_curve(values: Sequence[float]) -> str:
    """Draw values as signs of eight heights, by their logarithms if all are above 0.

    >>> small_curve([8.0, 4.0, 2.0, 1.0])
    '█▆▃▁'
    """
    last = [value for value in values if math.isfinite(value)]
    if last and min(last) > 0:
        last = [math.log(value) for value in last]
    ends = min(last, default=0.0), max(last, default=0.0)
    return "".join(HEIGHTS[round(share(value, *ends) * (len(HEIGHTS) - 1))] for value in last)


def _how(event: StageFinished | StageFailed | StageSkipped, forecast: float | None) -> str:
    """Say how a stage ended, and what was forecast if either took over a second; the reason of a
    failure is given once, at the end of the run.
    """
    if isinstance(event, StageFailed):
        return "failed"
    if isinstance(event, StageSkipped):
        return f"skipped: {event.why}"
    if event.seconds is None:
        return "kept from before"
    notable = forecast is not None and max(event.seconds, forecast) > NOTABLE_SECONDS
    said = f" of {seconds(forecast)} forecast" if notable and forecast else ""
    return f"{seconds(event.seconds)}{said}{of_sessions(event.sessions)}"
