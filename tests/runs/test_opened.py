"""A run that is opened from its directory, and what is asked of it."""

import json
import shutil
from typing import Any

import pytest
from stubs import stub

import ceflow
from ceflow.runs import Run, RunError
from ceflow.spec import Collect, Document, Kernel, Mlp, Search, SpecError, Sweep, Variance

DOCUMENT = ceflow.loads("""
data = {source = "gaussian", inputs = 3, outputs = 1, train = 6}
model = {type = "mlp", widths = [20, 20]}
stages = {alpha = {type = "variance"}, k = {type = "kernel"}}
""")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return ceflow.run(DOCUMENT, tmp_path_factory.mktemp("opened") / "run")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Run:
    paths: dict[str, Any] = {"model.widths": [[20, 20], [30, 30]]}
    document = DOCUMENT.model_copy(update={"sweep": Sweep(**paths)})
    return ceflow.run(document, tmp_path_factory.mktemp("opened") / "swept")


def test_a_run_is_opened_as_it_was_left(run, swept):
    assert dict(ceflow.open(run.path).results) == dict(run.results)
    again = ceflow.open(swept.path)
    assert {name: dict(each) for name, each in again.results.items()} == {
        name: dict(each) for name, each in swept.results.items()
    }
    assert again.array("widths=30-30/k").shape == (6, 6)


def test_a_run_that_is_not_done_is_opened_with_what_is(monkeypatch, tmp_path):
    def fails(job: object) -> None:
        raise ValueError("no kernel today")

    stub(monkeypatch, Kernel, run=fails)
    with pytest.raises(RunError, match="no kernel today"):
        ceflow.run(DOCUMENT, tmp_path / "run")
    assert list(ceflow.open(tmp_path / "run").results) == ["alpha"]
    with pytest.raises(SpecError, match="not a run directory"):
        ceflow.open(tmp_path)


def test_what_is_not_there_is_said_with_what_is(run, swept):
    for asked in ("../run/k", "nothing", "k/../k"):
        with pytest.raises(KeyError, match="k"):
            run.array(asked)
    with pytest.raises(KeyError, match="RUN/STAGE is wanted, of the runs widths=20-20"):
        swept.frame("widths=20-20")
    with pytest.raises(KeyError, match="no run"):
        swept.array("../k")
    with pytest.raises(KeyError, match="left no array"):
        run.array("alpha")
    with pytest.raises(KeyError, match="left no array of that name; there are k"):
        run.array("k.stderr")
    with pytest.raises(ValueError, match=r"array\('k'\) reads it"):
        run.frame("k")


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda run: ceflow.run({}), TypeError),  # pyright: ignore[reportArgumentType]
        (lambda run: ceflow.compile(None), TypeError),  # pyright: ignore[reportArgumentType]
        (lambda run: ceflow.loads(b"x"), TypeError),  # pyright: ignore[reportArgumentType]
        (lambda run: ceflow.dumps({}), TypeError),  # pyright: ignore[reportArgumentType]
        (lambda run: run.frame(None), TypeError),
        (lambda run: ceflow.run(DOCUMENT, "a\0b"), SpecError),
    ],
)
def test_what_is_of_another_kind_is_refused_in_a_sentence(run, ask, error):
    with pytest.raises(error, match=r"reads|text|Document|null character|must be a string"):
        ask(run)


def test_a_sweep_of_which_a_run_has_just_begun_is_opened(tmp_path):
    swept = DOCUMENT.replaced({"sweep": Sweep(seed=[0, 1])})  # pyright: ignore
    run = ceflow.run(swept, tmp_path / "out")
    below = run.path / "seed=1"
    state = json.loads((below / "run.json").read_text()) | {"state": "running", "stages": {}}
    for content in (None, "", "[]"):
        (below / "run.json").write_text(json.dumps(state))
        (below / "results.json").unlink(missing_ok=True)
        if content is not None:
            (below / "results.json").write_text(content)
        opened = ceflow.open(run.path)
        assert list(opened.results["seed=0"]) == ["alpha", "k"]
        assert list(opened.results["seed=1"]) == []


def test_a_history_that_is_gone_is_said(tmp_path):
    flow = '{f = {type = "flow", time = 1.0, points = 2}}'
    text = f'{{source = "gaussian", inputs = 3, train = 4}}\nstages = {flow}\n'
    document = ceflow.loads(f'data = {text}model = {{type = "mlp", widths = [4]}}\n')
    run = ceflow.run(document, tmp_path / "run")
    opened = ceflow.open(run.path)
    (run.path / "metrics/f.jsonl").unlink()
    with pytest.raises(ValueError, match=r"metrics/f.jsonl is missing: its stage is to be run"):
        opened.frame("f")


