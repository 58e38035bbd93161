"""Searches by latencies and within budgets: what is read, timed, shown, and refused beforehand."""

from pathlib import Path
from typing import Any

import jax
import pytest
from click.testing import CliRunner

import ceflow
from ceflow.blocks import Note, Table
from ceflow.cli import main
from ceflow.runs import RunError, prepare
from ceflow.spec import (
    Block,
    Budget,
    Document,
    Ensemble,
    Mlp,
    Model,
    Resnext,
    Search,
    SpecError,
    Variance,
)
from ceflow.stages.search import SearchResult, problem
from ceflow.stages.search.report import describe

MLP = Mlp(widths=(60, 60), inputs=8, outputs=3)
RESNET50 = Resnext(stem="imagenet", blocks=[3, 4, 6, 3], base_width=64)
TIMES = "width,multiplicity,seconds\n2,100,0.02\n10,20,0.012\n60,1,0.01\n"


@pytest.fixture
def times(tmp_path: Path) -> str:
    (tmp_path / "times.csv").write_text(TIMES)
    return str(tmp_path / "times.csv")


def found(path: Path, **keys: Any) -> SearchResult:
    document = Document(model=MLP, stages={"s": Search(alpha=3.0, **keys)})
    result = ceflow.run(document, path / "run").results["s"]
    assert isinstance(result, SearchResult)
    return result


def test_latencies_of_a_file_are_the_cost(tmp_path, times):
    result = found(tmp_path, cost="latency", latency=times, compare=["20x10d", "10x10d", "1x61d"])
    assert result.latency is not None
    assert result.latency.file == times
    assert [point.widths for point in result.latency.points] == [
        [2, 2],
        [10, 10],
        [60, 60],
    ]
    assert result.baseline.seconds == pytest.approx(0.01)
    twenty, ten, beyond = result.compare
    assert (twenty.seconds, ten.seconds) == pytest.approx((0.012, 0.006))
    assert ten.efficiency == pytest.approx(0.01 / 0.006)
    assert (beyond.seconds, beyond.efficiency) == (None, None)
    for part in ("primal", "dual"):
        share = result.baseline.seconds / result[part].seconds
        assert result[part].rounded.efficiency == pytest.approx(share)
    assert {2, 60} == {f(p.widths[0] for p in result.curve) for f in (min, max)}


SHARED = "width,multiplicity,seconds\n4,20,0.5\n64,1,0.35\n4,40,0.7\n"
"""0.3 s that members share, and 0.01 and 0.05 s for a member of width 4 and 64."""


def test_a_file_tells_the_seconds_that_members_share(tmp_path):
    """Those of a network of m members of width 4 are 0.3 + 0.01 m; with one line a width they count
    as the members', which a warning says.
    """
    resnext = Resnext(blocks=[1], base_width=64)
    for name, text in (("told", SHARED), ("untold", SHARED.replace("4,40,0.7\n", ""))):
        (tmp_path / f"{name}.csv").write_text(text)
        stage = Search(
            alpha=3.0, cost="latency", latency=str(tmp_path / f"{name}.csv"), compare=["7x4d"]
        )
        document = Document(model=resnext, stages={"s": stage})
        result = ceflow.run(document, tmp_path / name).results["s"]
        told = name == "told"
        assert result.compare[0].seconds == pytest.approx(0.37 if told else 0.5 * 7 / 20)
        assert result.latency.shared == pytest.approx(0.3 if told else 0)
        assert any("members share" in text for text in result.warnings) != told


def test_a_latency_may_be_a_limit_beside_another_cost(tmp_path, times):
    budget = Budget(latency=0.005, macs=3000)
    primal = found(tmp_path, latency=times, budget=budget).primal
    assert primal.seconds is not None
    assert primal.seconds <= 0.005
    assert primal.flops <= 6000


@pytest.mark.parametrize(
    ("limit", "most", "spent"),
    [
        ("parameters", 1000, "1,600 parameters"),
        ("flops", 2000, "3.20 kFLOPs (1.60 kMACs)"),
        ("macs", 1000, "3.20 kFLOPs (1.60 kMACs)"),
        ("latency", 0.007, "0.01 s"),
    ],
)
def test_networks_beyond_the_budget_are_named_below_the_table(tmp_path, times, limit, most, spent):
    latencies = {"latency": times} if limit == "latency" else {}
    over = "1x60d" if latencies else "20x5d"
    budget = Budget(**{limit: most})
    result = found(tmp_path, budget=budget, compare=[over, "2x3d", "1x61d"], **latencies)
    table, note = describe(result)[2:4]
    assert isinstance(table, Table)
    assert isinstance(note, Note)
    assert note.text.startswith("beyond the budget: baseline 1x60d (")
    assert f"compare {over} ({spent})" in note.text
    assert "2x3d" not in note.text
    assert not any("" in row[1:] for row in table.rows)


