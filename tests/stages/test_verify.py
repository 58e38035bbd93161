"""The `verify` stage: what is kept of claims, what is shown, what is forecast."""

import math
from typing import Any, get_args

import pytest

import ceflow
from ceflow import claims
from ceflow.blocks import Curve, Note, Table
from ceflow.claims.costs import COSTS
from ceflow.report import run_report
from ceflow.runs import prepare
from ceflow.spec import Bottleneck, Claim, Document, Ensemble, Mlp, SpecError, Stage, Verify
from ceflow.spec.stages.verify import DRAWN_CLAIMS, ENSEMBLE_CLAIMS
from ceflow.stages import kind_of

HALF = {"widths": [math.inf], "weight_variance": 1.0}
WIDE = Bottleneck(size=2, encoder=Mlp(inputs=3, **HALF), decoder=Mlp(outputs=1, **HALF))
SMALL: dict[str, Any] = {"width": 200, "draws": 40, "points": 3, "steps": 4}


def document(*names: Any, seed: int = 0, **keys: Any) -> Document:
    stages: dict[str, Stage] = {"v": Verify(claims=names, **{**SMALL, **keys})}
    return Document(model=WIDE, seed=seed, stages=stages)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    spec = document("lemma-3.1", "lemma-4.1", "eq-6")
    return ceflow.run(spec, tmp_path_factory.mktemp("verify") / "run")


def shown(run) -> list[Any]:
    stage = Verify(claims=["eq-6"])
    return kind_of(stage).describe(run.results["v"])


def recorded(run) -> list[Any]:
    from ceflow.store import RunDirectory

    return list(RunDirectory(run.path).read_metrics("v").lines())


def test_each_claim_has_a_number_and_a_verdict(done):
    result = done.results["v"]
    assert list(result) == ["history", "warnings", "lemma-3.1", "lemma-4.1", "eq-6"]
    assert list(result.claims) == ["lemma-3.1", "lemma-4.1", "eq-6"]
    for claim in result.claims.values():
        for part in (claim, *claim.parts):
            deviation = abs(part.value - part.expected)
            assert part.holds is (deviation <= part.tolerance)
        worst = max(claim.parts, key=lambda p: abs(p.value - p.expected) / p.tolerance)
        assert claim.part == worst.name
        assert worst.items() <= {**claim, "name": claim.part}.items()


def test_parts_that_hold_by_large_tolerances_are_named(done):
    for name, claim in done.results["v"].claims.items():
        large = [part for part in claim.parts if part.holds and part.tolerance >= 1]
        said = [text for text in done.results["v"].warnings if text.startswith(f"{name} says")]
        assert len(said) == bool(large)
        assert all(part.name in said[0] for part in large)
    (kurtosis,) = (text for text in done.results["v"].warnings if "lemma-3.1 says" in text)
    assert "whose tolerances are 1 or more: raise draws or width" in kurtosis


def test_a_claim_reads_as_a_table_too(done):
    claim = done.results["v"]["lemma-4.1"]
    assert claim["depths"] == claim.depths == [2, 2]
    assert "step" not in claim


def test_residuals_are_kept_step_by_step(done):
    lines = recorded(done)
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert {line["claim"] for line in lines} == {"lemma-4.1"}
    assert {"wide.f", "effective.J", "function-space"} <= set(lines[0])


def test_what_is_shown(done):
    table, *rest = shown(done)
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows if row[0]] == ["lemma-3.1", "lemma-4.1", "eq-6"]
    assert {row[-1] for row in table.rows} == {"holds", "holds, says little"}
    curves = [block.name for block in rest if isinstance(block, Curve)]
    assert curves == ["lemma-3.1-covariances", "lemma-4.1-residuals"]


def test_a_claim_that_does_not_hold_is_a_warning(tmp_path, monkeypatch):
    """And not an exit status; a number that is not finite is null."""
    found = {
        "eq-5": claims.Verdict({"derivative": claims.Part(0.5, 0.0, 0.1)}),
        "eq-6": claims.Verdict({"derivative": claims.Part(math.nan, 0.0, 0.1)}),
    }
    table = {name: lambda trial, name=name: found[name] for name in found}
    monkeypatch.setattr("ceflow.claims.table.CLAIMS", table)
    monkeypatch.setattr(claims, "CLAIMS", table, raising=False)
    run = ceflow.run(document("eq-5", "eq-6"), tmp_path / "run")
    values = run.results["v"]
    assert [values[name]["holds"] for name in found] == [False, False]
    assert values["eq-6"]["value"] is None
    assert values["warnings"] == [
        "eq-5 does not hold: derivative is 0.5, expected 0 to within 0.1",
        "eq-6 does not hold: derivative is not finite, expected 0 to within 0.1",
    ]
    notes = [block for block in shown(run) if isinstance(block, Note)]
    assert [note.warning for note in notes] == [True, True]
    assert "does not hold" in str(shown(run)[0].rows)
    assert list(run_report_of(run))