@pytest.mark.parametrize(
    ("key", "value"),
    [("data", {"inputs": -3}), ("stages", {"k": {"state": "done", "seconds": 10**400}})],
)
def test_odd_numbers_in_run_json_are_damage(run, tmp_path, key, value):
    shutil.copytree(run.path, tmp_path / "run")
    path = tmp_path / "run/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(SpecError, match=r"run.json is damaged"):
        ceflow.open(tmp_path / "run")


def test_figures_of_the_report_are_matplotlibs(tmp_path):
    stages = {"alpha": Variance(ratios=[0.5, 1.0]), "best": Search(variance="alpha")}
    document = Document(model=Mlp(widths=[20, 20], inputs=2, outputs=1), stages=stages)
    run = ceflow.run(document, tmp_path / "one")
    assert run.figure("alpha").axes[0].get_xlabel() == "fan-in sum S = Σ 1/fan-in"
    assert run.figure("best.dual").axes[0].get_ylabel() == "efficiency ρ"
    with pytest.raises(
        KeyError, match=r"no figure 'best'; there are alpha.law, best.primal, best.d"
    ):
        run.figure("best")
    paths: dict[str, Any] = {"model.widths": [[20, 20], [30, 30]]}
    collect = {"alphas": Collect(x="model.widths", y="stages.alpha.alpha")}
    swept = document.replaced({"sweep": Sweep(**paths), "collect": collect})
    run = ceflow.run(swept, tmp_path / "many")
    assert len(run.figure("collect.alphas").axes[0].lines) == 1
    assert run.figure("widths=30-30/alpha").axes[0].get_title() == "the law of the NTK's variance"


def test_a_run_is_told_in_a_few_lines(run, swept, tmp_path):
    alpha, trace = run.results["alpha"].alpha, run.results["k"].trace
    assert repr(run) == (
        f"run {run.path}: done\n"
        f"  alpha  variance  alpha = {alpha:.4g}\n"
        f"  k      kernel    trace = {trace:.4g}\n"
        'see run.results["alpha"], run.frame("alpha")'
    )
    of_30 = swept.results["widths=30-30"]
    assert repr(swept).splitlines()[2:] == [
        f"  widths=30-30  alpha = {of_30['alpha'].alpha:.4g}, trace = {of_30['k'].trace:.4g}",
        'see run.results["widths=20-20"]["alpha"], run.frame()',
    ]
    assert repr(run.results) == f"<results of alpha (alpha = {alpha:.4g}), k (trace = {trace:.4g})>"
    assert repr(run.results["alpha"]).count("Point(") == 1
    assert repr(run.results["alpha"]).endswith("), ... 4 more])")
    assert "None" not in repr(run.results["k"])
    gone = shutil.copytree(run.path, tmp_path / "run")
    opened = ceflow.open(gone)
    shutil.rmtree(gone)
    assert repr(opened).startswith(f"run {gone}: its files are damaged or gone\n  alpha")


def test_a_run_that_failed_is_told_as_that(monkeypatch, tmp_path):
    def fails(job: object) -> None:
        raise ValueError("no kernel today")

    stub(monkeypatch, Kernel, run=fails)
    with pytest.raises(RunError) as caught:
        ceflow.run(DOCUMENT, tmp_path / "run")
    lines = repr(caught.value.run).splitlines()
    assert lines[0].endswith("run: failed")
    assert lines[2] == "  k      kernel    failed"


def test_a_sweep_is_a_table_of_its_runs(swept, run):
    again = ceflow.open(swept.path)
    for each in (swept, again):
        table = each.frame()
        assert list(table["run"]) == ["widths=20-20", "widths=30-30"]
        assert list(table["model.widths"]) == ["20", "30"]
        found = [results["alpha"].alpha for results in swept.results.values()]
        assert list(table["alpha.alpha"]) == found
    with pytest.raises(KeyError, match="name a stage of this run; there are alpha, k"):
        run.frame()


def test_swept_numbers_stay_numbers(tmp_path):
    seeds = [0, 2**60 + 1]
    document = DOCUMENT.replaced({"sweep": Sweep(seed=seeds)})  # pyright: ignore
    table = ceflow.run(document, tmp_path / "out").frame()
    assert table["seed"].tolist() == seeds
