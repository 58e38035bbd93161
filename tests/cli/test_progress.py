"""What is shown while a run goes on."""

import io

import pytest
from rich.console import Console

from ceflow.cli.progress import Watcher
from ceflow.events import LossRecorded, StageFinished, StageStarted


@pytest.mark.parametrize(
    ("took", "forecast", "said"),
    [
        (12.0, 10.0, "12.0 s of 10.0 s forecast"),
        (0.2, 30.0, "200 ms of 30.0 s forecast"),
        (0.2, 0.4, "200 ms"),
        (12.0, None, "12.0 s"),
    ],
)
def test_a_stage_says_what_was_forecast(took, forecast, said):
    watcher = Watcher({} if forecast is None else {"t": forecast})
    watcher.console = Console(file=io.StringIO(), width=80)
    watcher(StageStarted("t", "train", 1, 1))
    watcher(LossRecorded("t", 1.0))
    watcher(StageFinished("t", took))
    assert watcher.console.file.getvalue() == f"[1/1] t  {said}\n"  # pyright: ignore


def test_on_a_terminal_the_loss_is_a_small_curve():
    watcher = Watcher()
    watcher.console = watcher.bars.live.console = Console(
        file=io.StringIO(), force_terminal=True, width=100
    )
    watcher(StageStarted("t", "train", 1, 1))
    for loss in (8.0, 4.0, 2.0, 1.0):
        watcher(LossRecorded("t", loss))
    (task,) = watcher.bars.tasks
    assert task.fields["loss"] == "loss 1 █▆▃▁"
    watcher(StageStarted("next", "train", 2, 2))
    watcher(LossRecorded("next", float("nan")))
    assert watcher.bars.tasks[-1].fields["loss"] == "loss nan "


def test_a_stage_of_a_sweep_says_which_run_it_is_of():
    watcher = Watcher()
    watcher.console = Console(file=io.StringIO(), width=80)
    watcher(StageStarted("size=3 t", "train", 1, 2, run=4, runs=18))
    watcher(StageFinished("size=3 t", None))
    said = watcher.console.file.getvalue()  # pyright: ignore
    assert said == "run 4 of 18  [1/2] size=3 t  kept from before\n"
