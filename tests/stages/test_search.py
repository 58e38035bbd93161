"""What a search stage finds, warns of and refuses, read back from its results."""

import math
from pathlib import Path
from typing import Any

import pytest

import ceflow
from ceflow import stages
from ceflow.blocks import Curve, Note, Table
from ceflow.compiler.models import expand
from ceflow.runs import RunError
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
    flops_text,
    load,
    read_network,
)
from ceflow.stages.search import SearchResult

MLP = Mlp(widths=(60, 40), inputs=8, outputs=3)
RESNEXT = Resnext(blocks=[1, 1], base_width=48)
FIT = Variance(ratios=[0.1, 0.3, 0.6, 1.0])
ROUNDING = 1e-12
"""A dozen operations in double precision."""


def test_the_longest_name_has_answers_too(tmp_path):
    document = Document(name="n" * 100, model=MLP, stages={"s": Search(alpha=3.0)})
    ceflow.run(document, tmp_path / "run")
    assert load(tmp_path / "run/optimal-dual.toml").name == "n" * 95 + "-dual"


def results(path: Path, model: Model, **specs: Any) -> Any:
    return ceflow.run(Document(model=model, stages=specs), path / "run").results


def found(path: Path, model: Model, **keys: Any) -> SearchResult:
    return results(path, model, fit=FIT, best=Search(**keys))["best"]


