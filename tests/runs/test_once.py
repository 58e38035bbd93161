"""What is known of a document before it runs is computed once, and passed on."""

from collections import Counter
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

import ceflow
from ceflow.cli import main
from ceflow.compiler import plan
from ceflow.report import figures
from ceflow.runs import prepared
from ceflow.spec import Document, document
from ceflow.stages.search import SearchStage

TINY = """\
[data]
source = "gaussian"
inputs = 3
outputs = 1
train = 2
[model]
type = "mlp"
widths = [20, 20]
[stages.best]
type = "search"
alpha = 3.4
[stages.primal]
type = "variance"
model = "best.primal"
[stages.dual]
type = "variance"
model = "best.dual"
"""
SWEEP = '[sweep]\n"model.widths" = [[20, 20], [30, 30], [40, 40]]\n'
COLLECT = '[collect.c]\nx = "model.widths"\ny = "stages.dual.alpha"\n'

COUNTED: dict[str, tuple[ModuleType | type, str]] = {
    "examined": (Document, "examine"),
    "variants": (document, "variants"),
    "planned": (plan, "Plan"),
    "read": (plan.data, "extent"),
    "forecast": (prepared, "forecast"),
    "guessed": (SearchStage, "offers"),
    "checked": (SearchStage, "faults"),
}

ONCE = Counter(examined=1, planned=1, read=1, forecast=3, guessed=1, checked=1)
"""Of one run of the document: it has three stages, two of which act on what the first offers."""


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    found: Counter[str] = Counter()

    def counting(name: str, function: Any) -> Any:
        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            found[name] += 1
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(figures, "draw_svg", lambda drawing: "<svg></svg>")  # which takes longest
    monkeypatch.setattr(prepared, "rates", prepared.MachineRates)
    for name, (owner, attribute) in COUNTED.items():
        monkeypatch.setattr(owner, attribute, counting(name, getattr(owner, attribute)))
    return found


def invoke(command: str, text: str, folder: Path, *options: str) -> None:
    path = folder / "spec.toml"
    path.write_text(text)
    result = CliRunner().invoke(main, [command, str(path), *options])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["check", "plan", "run"])
def test_of_one_run_everything_is_computed_once(command, counts, tmp_path):
    invoke(command, TINY, tmp_path, *(["--out", str(tmp_path / "run")] if command == "run" else []))
    assert counts == ONCE


@pytest.mark.parametrize("command", ["check", "plan", "run"])
def test_of_a_sweep_everything_is_computed_once_a_run(command, counts, tmp_path):
    """And once for the document that all runs come from."""
    out = ["--out", str(tmp_path / "run")] if command == "run" else []
    invoke(command, TINY + SWEEP + COLLECT, tmp_path, *out)
    once = {"examined": 4, "variants": 1, "planned": 4, "read": 4}
    assert counts == Counter(**once, forecast=9, guessed=3, checked=3)


def test_from_python_a_document_is_looked_at_again_when_it_is_run_and_once(counts, tmp_path):
    """For it may have been changed since it was read; whether the run is new or was done before."""
    document = ceflow.loads(TINY)
    for _ in ("new", "done"):
        counts.clear()
        ceflow.run(document, tmp_path / "run")
        assert counts == ONCE