def test_macs_are_half_the_flops(tmp_path):
    by_macs = found(tmp_path / "a", budget=Budget(macs=1500))
    by_flops = found(tmp_path / "b", budget=Budget(flops=3000))
    assert by_macs.primal == by_flops.primal
    assert by_macs.near_optimal == by_flops.near_optimal


def test_networks_are_timed_in_float32_and_those_compared_too(tmp_path, monkeypatch):
    def time_forward(makers, inputs):
        kinds = {str(leaf.dtype) for leaf in (inputs, *arrays(next(iter(makers))()))}
        assert kinds == {"float32"}
        return [problem.search.Timing(0.5 + i, 0.1, 5) for i, _ in enumerate(makers)]

    def arrays(module):
        return [leaf for leaf in jax.tree.leaves(module) if isinstance(leaf, jax.Array)]

    monkeypatch.setattr(problem.search, "time_forward", time_forward)
    result = found(tmp_path, cost="latency", compare=["3x10d"])
    assert result.latency is not None
    assert result.latency.precision == "float32"
    assert result.compare[0].seconds == 3.5  # after the baseline, the primal and the dual
    assert result.compare[0].efficiency == pytest.approx(0.5 / 3.5)


def test_a_budget_that_no_measured_network_is_fast_enough_for_names_the_fastest(
    tmp_path, monkeypatch
):
    def time_forward(makers, inputs):
        return [problem.search.Timing(0.5, 0.1, 5) for _ in makers]

    monkeypatch.setattr(problem.search, "time_forward", time_forward)
    with pytest.raises(RunError, match=r"of 1e-12 s: the fastest member takes .* s; raise the"):
        found(tmp_path, budget=Budget(latency=1e-12))


FEWER = "fewer blocks, fewer outputs, another stem"
IMPOSSIBLE: dict[str, tuple[Model, dict[str, float], str, str]] = {
    "resnext": (RESNET50, {"parameters": 5e6}, "5,014,559 parameters", FEWER),
    "resnext flops": (RESNET50, {"flops": 1e8}, "1.02 GFLOPs (508 MMACs)", "or smaller images"),
    "macs": (RESNET50, {"macs": 1e8}, "1.02 GFLOPs (508 MMACs)", FEWER),
    "mlp": (MLP, {"parameters": 11}, "12 parameters", "fewer layers or inputs"),
    "one of two": (MLP, {"parameters": 1e9, "flops": 23}, "24 FLOPs (12 MACs)", "fewer layers"),
    "ensemble": (Ensemble(multiplicity=4, member=MLP), {"parameters": 11}, "12 param", "fewer"),
    "block": (Block(channels=9, widths=[4, 4]), {"parameters": 9}, "27 param", "fewer channels"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_budget_below_the_smallest_network_is_a_fault_beforehand(name):
    model, budget, has, lever = IMPOSSIBLE[name]
    document = Document(model=model, stages={"s": Search(alpha=3.0, budget=Budget(**budget))})
    with pytest.raises(SpecError) as caught:
        prepare(ceflow.compile(document))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path[:3]) == ("CE104", ("stages", "s", "budget"))
    assert has in fault.message
    assert lever in fault.help


LARGE: dict[str, dict[str, Any]] = {
    "parameters": {"alpha": 0.001, "budget": Budget(parameters=1e14)},
    "free": {"alpha": 0.001, "budget": Budget(flops=1e18), "space": "free"},
    "exact": {"using": "exact", "budget": Budget(macs=1e17), "tolerance": 1.0},
    "baseline": {"alpha": 3.0, "model": Mlp(widths=[10**10, 10**10], inputs=5, outputs=2)},
}


@pytest.mark.parametrize("name", LARGE)
def test_an_answer_larger_than_any_network_is_a_fault_beforehand(name):
    keys = dict(LARGE[name])
    document = Document(model=keys.pop("model", MLP), stages={"s": Search(**keys)})
    with pytest.raises(SpecError, match=r"the primal would be [\d,]{17,} members") as caught:
        prepare(ceflow.compile(document))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path[:2]) == ("CE104", ("stages", "s"))
    assert fault.help.startswith("lower the budget" if "budget" in keys else "give the [model]")