ASKED: dict[str, tuple[Model, dict[str, Any]]] = {
    "law": (MLP, {"variance": "fit"}),
    "exact": (MLP, {"using": "exact"}),
    "curve": (MLP, {"using": "curve", "variance": "fit"}),
    "free": (MLP, {"alpha": 3.0, "space": "free"}),
    "budget": (MLP, {"alpha": 3.0, "budget": Budget(parameters=700, flops=1200)}),
    "ensemble": (Ensemble(multiplicity=5, member=MLP), {"alpha": 3.0, "cost": "flops"}),
    "block": (Block(channels=64, widths=[32, 32]), {"alpha": 3.0}),
    "free block": (Block(channels=64, widths=[32, 32]), {"using": "exact", "space": "free"}),
    "resnext": (RESNEXT, {"alpha": 3.0, "compare": ["3x20d", "8x8d"]}),
    "resnext budget": (RESNEXT, {"alpha": 3.0, "budget": Budget(parameters=2e5)}),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    folder = tmp_path_factory.mktemp("searches")
    runs = {
        name: ceflow.run(
            Document(model=model, stages={"fit": FIT, "best": Search(**keys)}), folder / name
        )
        for name, (model, keys) in ASKED.items()
    }
    return {name: (run.path, run.results["best"]) for name, run in runs.items()}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("part", ["primal", "dual"])
def test_answers_are_counted_as_the_networks_in_their_documents(done, name, part):
    path, result = done[name]
    answer = result[part]
    document = load(path / ("optimal.toml" if part == "primal" else "optimal-dual.toml"))
    plan = ceflow.compile(document)
    assert (plan.root.parameters, plan.root.flops) == (answer.parameters, answer.flops)
    baseline = ceflow.compile(Document(model=ASKED[name][0])).model
    model = baseline.with_members(tuple(answer.widths), answer.multiplicity)
    assert plan.model == model
    assert result.models()[part] == model


@pytest.mark.parametrize("name", ASKED)
def test_formulas_of_the_answers(done, name):
    _, result = done[name]
    for part in ("primal", "dual"):
        answer = result[part]
        emitted = answer.rounded
        single = answer.variance * answer.multiplicity_exact
        assert emitted.variance == pytest.approx(single / answer.multiplicity)
        whole = {"parameters": "parameters", "flops": "flops"}[result.cost]
        share = result.baseline[whole] / answer[whole]
        assert emitted.efficiency == pytest.approx(share, rel=ROUNDING)
        assert abs(answer.multiplicity - answer.multiplicity_exact) < 1 or part == "primal"
    assert result.dual.variance == pytest.approx(result.baseline.variance)
    assert result.duality.holds
    assert result.duality.gap < ROUNDING


@pytest.mark.parametrize("name", ASKED)
def test_near_optimal_set_holds_the_primal_and_counts_whole_networks(done, name):
    _, result = done[name]
    near = {tuple(point.widths): point for point in result.near_optimal}
    best = near[tuple(result.primal.widths)]
    assert best.objective_ratio == min(point.objective_ratio for point in near.values()) == 1
    assert best.primal_multiplicity == result.primal.multiplicity
    assert best.parameters == result.primal.parameters
    assert best.variance == result.primal.rounded.variance
    assert all(point.objective_ratio <= 1.02 for point in near.values())


@pytest.mark.parametrize("name", ASKED)
def test_every_search_has_tables_and_both_figures_to_show(done, name):
    blocks = stages.KINDS[Search].describe(done[name][1])
    curves = [block for block in blocks if isinstance(block, Curve)]
    assert [curve.name for curve in curves] == ["primal", "dual"]
    for block in blocks:
        if isinstance(block, Table):
            assert {len(row) for row in block.rows} == {len(block.columns)}
    assert all(len(series.x) == len(series.y) > 0 for curve in curves for series in curve.series)


@pytest.mark.parametrize("name", ASKED)
def test_what_is_shown_beside_a_network_is_the_network_s(done, name):
    """In every table a row that names a network in whole members has its cost and variance."""
    result = done[name][1]
    blocks = stages.KINDS[Search].describe(result)
    tables = [block for block in blocks if isinstance(block, Table)]
    networks = next(table for table in tables if "ρ" in table.columns)
    base = result.baseline
    key = "parameters" if result.cost == "parameters" else "flops"
    found = [base, result.primal, result.dual, *result.compare]
    for (_, _, parameters, flops, rho, variance), network in zip(networks.rows, found, strict=True):
        assert parameters == network.parameters
        assert flops == flops_text(network.flops)
        assert rho == f"{base[key] / network[key]:.2f}"
        assert variance == network.get("rounded", network).variance
    curve = next(table for table in tables if "on the curve" in table.columns[0])
    assert [row[3] for row in curve.rows] == [
        f"{result[part]['efficiency']:.2f}" for part in ("primal", "dual")
    ]


def test_budget_is_kept_by_the_networks_emitted(done):
    result = done["budget"][1]
    assert result.primal.parameters <= 700
    assert result.primal.flops <= 1200
    assert all(point.parameters <= 700 for point in result.near_optimal)
    assert done["resnext budget"][1].primal.parameters <= 2e5


def test_alpha_is_what_was_used_and_null_where_none_was(done):
    assert 2.5 < done["law"][1].alpha < 3.3  # of a network of two hidden layers
    assert done["exact"][1].alpha is None
    assert done["curve"][1].alpha is None


def test_exact_moments_and_the_curve_of_a_fine_fit_agree(done):
    exact, curve = done["exact"][1], done["curve"][1]
    # Four points measured, and a valley that is flat.
    ratio = exact.primal.variance / curve.primal.variance
    assert ratio == pytest.approx(1, rel=0.01)
    widths = [max(point.widths) for point in curve.curve]
    assert (min(widths), max(widths)) == (6, 60)


def test_interval_of_alpha_gives_an_interval_of_widths(done):
    low, high = done["law"][1].widths_interval
    assert low <= done["law"][1].primal.widths <= high
    assert done["exact"][1].widths_interval is None


def test_networks_that_are_named_are_listed_with_their_own_numbers(done):
    result = done["resnext"][1]
    baseline = ceflow.compile(Document(model=RESNEXT)).model
    assert [row.name for row in result.compare] == ["3x20d", "8x8d"]
    for row in result.compare:
        members, (n,) = read_network(row.name)
        root = expand(baseline.with_members((n, n), members))
        assert (row.parameters, row.flops) == (root.parameters, root.flops)
        law = math.expm1(3.0 * (1 / 256 + 1 / (9 * n) + 1 / n)) / members
        assert row.variance == pytest.approx(law, rel=ROUNDING)
        share = result.baseline.parameters / root.parameters
        assert row.efficiency == pytest.approx(share, rel=ROUNDING)


def test_latency_is_measured_and_listed(tmp_path):
    result = found(tmp_path, MLP, alpha=3.0, cost="latency")
    measured = result.latency
    assert measured is not None
    assert measured.batch == 64
    assert 2 <= len(measured.points) <= 10
    assert all(point.seconds > 0 and (point.repeats or 0) >= 5 for point in measured.points)
    assert [60, 40] in [point.widths for point in measured.points]
    for part in ("baseline", "primal", "dual"):
        assert result[part].seconds > 0
    assert any(
        isinstance(block, Table) and block.columns[0] == "forward pass of 64, float32"
        for block in stages.KINDS[Search].describe(result)
    )


# what may be wrong


def warned(result: SearchResult, text: str) -> bool:
    return any(text in warning for warning in result.warnings)


def test_a_good_search_has_no_warnings(done):
    assert done["free"][1].warnings == []


def test_baseline_that_is_optimal_already_is_said(tmp_path):
    even = MLP.model_copy(update={"widths": (60, 60)})  # whose ratio line the answer is on
    best = found(tmp_path, even, alpha=3.0).primal
    again = Ensemble(
        multiplicity=best.multiplicity,
        member=MLP.model_copy(update={"widths": tuple(best.widths)}),
    )
    result = found(tmp_path / "again", again, alpha=3.0)
    assert result.primal.widths == best.widths
    assert warned(result, "the baseline is optimal already")


def test_warnings_of_the_variance_stage_are_passed_on(tmp_path):
    two = Variance(ratios=[0.5, 1.0])
    result = results(tmp_path, MLP, two=two, best=Search(variance="two"))["best"]
    assert warned(result, "two: alpha is of two points")


def test_optimum_at_the_edge_of_what_was_measured_is_said(tmp_path):
    narrow = Variance(ratios=[0.6, 0.8, 1.0])
    curve = Search(using="curve", variance="fit")
    result = results(tmp_path, MLP, fit=narrow, best=curve)["best"]
    assert result.duality.primal_widths == [36, 24]
    assert warned(result, "the primal is at the edge of the widths measured")


def test_optimum_of_width_one_is_said(tmp_path):
    result = found(tmp_path, Mlp(widths=[30, 30], inputs=1, outputs=1), alpha=1e-3)
    assert result.primal.widths == [1, 1]
    assert warned(result, "the primal has a layer of width 1")


def test_optimum_at_the_widest_that_is_affordable_is_said(tmp_path):
    narrow = Ensemble(multiplicity=3, member=Mlp(widths=[2, 2], inputs=1, outputs=1))
    result = found(tmp_path, narrow, alpha=20.0)
    assert warned(result, "the primal is at the edge of the widths searched: no wider network than")


def test_what_has_no_answer_fails_in_a_sentence(tmp_path):
    narrow = MLP.model_copy(update={"widths": (1, 1)})
    with pytest.raises(SpecError, match="widen the baseline or lower alpha"):
        results(tmp_path, narrow, best=Search(alpha=1000.0))


def test_curve_that_misses_the_baseline_fails_in_a_sentence(tmp_path):
    part = Variance(ratios=[0.2, 0.5])
    with pytest.raises(RunError, match=r"measure the ratio 1\.0 too"):
        results(tmp_path, MLP, fit=part, best=Search(using="curve", variance="fit"))


def test_forecast_of_a_latency_counts_its_compilations():
    plan = ceflow.compile(Document(model=MLP))
    kind = stages.KINDS[Search]
    by = {
        cost: kind.cost(Search(alpha=3.0, cost=cost), plan, plan.model).work.compilations
        for cost in ("parameters", "latency")
    }
    assert by["latency"] > by["parameters"] == 0


@pytest.mark.parametrize(
    ("model", "cpu"),
    [
        (Mlp(widths=[500] * 3, inputs=784, outputs=10), 9.7),
        (Block(widths=[64, 64]), 10.5),
        (Resnext(stem="cifar", blocks=[1, 1, 1], base_width=64), 37.6),
        (Resnext(stem="cifar", blocks=[3, 3, 3], base_width=64), 52.6),
        (Resnext(stem="imagenet", blocks=[1, 1, 1, 1], base_width=64), 56.6),
    ],
)
def test_forecast_of_a_latency_is_within_a_factor_of_2_of_what_was_measured(model, cpu):
    """`cpu`: seconds on two cores of the rates below; `benchmarks.forecasts searches` measures."""
    plan = ceflow.compile(Document(model=model))
    work = stages.KINDS[Search].cost(Search(alpha=3.1, cost="latency"), plan, plan.model).work
    seconds = work.flops / 201e9 + work.compilations * 0.241 + work.seconds + 0.528
    assert cpu / 2 < seconds < cpu * 2


@pytest.mark.parametrize("name", ASKED)
def test_networks_expected_of_a_search_are_those_found_by_the_law(done, name):
    model, keys = ASKED[name]
    plan = ceflow.compile(Document(model=model))
    found = stages.KINDS[Search].offers(Search(**keys), plan, plan.model)
    for part, network in found.items():
        # alpha, the law and the space are guesses: the size is all that forecasts need
        assert 0.5 < plan.expand(network).parameters / done[name][1][part].parameters < 4


def test_the_best_within_a_budget_is_the_least_of_the_curve_drawn(tmp_path):
    document = ceflow.loads("""
    model = {type = "mlp", widths = [60, 60], inputs = 3, outputs = 2}
    stages.best = {type = "search", alpha = 3.4, budget = {parameters = 3000}}
    """)
    result = ceflow.run(document, tmp_path).results["best"]
    curve = next(
        each
        for each in stages.kind_of(document.stages["best"]).describe(result)
        if isinstance(each, Curve)
    )
    objective, optimum = curve.series
    assert min(zip(objective.y, objective.x, strict=True)) == (optimum.y[0], optimum.x[0])
    duality = next(line for line in notes(result) if line.startswith("strong duality holds"))
    assert duality.endswith("no budget counts")
    gap = result.duality.model_copy(update={"holds": False, "gap": 0.0123})
    fails = notes(result.model_copy(update={"duality": gap}))
    assert any(line.startswith("strong duality fails on the curve by 1.23%") for line in fails)


def notes(result: Any) -> list[str]:
    blocks = stages.KINDS[Search].describe(result)
    return [block.text for block in blocks if isinstance(block, Note)]
