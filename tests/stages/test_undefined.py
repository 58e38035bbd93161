"""A measure that is undefined is null, with a warning; all else is found, and shown."""

import io
import json
import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import ceflow
from ceflow import claims
from ceflow.report import run_report, write_figures
from ceflow.runs import reopen
from ceflow.store import RunDirectory

ROWS = np.array([[1.0, 2.0], [1.0, 2.0], [-1.0, 0.5]])
TARGETS = np.array([[1.0], [-1.0], [1.0]])
ONE_CLASS = np.ones((3, 1))
NOTHING = np.zeros((3, 2))

KERNEL = 'type = "kernel"'
LIMIT = f"[stages.limit]\n{KERNEL}\n"
DRAWN = f'{KERNEL}\nmethod = "empirical"\ndraws = 2\nreference = "limit"'
FLOW = 'type = "flow"\ntime = 1.0\npoints = 3\nengine = "closed-form"'
VARIANCE = 'type = "variance"\nratios = [0.5, 1.0]\ninputs_law = "data"'

CASES: dict[str, tuple[np.ndarray, np.ndarray, str, dict[str, str]]] = {
    "alignment of one example": (
        ROWS[:1],
        TARGETS[:1],
        f"{KERNEL}\nalignment = true",
        {"alignment_centred": "the centred alignment is undefined: "},
    ),
    "alignment with one class": (
        ROWS,
        ONE_CLASS,
        f"{KERNEL}\nalignment = true",
        {"alignment_centred": "the centred alignment is undefined: "},
    ),
    "all that is asked of a kernel of 0": (
        NOTHING,
        TARGETS,
        f"{KERNEL}\nalignment = true\nspectrum = true\nridge = 0.1",
        {
            "alignment": "the alignment is undefined: ",
            "alignment_centred": "the centred alignment",
            "train_mse": "the regression is undefined: the kernel is 0: are all inputs 0?",
            "condition": "",
        },
    ),
    "regression of a singular kernel": (
        ROWS,
        TARGETS,
        f"{KERNEL}\nridge = 0.0",
        {"train_mse": "the kernel is singular to rounding; set stages.s.ridge to "},
    ),
    "distance from 0": (
        NOTHING,
        TARGETS,
        f'{KERNEL}\nkind = "nngp"\nreference = "limit"',
        {"distance": "the distance is undefined: the reference kernel is 0"},
    ),
    "distances of drawn kernels from 0, and their spread": (
        NOTHING,
        TARGETS,
        DRAWN,
        {
            "distance": "the distance is undefined: the reference kernel is 0",
            "distance_stderr": "",
            "distance_of_mean": "",
            "spread": "the spread is undefined: all kernels drawn are 0",
        },
    ),
    "error of a mean of 0": (
        NOTHING,
        TARGETS,
        f'{KERNEL}\nmethod = "mean"\nerror = 0.1\ndraws = 20',
        {"error": "the error is undefined: all kernels drawn are 0"},
    ),
    "alpha of inputs of 0": (
        NOTHING,
        TARGETS,
        VARIANCE,
        {"alpha": "alpha is undefined: no width has moments", "interval": "x is 0"},
    ),
}


def run(tmp_path: Any, x: np.ndarray, y: np.ndarray, stage: str, more: str = "") -> ceflow.Run:
    np.savez(tmp_path / "some.npz", x=x, y=y)
    source = f'[data]\nsource = "npz"\npath = "{tmp_path / "some.npz"}"\n'
    text = f'{source}[model]\ntype = "mlp"\nwidths = [8, 8]\n{LIMIT}[stages.s]\n{stage}\n{more}'
    return ceflow.run(ceflow.loads(text), tmp_path / "run")


def shown(found: ceflow.Run) -> str:
    directory, console = (
        RunDirectory(found.path),
        Console(file=io.StringIO(), width=200, record=True),
    )
    write_figures(directory, reopen(directory))
    for part in run_report(directory, reopen(directory)):
        console.print(part)
    return console.export_text()