@pytest.mark.parametrize(
    ("keys", "widths", "key", "message"),
    [
        ({"alpha": 1000.0}, [1, 1], "alpha", "the baseline's variance by the law overflows"),
        (
            {"alpha": 5.0, "cost": "latency"},
            [1] * 200,
            "alpha",
            "variance by the law overflows",
        ),
        ({"alpha": 1000.0, "space": "free"}, [2, 2], "alpha", "variance by the law overflows"),
        ({"using": "exact"}, [1] * 2000, "using", "the exact variance of the baseline overflows"),
    ],
)
def test_a_baseline_without_a_variance_is_a_fault_beforehand(keys, widths, key, message):
    model = Mlp(widths=widths, inputs=3, outputs=1)
    document = Document(model=model, stages={"s": Search(**keys)})
    with pytest.raises(SpecError) as caught:
        prepare(ceflow.compile(document))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == ("CE104", ("stages", "s", key))
    assert message in fault.message
    assert "widen" in fault.help


def test_an_answer_too_large_that_only_a_fit_tells_fails_in_a_sentence(tmp_path):
    fit = Variance(ratios=[0.5, 1.0], draws=100)
    search = Search(variance="v", budget=Budget(parameters=1e17))
    document = Document(model=MLP, stages={"v": fit, "s": search})
    with pytest.raises(RunError, match=r"the primal would be .* members .*: lower the budget"):
        ceflow.run(document, tmp_path / "run")


@pytest.mark.parametrize("limit", ["parameters", "flops", "macs", "latency"])
def test_a_budget_past_all_machines_is_a_fault(limit):
    with pytest.raises(SpecError, match=f"CE104: {limit} must be at most"):
        Budget(**{limit: 1e300})


def test_a_budget_of_just_the_smallest_network_is_met(tmp_path):
    primal = found(tmp_path, budget=Budget(parameters=12)).primal
    assert (primal.widths, primal.parameters) == ([1, 1], 12)


@pytest.mark.parametrize(
    ("keys", "code", "key", "message"),
    [
        ({"latency": "none.csv"}, "CE301", "latency", "none.csv is not a file"),
        ({"latency": "narrow.csv"}, "CE302", "latency", "of widths 2 to 10, and the baseline's is"),
        ({"latency": "broken.csv"}, "CE302", "latency", "broken.csv, line 2, has seconds 'x'"),
        ({"budget": {"latency": 1e-5}}, "CE104", "budget", "the fastest member takes 0.0002 s"),
    ],
)
def test_what_is_wrong_with_latencies_is_said_in_place(tmp_path, times, keys, code, key, message):
    (tmp_path / "narrow.csv").write_text("width,seconds\n2,0.1\n10,0.2\n")
    (tmp_path / "broken.csv").write_text("width,seconds\n2,x\n60,0.2\n")
    search = Search(**{"alpha": 3.0, "cost": "latency", "latency": "times.csv", **keys})
    text = ceflow.dumps(Document(model=MLP, stages={"s": search}))
    (tmp_path / "spec.toml").write_text(text)
    with pytest.raises(SpecError) as caught:
        prepare(ceflow.compile(ceflow.load(tmp_path / "spec.toml")))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path[:3]) == (code, ("stages", "s", key))
    assert fault.place is not None
    assert message in fault.message


def test_a_path_is_relative_to_the_document_and_checked_without_data_too(tmp_path, times):
    document = Document(model=MLP, stages={"s": Search(alpha=3.0, cost="latency", latency="t.csv")})
    (tmp_path / "spec.toml").write_text(ceflow.dumps(document))
    assert CliRunner().invoke(main, ["check", str(tmp_path / "spec.toml")]).exit_code == 2
    spared = CliRunner().invoke(main, ["check", "--no-data", str(tmp_path / "spec.toml")])
    assert spared.exit_code == 0
    Path(times).rename(tmp_path / "t.csv")
    run = ceflow.run(ceflow.load(tmp_path / "spec.toml"), tmp_path / "run")
    resolved = ceflow.load(run.path / "resolved.toml").stages["s"]
    assert isinstance(resolved, Search)
    assert resolved.latency == str(tmp_path / "t.csv")


def test_a_budget_that_one_run_of_a_sweep_cannot_meet_leaves_the_others(tmp_path):
    document = swept([5, 500])
    with pytest.raises(RunError, match="no network is within the budget of 5 parameters") as caught:
        ceflow.run(document, tmp_path / "run")
    assert len(caught.value.failures) == 1
    assert caught.value.run.results["parameters=500"]["s"]["primal"]["parameters"] <= 500


def test_a_budget_that_no_run_of_a_sweep_can_meet_is_a_fault_beforehand():
    with pytest.raises(SpecError, match="no network is within the budget of 5 parameters"):
        prepare(ceflow.compile(swept([5, 6])))


def swept(budgets: list[int]) -> Document:
    text = ceflow.dumps(
        Document(model=MLP, stages={"s": Search(alpha=3.0, budget=Budget(parameters=1))})
    )
    return ceflow.loads(f'{text}\n[sweep]\n"stages.s.budget.parameters" = {budgets}\n')
