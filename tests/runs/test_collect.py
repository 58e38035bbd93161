"""What is gathered over the runs of a sweep."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from stubs import Untyped, stub

import ceflow
from ceflow import stages
from ceflow.blocks import Curve, Note, Table
from ceflow.blocks.svg import draw_svg
from ceflow.report import run_report, write_figures
from ceflow.runs import collecting, read_collected, reopen
from ceflow.runs.collected import (
    CollectedCurve,
    CollectedCurves,
    CollectedPoint,
    CollectedPoints,
    Correlation,
    Fit,
    Reached,
)
from ceflow.runs.describing import collected_answer, collected_blocks, collected_drawing
from ceflow.spec import (
    Collect,
    Document,
    Ensemble,
    Flow,
    Gaussian,
    Kernel,
    Mlp,
    Network,
    Sweep,
    Variance,
)
from ceflow.store import RunDirectory

ENSEMBLE = Ensemble(multiplicity=1, member=Mlp(widths=[8, 8], activation="erf"))


@pytest.fixture
def law(monkeypatch):
    """Flow stages that find `drift = 3/(m n)` and its error, and that the slow one is missing."""

    def found(job):
        m, n = job.model.multiplicity, job.model.member.widths[0]
        values: dict[str, Any] = {"drift": 3 / (m * n), "drift_stderr": 0.1 / (m * n), "nought": 0}
        return Untyped(**values, text="no number", **({"rare": 1.0} if m < 4 else {}))

    stub(monkeypatch, Flow, run=found, describe=lambda result: [])


def swept(
    collect: Mapping[str, Collect], model=ENSEMBLE, mode: Any = "grid", **paths: list[Any]
) -> Document:
    named: dict[str, Any] = {key.replace("__", "."): values for key, values in paths.items()}
    return Document(
        data=Gaussian(train=3, inputs=2),
        model=model,
        stages={"flow": Flow(time=1.0)},
        sweep=Sweep(mode=mode, **named),
        collect=dict(collect),
    )


def drift(**keys: Any) -> Collect:
    asked: dict[str, Any] = {"x": "model.multiplicity", "y": "stages.flow.drift", "fit": "power"}
    return Collect(**(asked | keys))


def test_an_exact_law_is_found_and_kept_with_the_results(law, tmp_path):
    document = swept({"drift": drift()}, model__multiplicity=[1, 2, 4])
    run = ceflow.run(document, tmp_path / "out")
    found = run.collected["drift"]
    assert [(p["x"], p["y"]) for p in found["points"]] == [(m, 3 / (8 * m)) for m in (1, 2, 4)]
    (fit,) = found["fits"]
    assert fit["slope"] == pytest.approx(-1, abs=1e-12)  # sums of three logarithms
    assert fit["factor"] == pytest.approx(3 / 8, rel=1e-12)
    # errors of 1/30 each, weighted alike: 1/30 over the root of the sum of squares of log x
    assert fit["stderr"] == pytest.approx(1 / 30 / (2 * 0.693147**2) ** 0.5, rel=1e-5)
    low, high = fit["interval"]
    assert low < -1 < high
    assert "warnings" not in found
    stored = json.loads((run.path / "results.json").read_text())
    assert stored["collect"] == run.collected
    assert ceflow.run(document, tmp_path / "out").collected == run.collected


def test_there_is_a_curve_for_each_value_of_by_and_no_fit_of_one_point(law, tmp_path):
    collect = {"by": drift(by="model.member.widths")}
    widths, multiplicities = [[8, 8], [8, 8], [8, 8], [16, 16]], [1, 2, 4, 1]
    document = swept(
        collect, mode="zip", model__multiplicity=multiplicities, model__member__widths=widths
    )
    found = ceflow.run(document, tmp_path / "out").collected["by"]
    assert [point["by"] for point in found["points"]] == ["8", "8", "8", "16"]
    assert [fit["by"] for fit in found["fits"]] == ["8"]
    assert "warnings" not in found
    table = read_collected({"collect": {"by": found}})[0]["by"]
    drawn = collected_drawing("by", table)
    assert isinstance(drawn, Curve)
    assert drawn.legend == "model.member.widths"
    assert [(series.label, series.colour) for series in drawn.series] == [
        ("8", 0), ("8: slope -1.00", 0), ("16", 1)
    ]  # fmt: skip
    notes = [block.text for block in collected_blocks("by", table) if isinstance(block, Note)]
    assert notes[0].startswith("model.member.widths = 8: drift = 0.375 x^-1.000")
    again = CollectedPoint(run="r", x=1, by="16", y=2.0)
    points = [CollectedPoint(run=str(x), x=x, by="8", y=1.0 / x) for x in (1, 2)]
    _, why = collecting.fits_of([*points, again, again], "n")
    assert why == ["n = 16: a power law needs two different x"]


def test_keys_of_layers_are_read_by_the_numbers_of_the_layers(monkeypatch, tmp_path):
    """Of drift = (bias variance)/units, with units as x; the bias variance is `by`, or averaged."""

    def found(job):
        dense = job.model.layers[0]
        return Untyped(drift=dense.bias_variance / dense.units)

    stub(monkeypatch, Flow, run=found, describe=lambda result: [])
    units, biases = "model.layers.0.units", "model.layers.0.bias_variance"
    layers: Any = [{"type": "dense", "units": 3}, "tanh", {"type": "dense", "units": 1}]
    model: Any = Network(layers=layers)
    collect = {"by": drift(x=units, by=biases), "over": drift(x=units, over=biases)}
    document = swept(collect, model, **{units: [4, 8, 16], biases: [1.0, 2.0]})
    run = ceflow.run(document, tmp_path / "out")
    for each in run.collected.values():
        assert [point["x"] for point in each["points"]] == [4, 4, 8, 8, 16, 16]
        assert "warnings" not in each
    fits = run.collected["by"]["fits"]
    assert [(fit["by"], round(fit["factor"], 9)) for fit in fits] == [("1.0", 1.0), ("2.0", 2.0)]
    means = run.collected["over"]["means"]
    assert [(mean["x"], mean["y"]) for mean in means] == [(n, 1.5 / n) for n in (4, 8, 16)]


def test_over_is_the_mean_with_its_error_and_the_fit_is_to_it(law, tmp_path):
    """Of members of width 8 and 24: 3/(8 m) and 3/(24 m), of mean 1/(4 m) and error 1/(8 m)."""
    collect = {"mean": drift(over="model.member.widths")}
    widths = [[8, 8], [24, 24]]
    document = swept(collect, model__multiplicity=[1, 2], model__member__widths=widths)
    run = ceflow.run(document, tmp_path / "out")
    found = run.collected["mean"]
    assert len(found["points"]) == 4
    means = [(m["x"], m["y"], m["stderr"], m["runs"]) for m in found["means"]]
    assert means == [pytest.approx(each) for each in ((1, 0.25, 0.125, 2), (2, 0.125, 0.0625, 2))]
    frame = run.frame("collect.mean")
    assert [tuple(row) for row in zip(*frame.values(), strict=True)] == means
    (fit,) = found["fits"]
    assert (fit["slope"], fit["factor"]) == pytest.approx((-1, 0.25))
    table, *_, drawn = collected_blocks(
        "mean", read_collected({"collect": run.collected})[0]["mean"]
    )
    assert isinstance(table, Table)
    assert table.columns == (
        "model.multiplicity",
        "mean of flow.drift over model.member.widths ± s.e.",
        "runs",
    )
    assert isinstance(drawn, Curve)
    assert drawn.series[0].error == pytest.approx((0.125, 0.0625))
    bars = draw_svg(drawn).count("LineCollection")
    assert bars == draw_svg(replace(drawn, series=drawn.series[1:])).count("LineCollection") + 1


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1e-6, 1e-3], True),
        ([1, 2, 4, 8], True),
        ([1, 2, 3], False),
        ([0, 1e5], False),
        ([5], False),
    ],
)
def test_numbers_spread_in_logarithms_have_a_logarithmic_axis(values, log):
    points = [CollectedPoint(run=str(x), x=x, y=1.0 + x) for x in values]
    x = "stages.k.ridge"
    for scale, as_drawn in (("auto", log), ("linear", False), ("log", True)):
        collected = CollectedPoints(x=x, y="stages.k.y", points=points, x_scale=scale)
        drawn = collected_drawing("c", collected)
        assert isinstance(drawn, Curve)
        assert drawn.log_x == as_drawn


def test_a_law_too_steep_to_be_drawn_has_no_fit_and_a_report():
    x, y = "model.outputs", "stages.s.y"
    points = [CollectedPoint(run=str(at), x=at, y=value) for at, value in ((1000, 1), (1001, 2))]
    fits, why = collecting.fits_of(points, None)
    assert fits == []
    assert why == ["its power law overflows (factor)"]
    steep = Fit(slope=300.0, factor=1e-290, stderr=None, interval=None, residuals=(0.0, 0.0))
    drawn = collected_blocks("c", CollectedPoints(x=x, y=y, points=points, fits=[steep]))
    assert any(isinstance(block, Curve) for block in drawn)


def ends(values: list[float], x: str = "step", **keys: Any) -> CollectedCurves:
    curves = [
        CollectedCurve(run=f"r{i}", by=str(i), x=[0, 1], y=[9.0, y]) for i, y in enumerate(values)
    ]
    paths = {"x": f"stages.t.{x}", "y": "stages.t.loss", "by": "model.size"}
    return CollectedCurves(view="curves", curves=curves, **paths, **keys)


POINTS = [CollectedPoint(run="a", x=1, y=4.0), CollectedPoint(run="b", x=2, y=3.0)]
FLAT = [CollectedPoint(run="a", x=1, y=4.0), CollectedPoint(run="b", x=2, y=4.0)]
RANKS = [
    Correlation(coefficient=0.5, interval=(0.1, 0.7), p_value=0.02, runs=9),
    Correlation(coefficient=1.0, p_value=0.083, runs=4),
]
REACHED = [Reached(run="a", by="5", x=30), Reached(run="b", by="9", x=None, last=40)]


@pytest.mark.parametrize(
    ("collected", "answer"),
    [
        (
            CollectedPoints(x="a.b", y="stages.k.mean", points=POINTS),
            "k.mean is least at a.b = 2 (3) and greatest at a.b = 1 (4)",
        ),
        (CollectedPoints(x="a.b", y="stages.k.mean", points=FLAT), ""),
        (
            CollectedPoints(x="a.b", y="stages.k.mean", points=POINTS, correlations=RANKS),
            "rank correlation 0.500 (95 %: 0.100 to 0.700, p = 0.02);"
            " rank correlation 1.000 (p = 0.083)",
        ),
        (
            ends([3.0, 2.0, math.inf]),
            "at the end t.loss is least at model.size = 1 (2) and greatest at model.size = 0 (3)",
        ),
        (ends([3.0, 2.0], x="train_loss"), ""),  # sorted by the loss: the last is the first
        (
            ends([3.0], level=0.5, reached=REACHED),
            "loss comes to 0.5 first with model.size = 5, at step 30; 1 of 2 do not come there",
        ),
        (ends([3.0], level=0.5, reached=REACHED[1:]), "none of 1 comes to loss 0.5"),
    ],
)
def test_a_sentence_says_what_is_shown(collected, answer):
    assert collected_answer(collected) == answer


def test_widths_that_are_equal_count_as_one_number(law, tmp_path):
    collect = {"n": drift(x="model.member.widths")}
    document = swept(collect, model__member__widths=[[8, 8], [16, 16]])
    found = ceflow.run(document, tmp_path / "out").collected["n"]
    assert [point["x"] for point in found["points"]] == [8, 16]


WARNED = {
    "a key that is not there": (
        {"y": "stages.flow.drfit"},
        {},
        "3 of 3 runs have no number stages.flow.drfit; 'flow' has the numbers drift, drift_stderr,"
        " nought, rare",
    ),
    "a key that some have": ({"y": "stages.flow.rare"}, {}, "1 of 3 runs have no number"),
    "what is no number": ({"y": "stages.flow.text"}, {}, "3 of 3 runs have no number"),
    "nothing to take a logarithm of": ({"y": "stages.flow.nought"}, {}, "no logarithm of y"),
    "a kink": (
        {},
        {"model": ENSEMBLE.model_copy(update={"member": Mlp(widths=[8, 8])})},
        "theorem 1 assumes an analytic activation, which relu is not: the slope need not be -1",
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_there_is_to_say_is_said(law, tmp_path, case):
    keys, rest, said = WARNED[case]
    document = swept({"c": drift(**keys)}, **rest, model__multiplicity=[1, 2, 4])
    warnings = ceflow.run(document, tmp_path / "out").collected["c"]["warnings"]
    assert any(said in warning for warning in warnings), warnings


def test_runs_that_failed_are_left_out_and_named(law, tmp_path, monkeypatch):
    kind = stages.KINDS[Flow]

    def failing(job):
        if job.model.multiplicity == 2:
            raise ValueError("no more")
        return kind.run(job)

    stub(monkeypatch, Flow, run=failing)
    document = swept({"c": drift()}, model__multiplicity=[1, 2, 4])
    with pytest.raises(ceflow.RunError) as raised:
        ceflow.run(document, tmp_path / "out")
    found = raised.value.run.collected["c"]
    assert [point["y"] is None for point in found["points"]] == [False, True, False]
    assert found["fits"][0]["slope"] == pytest.approx(-1, abs=1e-12)  # of two points
    assert "1 of 3 runs have not done 'flow': multiplicity=2" in found["warnings"]


def test_an_infinite_x_is_no_point_of_a_fit(tmp_path):
    paths: dict[str, Any] = {"model.widths": [[4], [math.inf]]}
    document = Document(
        data=Gaussian(train=2, inputs=2),
        model=Mlp(widths=[4]),
        stages={"k": Kernel()},
        sweep=Sweep(**paths),
        collect={"c": drift(x="model.widths", y="stages.k.trace")},
    )
    run = ceflow.run(document, tmp_path / "out")
    found = json.loads((run.path / "results.json").read_text())["collect"]["c"]
    assert [point["x"] for point in found["points"]] == [4, "inf"]
    assert found["warnings"] == [
        "model.widths is infinite in 1 of 2 runs, which are left out",
        "a power law needs two different x: there is no fit",
    ]
    drawn = collected_drawing("c", ceflow.open(run.path).collected["c"])
    assert isinstance(drawn, Curve)
    assert drawn.series[1].label == "model.widths = inf"  # a level line


def test_an_x_that_is_no_number_is_said(law, tmp_path):
    collect = {"c": drift(x="model.member.widths")}
    document = swept(collect, model__member__widths=[[8, 8], [8, 4]])
    found = ceflow.run(document, tmp_path / "out").collected["c"]
    assert "is not a number, nor a list of equal ones, in 1 of 2 runs" in found["warnings"][0]
    assert found["fits"] == []


def test_theorem_1_is_no_one_elses(law, tmp_path):
    relu = ENSEMBLE.model_copy(update={"member": Mlp(widths=[8, 8])})
    document = swept({"c": drift(y="stages.flow.rare")}, relu, model__multiplicity=[1, 2])
    assert "warnings" not in ceflow.run(document, tmp_path / "out").collected["c"]


def test_other_stages_are_collected_too(tmp_path):
    widths: dict[str, Any] = {"model.widths": [[8, 8], [16, 16]]}
    document = Document(
        model=Mlp(widths=[8, 8], inputs=2, outputs=1),
        stages={"alpha": Variance(ratios=[0.5, 1.0])},
        sweep=Sweep(**widths),
        collect={"a": Collect(x="model.widths", y="stages.alpha.alpha")},
    )
    found = ceflow.run(document, tmp_path / "out").collected["a"]
    assert len(found["points"]) == 2
    assert "stderr" in found["points"][0]
    assert "fits" not in found


def test_the_report_has_a_table_a_fit_and_a_figure(law, tmp_path, capsys):
    from rich.console import Console

    collect = {"drift": drift(), "odd": drift(y="stages.flow.drfit")}
    document = swept(collect, model__multiplicity=[1, 2, 4])
    run = ceflow.run(document, tmp_path / "out")
    directory = RunDirectory(run.path)
    plan = reopen(directory)
    console = Console(width=120)
    for part in run_report(directory, plan):
        console.print(part)
    shown = capsys.readouterr().out
    assert "drift  collect" in shown
    assert "0.375 ± 0.013" in shown
    assert "drift = 0.375 x^-1.000, slope -1.000 (95 %:" in shown
    assert "warning: 3 of 3 runs have no number stages.flow.drfit" in shown
    write_figures(directory, plan)
    assert "slope -1.00" in (run.path / "figures" / "collect-drift.svg").read_text()
    assert not (run.path / "figures" / "collect-odd.svg").exists()
