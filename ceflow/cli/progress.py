"""Progress on stderr: bars with the remaining time, for stages that take longer than a second."""

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
    Event,
    Notice,
    Progress,
    StageFailed,
    StageFinished,
    StageSkipped,
    StageStarted,
)
from ceflow.report.text import seconds
from ceflow.spec import printable


class Watcher:
    """An observer that shows progress: temporary bars on a terminal, otherwise one line
    per stage.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
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
            self.title = f"[{event.index}/{event.total}] {event.stage}"
            if self.console.is_terminal:
                self.task = self.bars.add_task(self.title, total=None, done="")
        elif isinstance(event, Progress) and self.console.is_terminal:
            done = f"{event.unit} {event.done:.4g}/{event.total:.4g}".strip()
            self.bars.update(self.task, completed=event.done, total=event.total, done=done)
        elif isinstance(event, Notice):
            self._say(": ".join(filter(None, (event.stage.strip(), event.text))))
        elif not isinstance(event, Progress):
            if self.console.is_terminal:
                self.bars.remove_task(self.task)
            self._say(f"{self.title}  {_how(event)}")

    def _say(self, line: str) -> None:
        self.console.print(
            printable(line), style="dim", highlight=False, markup=False, soft_wrap=True
        )


def _how(event: StageFinished | StageFailed | StageSkipped) -> str:
    """Say how a stage ended; the reason of a failure is given once, at the end of the run."""
    if isinstance(event, StageFailed):
        return "failed"
    if isinstance(event, StageSkipped):
        return f"skipped: {event.why}"
    return seconds(event.seconds) if event.seconds is not None else "kept from before"