@pytest.mark.parametrize("case", CASES)
def test_it_is_null_with_a_warning_and_the_rest_is_found_and_shown(tmp_path, case):
    x, y, stage, undefined = CASES[case]
    found = run(tmp_path, x, y, stage)
    values = json.loads((found.path / "results.json").read_text())["stages"]["s"]
    for key, said in undefined.items():
        assert values[key] is None
        assert any(said in warning for warning in values["warnings"] or [""]), said
    if "kernel" in stage:
        assert found.array("s").shape == (len(x), len(x))
    text = shown(found)
    for warning in values.get("warnings", ()):
        assert f"warning: {warning}" in text


@pytest.mark.parametrize(("precision", "count"), [("float32", 1), ("float64", 0)])
def test_a_kernel_that_vanishes_is_said(tmp_path, precision, count):
    text = (
        f'precision = "{precision}"\n[data]\nsource = "gaussian"\ninputs = 3\ntrain = 4\n'
        '[model]\ntype = "mlp"\nwidths = [2, 2, 2, 2]\nactivation = "linear"\n'
        "weight_variance = 1e-12\nlast_variance = 1e-12\n"
        '[stages.s]\ntype = "kernel"\nmethod = "empirical"\n'
    )
    warnings = ceflow.run(ceflow.loads(text), tmp_path / "run").results["s"].warnings
    assert [said[:47] for said in warnings] == [
        "the kernel is 0, or near the smallest numbers o"
    ] * count


def test_of_one_example_the_plain_alignment_is_one(tmp_path):
    x, y, stage, _ = CASES["alignment of one example"]
    assert run(tmp_path, x, y, stage).results["s"]["alignment"] == pytest.approx(1)


def test_a_search_by_an_undefined_alpha_fails_with_a_sentence_and_alone(tmp_path):
    best = '[stages.best]\ntype = "search"\nvariance = "s"\n'
    with pytest.raises(ceflow.RunError, match="'s' found no alpha") as raised:
        run(tmp_path, NOTHING, TARGETS, VARIANCE, best)
    assert list(raised.value.run.results) == ["limit", "s"]


def test_of_a_flow_it_is_null_at_each_moment(tmp_path):
    stage = 'type = "flow"\ntime = 1.0\npoints = 3\nrecord = ["alignment", "drift"]'
    found = run(tmp_path, NOTHING, TARGETS, stage)
    values = found.results["s"]
    assert (values["alignment"], values["drift_relative"]) == (None, 0)
    assert values["train_loss"] is not None
    (warning,) = values["warnings"]
    assert warning.endswith("undefined (0/0) at some moments, and left out: alignment")
    assert "not finite" in shown(found)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("all networks are dead"), "all networks are dead"),
        (
            ZeroDivisionError("float division by zero"),
            "it compares with a number that is 0 or infinite; take more points, draws or units"
            " (float division by zero)",
        ),
        (
            claims.Verdict({"J": claims.Part(560.8, 0.0, math.nan)}),
            "the tolerance of J is not finite: variances or inputs are too large, or too small",
        ),
    ],
    ids=["told", "bare", "no tolerance"],
)
def test_a_claim_that_cannot_be_decided_does_not_take_the_others(
    tmp_path, monkeypatch, error, said
):
    def dead(trial: claims.Trial) -> claims.Verdict:
        if isinstance(error, claims.Verdict):
            return error
        raise error

    def alive(trial: claims.Trial) -> claims.Verdict:
        return claims.Verdict({"part": claims.Part(1.0, 1.0, 0.1)})

    monkeypatch.setitem(claims.CLAIMS, "lemma-1", dead)
    monkeypatch.setitem(claims.CLAIMS, "theorem-1", alive)
    text = (
        '[model]\ntype = "ensemble"\nmultiplicity = 2\n[model.member]\ntype = "mlp"\nwidths = [8]\n'
        'inputs = 2\noutputs = 1\nactivation = "erf"\n'
        '[stages.v]\ntype = "verify"\nclaims = ["lemma-1", "theorem-1"]\n'
    )
    found = ceflow.run(ceflow.loads(text), tmp_path / "run")
    values = found.results["v"]
    assert (values["lemma-1"]["holds"], values["theorem-1"]["holds"]) == (None, True)
    assert values["warnings"] == [f"lemma-1 is undecided: {said}"]
    assert "undecided" in shown(found)
