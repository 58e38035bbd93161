"""Rank correlations over the runs of a sweep."""

from typing import Any

import pytest
from stubs import Untyped, stub

import ceflow
from ceflow.blocks import Curve, Note, Table
from ceflow.dynamics import rank_correlation
from ceflow.runs import read_collected
from ceflow.runs.collected import CollectedPoint
from ceflow.runs.collecting import correlations_of, means_of
from ceflow.runs.describing import collected_blocks
from ceflow.spec import Collect, Document, Flow, Gaussian, Mlp, Sweep

SEEDS = [0, 1, 2, 3, 4, 5]
COST, ERROR = [3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]
"""Numbers that the stage finds, by seed."""


@pytest.fixture
def numbers(monkeypatch):
    """Flow stages that find numbers by the seed; the error is larger at two outputs."""

    def found(job):
        document = job.plan.document
        more = 10 * (document.data.outputs - 1)
        return Untyped(cost=COST[document.seed], error=ERROR[document.seed] + more, same=1.0)

    stub(monkeypatch, Flow, run=found, describe=lambda result: [])


def correlated(tmp_path: Any, collect: Collect, **paths: list[Any]) -> ceflow.Run:
    named: dict[str, Any] = {key.replace("__", "."): values for key, values in paths.items()}
    document = Document(
        data=Gaussian(train=3, inputs=2, outputs=1),
        model=Mlp(widths=[8]),
        stages={"f": Flow(time=1.0)},
        sweep=Sweep(**named),
        collect={"c": collect},
    )
    return ceflow.run(document, tmp_path / "out")


def asked(**keys: Any) -> Collect:
    names: dict[str, Any] = {"x": "stages.f.cost", "y": "stages.f.error", "correlate": "spearman"}
    return Collect(**(names | keys))


def test_two_results_are_correlated_over_the_runs_of_each_by(numbers, tmp_path):
    run = correlated(tmp_path, asked(by="data.outputs"), seed=SEEDS, data__outputs=[1, 2])
    found = run.collected["c"]
    expected = rank_correlation(COST, ERROR)
    for by, each in zip("12", found["correlations"], strict=True):
        assert (each["by"], each["runs"]) == (by, 6)
        assert each["coefficient"] == expected.coefficient
        assert tuple(each["interval"]) == expected.interval
        assert each["p_value"] == expected.p_value
    assert [point["x"] for point in found["points"][::2]] == COST
    assert ceflow.open(run.path).collected["c"] == found
    _, table, drawn = collected_blocks("c", read_collected({"collect": run.collected})[0]["c"])
    assert isinstance(table, Table)
    assert table.columns == ("data.outputs", "rank correlation", "95 %", "p", "runs")
    assert table.rows[0][::4] == ("1", 6)
    assert isinstance(drawn, Curve)
    assert {series.style for series in drawn.series} == {"points"}


@pytest.mark.parametrize(
    ("given", "third"), [("data.outputs", [1, 2] * 6), ("stages.f.cost", None)]
)
def test_a_partial_one_is_at_an_equal_third_number(numbers, tmp_path, given, third):
    x = "seed" if third is None else "stages.f.cost"
    collect = asked(x=x, given=given)
    found = correlated(tmp_path, collect, seed=SEEDS, data__outputs=[1, 2]).collected["c"]
    cost = [value for value in COST for _ in range(2)]
    error = [value + more for value in ERROR for more in (0, 10)]
    seeds = [seed for seed in SEEDS for _ in range(2)]
    columns = (seeds, error, cost) if third is None else (cost, error, third)
    (each,) = found["correlations"]
    assert each["coefficient"] == rank_correlation(*columns).coefficient
    assert [point["given"] for point in found["points"]] == list(columns[2])


def test_means_are_correlated_where_runs_are_averaged():
    points = [
        CollectedPoint(run=f"{x} {seed}", x=x, y=y + seed, given=x % 3)
        for x, y in enumerate([0.0, 3.0, 1.0, 5.0, 4.0])
        for seed in (0, 1)
    ]
    means = means_of(points, apart=True)
    assert [(mean.y, mean.given) for mean in means] == [
        (0.5, 0), (3.5, 1), (1.5, 2), (5.5, 0), (4.5, 1)
    ]  # fmt: skip
    ((found, _),) = correlations_of(asked(x="seed"), means)
    assert (found.runs, found.coefficient) == (5, pytest.approx(0.8))


@pytest.mark.parametrize(
    ("y", "seeds", "said"),
    [
        ("error", SEEDS[:3], "a rank correlation needs 4 points, and there are 3"),
        ("same", SEEDS, "all values of y are equal, so that they have no order"),
    ],
)
def test_a_sentence_stands_in_place_of_an_undefined_one(numbers, tmp_path, y, seeds, said):
    run = correlated(tmp_path, asked(y=f"stages.f.{y}"), seed=seeds)
    (each,) = run.collected["c"]["correlations"]
    assert (each["coefficient"], each["undefined"]) == (None, said)
    blocks = collected_blocks("c", read_collected({"collect": run.collected})[0]["c"])
    assert Note(f"no rank correlation: {said}") in blocks


def test_runs_without_the_number_are_left_out_and_said(numbers, tmp_path):
    found = correlated(tmp_path, asked(given="stages.f.nought"), seed=SEEDS).collected["c"]
    assert found["correlations"] == []
    (said,) = found["warnings"]
    assert said.startswith("6 of 6 runs have no number stages.f.nought; 'f' has the numbers cost,")