def test_numbers_that_are_not_finite_are_null_wherever_they_are(tmp_path, monkeypatch):
    parts = {"slope": claims.Part(math.inf, math.nan, 0.1)}
    details = {
        "deviations": {"ff": [0.5, math.nan], "JJ": [math.inf]},
        "learning_rate": math.nan,
        "depths": [2, 2],
    }
    found = claims.Verdict(parts, details)
    monkeypatch.setattr(claims, "CLAIMS", {"eq-5": lambda trial: found}, raising=False)
    run = ceflow.run(document("eq-5"), tmp_path / "run")
    values = run.results["v"]["eq-5"]
    assert [values[key] for key in ("value", "expected", "tolerance")] == [None, None, 0.1]
    assert values["holds"] is False
    assert values["deviations"] == {"ff": [0.5, None], "JJ": [None]}
    assert (values["learning_rate"], values["depths"]) == (None, [2, 2])
    table, curve, _ = kind_of(Verify(claims=["eq-5"])).describe(run.results["v"])
    assert isinstance(table, Table)
    assert isinstance(curve, Curve)
    assert table.rows[0][2:] == ("not finite", "not finite", 0.1, "does not hold")
    assert [series.y[0] for series in curve.series] == pytest.approx([0.5, math.nan], nan_ok=True)
    assert list(run_report_of(run))


def run_report_of(run):
    from ceflow.store import RunDirectory

    return run_report(RunDirectory(run.path), ceflow.compile(document("eq-5", "eq-6")))


def test_a_claim_has_its_own_random_numbers(done, tmp_path):
    """Whatever other claims there are; and others with another seed."""
    again = ceflow.run(document("eq-6", "eq-5"), tmp_path / "again").results["v"]
    assert again["eq-6"] == done.results["v"]["eq-6"]
    other = ceflow.run(document("eq-5", seed=1), tmp_path / "other").results["v"]
    assert other["eq-5"]["value"] != again["eq-5"]["value"]


@pytest.mark.parametrize("claim", ["lemma-3.1", "theorem-3.2", "lemma-4.1", "eq-6", "eq-41"])
def test_wide_networks_are_forecast_to_take_more(claim):
    few, many = (
        prepare(ceflow.compile(document(claim, width=width, draws=1000))).needs()["v"]
        for width in (1000, 1_000_000)
    )
    assert many.memory > few.memory + 1e7
    assert many.seconds > few.seconds


MEMBER = Mlp(widths=[32], activation="erf", inputs=2, outputs=1)
MEMBERS = Ensemble(multiplicity=4, member=MEMBER)
HUGE = MEMBER.model_copy(update={"widths": (10**9, 10**9)})
TOO_MUCH = {
    "width": (WIDE, "theorem-3.2", {"width": 10**12}, "stages.v.width"),
    "steps": (WIDE, "lemma-4.1", {"steps": 10**12}, "stages.v.steps"),
    "points": (WIDE, "lemma-3.1", {"points": 10**12}, "stages.v.points"),
    "draws": (MEMBERS, "lemma-1", {"draws": 10**12}, "stages.v.draws"),
    "pairs": (MEMBERS, "theorem-1", {"points": 10**7}, "stages.v.points"),
    "members": (Ensemble(multiplicity=4, member=HUGE), "lemma-1", {}, "model.member.widths"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_what_does_not_fit_is_refused_and_the_key_to_lower_named(case):
    model, claim, sizes, key = TOO_MUCH[case]
    stages: dict[str, Stage] = {"v": Verify(claims=[claim], **sizes)}
    with pytest.raises(SpecError, match="CE401") as caught:
        prepare(ceflow.compile(Document(model=model, stages=stages)))
    assert caught.value.faults[0].help == f"lower {key}"


def test_more_members_are_forecast_to_take_more():
    def needs(multiplicity: int) -> Any:
        stages: dict[str, Stage] = {"v": Verify(claims=["lemma-1", "theorem-1"])}
        model = Ensemble(multiplicity=multiplicity, member=MEMBER)
        return prepare(ceflow.compile(Document(model=model, stages=stages))).needs()["v"]

    assert needs(1000).seconds > 2 * needs(10).seconds


@pytest.mark.parametrize("claim", get_args(Claim))
def test_claims_are_in_the_sets_that_their_forecasts_put_them_in(claim):
    """Needs are known of one kind of model, and grow with the draws of a claim about many."""
    member = Mlp(widths=[32], activation="erf", inputs=2, outputs=1)
    model = Ensemble(multiplicity=2, member=member) if claim in ENSEMBLE_CLAIMS else WIDE
    plan = ceflow.compile(Document(model=model))
    few, many = (
        COSTS[claim](Verify(claims=[claim], draws=draws), plan, plan.model) for draws in (20, 1000)
    )
    assert (few != many) == (claim in DRAWN_CLAIMS)
