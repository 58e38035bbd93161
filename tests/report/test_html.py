"""What a notebook shows, and results as columns."""

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import ceflow
from ceflow.blocks import Curve, Note, Series, Table
from ceflow.blocks.html import section
from ceflow.history import History
from ceflow.runs import Run
from ceflow.spec import Document, Gaussian, Kernel, Mlp, Variance
from ceflow.stages import KINDS
from ceflow.stages.kernel.result import Profile
from ceflow.stages.search.result import CurvePoint
from ceflow.stages.variance.result import Point
from ceflow.stages.verify.result import ClaimResult, PartResult


def test_blocks_are_html_with_every_text_escaped():
    odd = "<b>&\x1b[2J"
    blocks = [
        Note(odd, warning=True),
        Table(("name", odd, "n"), ((odd, 1.5, 2),)),
        Curve("c", odd, odd, odd, (Series(odd, (1.0, 2.0), (3.0, 4.0)),)),
    ]
    text = section(odd, blocks)
    tree = ElementTree.fromstring(f"<div>{text}</div>")
    assert tree.find("h4") is not None
    assert tree.find("b") is None
    assert "\x1b" not in text
    assert [cell.text for cell in tree.findall("table/tbody/tr/td")] == ["1.5", "2"]
    assert tree.find("figure/div/svg") is not None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ceflow.run(
        Document(
            model=Mlp(widths=[8, 8]),
            data=Gaussian(train=4, inputs=2),
            stages={"alpha": Variance(), "k": Kernel()},
        ),
        tmp_path_factory.mktemp("html") / "run",
    )


def test_a_run_and_a_result_show_themselves_as_in_the_terminal(run):
    text = run._repr_html_()
    assert f"alpha = {run.results['alpha'].alpha:.4f}" in text
    assert "<h4>k  kernel</h4>" in text
    alpha = run.results["alpha"]
    assert alpha._repr_html_().count("<tr>") == 1 + len(alpha.points)


def test_rows_of_a_stage_are_columns(run):
    columns = run.frame("alpha")
    assert np.allclose(columns["ratio"], [point.ratio for point in run.results["alpha"].points])
    with pytest.raises(ValueError, match="no rows"):
        run.frame("k")
    with pytest.raises(KeyError):
        run.frame("nothing")


LINES = [{"step": 0, "loss": 1.0}, {"step": 1, "loss": None}]
CLAIMED = [{"claim": "eq-5", "step": 0, "gap": 0.5}, {"claim": "lemma-4.1", "step": 0}]
DRAWN = {
    "fan_in_sum": 1.0,
    "mean": 1.0,
    "moment_ratio": 2.0,
    "moment_ratio_stderr": 0.1,
    "draws": 9,
}
BOUGHT = {"primal_multiplicity": 2.0, "dual_multiplicity": 3.0, "efficiency": 1.5}
PART: dict[str, Any] = {"value": None, "expected": 0.0, "tolerance": 1.0, "holds": False}
UNDEFINED = float("nan")

FRAMES: list[tuple[str, dict[str, Any], dict[str, list]]] = [
    ("flow", {"history": History.of_lines(LINES)}, {"step": [0, 1], "loss": [1.0, UNDEFINED]}),
    ("train", {"history": History.of_lines(LINES)}, {"step": [0, 1], "loss": [1.0, UNDEFINED]}),
    (
        "verify",
        {"history": History.of_lines(CLAIMED)},
        {"claim": ["eq-5", "lemma-4.1"], "step": [0, 0], "gap": [0.5, UNDEFINED]},
    ),
    (
        "verify",
        {"eq-6": ClaimResult(part="gap", parts=[PartResult(name="gap", **PART)], **PART)},
        {"claim": ["eq-6"], "part": ["gap"], "value": [UNDEFINED], "holds": [0]},
    ),
    (
        "variance",
        {
            "points": [
                Point(ratio=r, widths=[4, 4], residual=e, **DRAWN) for r, e in ((1, 0.5), (2, None))
            ]
        },
        {"ratio": [1, 2], "widths": [[4, 4]] * 2, "residual": [0.5, UNDEFINED]},
    ),
    (
        "search",
        {"curve": [CurvePoint(widths=[4, 4], variance=v, **BOUGHT) for v in (0.5, None)]},
        {"widths": [[4, 4]] * 2, "variance": [0.5, UNDEFINED]},
    ),
    (
        "kernel",
        {"profile": Profile(angles=[0.0, 1.0], kernel=[2.0, 1.0])},
        {"angles": [0, 1], "kernel": [2, 1]},
    ),
]


def test_every_kind_of_result_is_framed(tmp_path):
    results = {kind.__name__.lower(): stage.result for kind, stage in KINDS.items()}
    assert {kind for kind, *_ in FRAMES} == set(results)
    for kind, found, expected in FRAMES:
        result = results[kind].model_construct(**found)
        columns = Run(tmp_path, {"s": result}).frame("s")
        for name, column in expected.items():
            np.testing.assert_array_equal(columns[name], column)
