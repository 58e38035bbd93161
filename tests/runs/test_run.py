"""The loop: what it writes, resumes, refuses, and tells."""

import json
import platform
import weakref
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from stubs import Untyped, stub

import ceflow
from ceflow import stages
from ceflow.events import Event, Progress, StageFinished, StageStarted
from ceflow.runs import machine, prepare
from ceflow.runs.prepared import PLAIN_PROCESS_BYTES
from ceflow.spec import Document, Gaussian, Kernel, Mlp, Search, SpecError, Variance

ANALYTIC = Kernel()
EMPIRICAL = Kernel(method="empirical", draws=2)


def document(**keys: Any) -> Document:
    defaults: dict[str, Any] = {
        "name": "small",
        "data": Gaussian(train=4, inputs=3, outputs=1),
        "model": Mlp(widths=(8,)),
        "stages": {
            "alpha": Variance(ratios=(0.5, 1.0), method="sample", draws=200),
            "best": Search(variance="alpha"),
            "infinite": ANALYTIC,
            "drawn": EMPIRICAL,
            "smooth": Kernel(
                method="empirical", model="best.primal", reference="infinite", draws=2
            ),
            "compact": Kernel(method="empirical", model="best.dual", reference="infinite"),
        },
    }
    return Document(**(defaults | keys))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    """One run from end to end."""
    return ceflow.run(document(), tmp_path_factory.mktemp("runs") / "whole")


def state_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def results_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())["stages"]


def without_array(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "array"}


# what is written


def test_run_directory_has_the_files_of_the_contract(whole):
    names = {str(path.relative_to(whole.path)) for path in whole.path.glob("*")}
    files = {"spec.toml", "resolved.toml", "run.json", "results.json"}
    assert files | {"optimal.toml", "optimal-dual.toml", "arrays"} <= names
    kernels = {path.name for path in (whole.path / "arrays").iterdir()}
    assert kernels == {"infinite.zarr", "drawn.zarr", "smooth.zarr", "compact.zarr"}


def test_no_temporary_files_stay(whole):
    assert [path for path in whole.path.rglob("*") if path.name.endswith(".tmp")] == []


def test_results_file_holds_what_the_run_returned(whole):
    assert dict(whole.results) == results_of(whole.path)


def test_run_json_has_state_versions_seed_and_seconds(whole):
    state = state_of(whole.path)
    assert (state["state"], state["seed"], state["name"]) == ("done", 0, "small")
    assert state["versions"]["jax"] == jax.__version__
    assert state["versions"]["python"] == platform.python_version()
    assert list(state["stages"]) == list(document().stages)
    for stage in state["stages"].values():
        assert stage["state"] == "done"
        assert stage["seconds"] >= 0


def test_spec_is_kept_as_given(tmp_path):
    text = '# mine\nceflow = 1\n[model]\ntype="mlp"\nwidths=[3]\ninputs=2\noutputs=1\n'
    run = ceflow.run(ceflow.loads(text), tmp_path / "run")
    assert (run.path / "spec.toml").read_text() == text


def test_spec_from_json_or_python_is_kept_as_toml(tmp_path):
    text = '{"model": {"type": "mlp", "widths": [3], "inputs": 2, "outputs": 1}}'
    given = ceflow.loads(text, "json")
    run = ceflow.run(given, tmp_path / "run")
    assert ceflow.load(run.path / "spec.toml") == given


def test_resolved_document_compiles_to_an_equal_plan(whole):
    resolved = ceflow.load(whole.path / "resolved.toml")
    plan, again = ceflow.compile(document()), ceflow.compile(resolved)
    assert (again.model, again.root, again.data) == (plan.model, plan.root, plan.data)
    assert again.document == plan.resolved()


def test_running_the_resolved_document_gives_equal_results(whole, tmp_path):
    run = ceflow.run(ceflow.load(whole.path / "resolved.toml"), tmp_path / "again")
    assert results_of(run.path) == results_of(whole.path)


@pytest.mark.parametrize(
    ("file", "stage", "part"),
    [("optimal.toml", "smooth", "primal"), ("optimal-dual.toml", "compact", "dual")],
)
def test_optimal_documents_are_the_networks_found_and_repeat_their_numbers(
    whole, tmp_path, file, stage, part
):
    optimal = ceflow.load(whole.path / file)
    plan = ceflow.compile(optimal)
    assert plan.root.parameters == whole.results["best"][part]["parameters"]
    assert plan.root.flops == whole.results["best"][part]["flops"]
    run = ceflow.run(optimal, tmp_path / "optimal")
    assert list(run.results) == ["infinite", stage]
    # The same network, seed and stage name: the same numbers.
    assert run.results[stage] == whole.results[stage]
    np.testing.assert_array_equal(run.array(stage), whole.array(stage))


@pytest.mark.parametrize(
    "between",
    [
        {"inner": ANALYTIC, "base": Kernel(method="empirical", reference="inner")},
        {"base": Kernel(method="empirical", model="best.dual")},
    ],
    ids=["reference of a reference", "reference on the other answer"],
)
def test_optimal_document_loads_whatever_its_stages_refer_to(tmp_path, between, monkeypatch):
    stub(monkeypatch, Kernel, run=lambda job: Untyped())
    last = Kernel(method="empirical", model="best.primal", reference="base")
    run = ceflow.run(
        document(stages={"best": Search(alpha=3.0), **between, "last": last}), tmp_path / "run"
    )
    assert "last" in ceflow.load(run.path / "optimal.toml").stages


def widths_in(path: Path) -> list[float]:
    return list(ceflow.load(path).model.widths)


def test_second_search_writes_under_its_own_name(tmp_path):
    searches = {"best": Search(alpha=0.5), "other": Search(alpha=50.0)}
    run = ceflow.run(document(model=Mlp(widths=(40, 40)), stages=searches), tmp_path / "run")
    for file, name, part in [
        ("optimal.toml", "best", "primal"),
        ("optimal-dual.toml", "best", "dual"),
        ("optimal-other-primal.toml", "other", "primal"),
        ("optimal-other-dual.toml", "other", "dual"),
    ]:
        assert widths_in(run.path / file) == run.results[name][part]["widths"]
    assert run.results["best"]["dual"]["widths"] != run.results["other"]["dual"]["widths"]


def test_search_named_dual_does_not_take_the_place_of_the_firsts_dual(tmp_path):
    searches = {"best": Search(alpha=0.5), "dual": Search(alpha=50.0)}
    run = ceflow.run(document(model=Mlp(widths=(40, 40)), stages=searches), tmp_path / "run")
    assert widths_in(run.path / "optimal-dual.toml") == run.results["best"]["dual"]["widths"]


# random numbers


def test_equal_seeds_give_equal_bits(whole, tmp_path):
    again = ceflow.run(document(), tmp_path / "again")
    assert (again.path / "results.json").read_bytes() == (whole.path / "results.json").read_bytes()
    for name in ("infinite", "drawn", "smooth", "compact"):
        np.testing.assert_array_equal(again.array(name), whole.array(name))


def test_different_seeds_give_different_numbers(whole, tmp_path):
    names = ("alpha", "infinite", "drawn")  # draws, data, weights
    some = {name: document().stages[name] for name in names}
    other = ceflow.run(document(seed=1, stages=some), tmp_path / "other")
    for name in names:
        assert without_array(other.results[name]) != without_array(whole.results[name])


def test_seed_beyond_32_bits_counts(tmp_path):
    keys: dict[str, Any] = {"stages": {"drawn": EMPIRICAL}}
    one, two = (
        ceflow.run(document(seed=seed, **keys), tmp_path / str(seed)) for seed in (5, 5 + 2**40)
    )
    assert one.results["drawn"]["trace"] != two.results["drawn"]["trace"]


def test_adding_a_stage_does_not_change_the_others(whole, tmp_path):
    given = document().stages
    more = {
        "first": Kernel(method="empirical"),
        "extra": Variance(method="sample", draws=100),
        **given,
        "last": Kernel(method="empirical"),
    }
    run = ceflow.run(document(stages=more), tmp_path / "more")
    for name in given:
        assert run.results[name] == whole.results[name], name
    few = ceflow.run(document(stages={"drawn": given["drawn"]}), tmp_path / "few")
    assert few.results["drawn"] == whole.results["drawn"]


def test_stages_of_different_names_have_numbers_of_their_own(tmp_path):
    run = ceflow.run(document(stages={"a": EMPIRICAL, "b": EMPIRICAL}), tmp_path / "run")
    assert run.results["a"]["trace"] != run.results["b"]["trace"]


# failing and going on


class Broken(Exception):
    """What a stage fails with here."""


@pytest.fixture
def break_kernels(monkeypatch):
    """Make every kernel stage named so raise; returns how to mend it."""

    def breaking(name: str, error: BaseException = Broken("no")) -> None:  # noqa: B008
        kind = stages.KINDS[Kernel]

        def run(job: stages.Job) -> Untyped:
            if job.name == name:
                raise error
            return kind.run(job)

        stub(monkeypatch, Kernel, run=run)

    return breaking


def test_failure_is_recorded_and_finished_stages_are_kept(tmp_path, break_kernels):
    break_kernels("smooth")
    with pytest.raises(ceflow.RunError, match="stage 'smooth': Broken: no") as raised:
        ceflow.run(document(), tmp_path)
    state = state_of(tmp_path)
    assert state["state"] == "failed"
    assert state["stages"]["smooth"] == {"state": "failed", "error": "Broken: no"}
    assert state["stages"]["drawn"]["state"] == state["stages"]["compact"]["state"] == "done"
    assert list(results_of(tmp_path)) == ["alpha", "best", "infinite", "drawn", "compact"]
    assert dict(raised.value.run.results) == results_of(tmp_path)
    assert [failure.stage for failure in raised.value.failures] == ["smooth"]
    assert isinstance(raised.value.__cause__, Broken)


def test_stages_that_need_a_failed_one_are_skipped_and_all_others_done(tmp_path, monkeypatch):
    stub(monkeypatch, Kernel, run=lambda job: Untyped())

    def broken(job: stages.Job) -> Untyped:
        raise Broken("no")

    stub(monkeypatch, Variance, run=broken)
    with pytest.raises(ceflow.RunError):
        ceflow.run(document(), tmp_path)
    found = state_of(tmp_path)["stages"]
    assert {name: stage["state"] for name, stage in found.items()} == {
        "alpha": "failed",
        "best": "skipped",
        "infinite": "done",
        "drawn": "done",
        "smooth": "skipped",  # through best
        "compact": "skipped",
    }
    assert found["smooth"]["error"] == "it refers to 'best'"


def test_fail_fast_leaves_undone_what_comes_after(tmp_path, break_kernels):
    break_kernels("smooth")
    with pytest.raises(ceflow.RunError):
        ceflow.run(document(), tmp_path, fail_fast=True)
    assert "compact" not in state_of(tmp_path)["stages"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("too small"), "too small"),
        (AssertionError(), "AssertionError: no message"),
        (MemoryError(), "there was not enough memory"),
        (FileNotFoundError(2, "No such file or directory", "x.npz"), "x.npz: No such file"),
    ],
)
def test_what_a_stage_failed_with_is_a_sentence(tmp_path, break_kernels, error, said):
    break_kernels("k", error)
    with pytest.raises(ceflow.RunError):
        ceflow.run(document(stages={"k": ANALYTIC}), tmp_path)
    assert state_of(tmp_path)["stages"]["k"]["error"].startswith(said)


def test_a_failure_keeps_no_arrays_in_memory(tmp_path, monkeypatch):
    held: list[Any] = []

    def broken(job: stages.Job) -> Untyped:
        big = np.zeros(10)
        held.append(weakref.ref(big))
        raise Broken("no")

    stub(monkeypatch, Kernel, run=broken)
    with pytest.raises(ceflow.RunError):
        ceflow.run(document(stages={"k": ANALYTIC}), tmp_path)
    assert held[0]() is None


def test_resuming_does_what_is_left_and_comes_out_the_same(
    whole, tmp_path, break_kernels, monkeypatch
):
    with monkeypatch.context():
        break_kernels("smooth")
        with pytest.raises(ceflow.RunError):
            ceflow.run(document(), tmp_path)
    kept = (tmp_path / "arrays" / "drawn.zarr" / "zarr.json").stat().st_mtime_ns
    monkeypatch.undo()
    events: list[Event] = []
    ceflow.run(document(), tmp_path, observe=events.append)
    assert (tmp_path / "results.json").read_bytes() == (whole.path / "results.json").read_bytes()
    assert (tmp_path / "arrays" / "drawn.zarr" / "zarr.json").stat().st_mtime_ns == kept
    assert {event.stage for event in events if isinstance(event, Progress)} == {"smooth"}
    state = state_of(tmp_path)
    assert state["state"] == "done"
    assert state["stages"]["smooth"]["state"] == "done"


def test_interrupt_is_recorded_as_such(tmp_path, break_kernels):
    break_kernels("drawn", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        ceflow.run(document(), tmp_path)
    assert state_of(tmp_path)["state"] == "interrupted"
    assert state_of(tmp_path)["stages"]["drawn"]["state"] == "interrupted"


def test_a_number_that_is_not_finite_is_null_with_a_warning(tmp_path, monkeypatch):
    kind = stages.KINDS[Kernel]

    def overflown(job):
        odd = {"extra": float("nan"), "rows": [1.0, float("inf")]}  # what no report shows
        return Untyped(**kind.run(job), **odd)

    stub(monkeypatch, Kernel, run=overflown)
    found = ceflow.run(document(stages={"k": ANALYTIC}), tmp_path).results["k"]
    assert (found["extra"], found["rows"]) == (None, [1.0, None])
    (warning,) = found["warnings"]
    assert warning.startswith("not finite, and so null: extra, rows.1;")


def test_finished_run_is_returned_as_it_is(whole):
    before = (whole.path / "run.json").read_bytes()
    events: list[Event] = []
    again = ceflow.run(document(), whole.path, observe=events.append)
    assert dict(again.results) == dict(whole.results)
    assert [event.seconds for event in events if isinstance(event, StageFinished)] == [None] * 6
    assert (whole.path / "run.json").read_bytes() == before


@pytest.mark.parametrize("kind", ["another document", "foreign files"])
def test_directory_of_something_else_is_refused_and_left_alone(tmp_path, kind):
    if kind == "another document":
        ceflow.run(document(stages={}), tmp_path)
    else:
        (tmp_path / "thesis.tex").write_text("x")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(SpecError) as raised:
        ceflow.run(document(), tmp_path)
    assert raised.value.faults[0].code == "CE501"
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_default_directories_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [ceflow.run(document(stages={"k": ANALYTIC})).path for _ in range(3)]
    assert paths == [Path("runs/small"), Path("runs/small-2"), Path("runs/small-3")]


def test_default_directory_continues_an_unfinished_run(tmp_path, monkeypatch, break_kernels):
    monkeypatch.chdir(tmp_path)
    small = document(stages={"k": ANALYTIC})
    break_kernels("k")
    with pytest.raises(ceflow.RunError):
        ceflow.run(small)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert ceflow.run(document(stages={})).path == Path("runs/small-2")  # another document
    assert ceflow.run(small).path == Path("runs/small")


# precision


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("outside", [False, True])
def test_precision_is_of_the_run_and_no_one_elses(tmp_path, precision, outside):
    kernels = {"infinite": ANALYTIC, "drawn": EMPIRICAL}
    with jax.enable_x64(outside):
        run = ceflow.run(document(precision=precision, stages=kernels), tmp_path / "run")
        assert jax.config.jax_enable_x64 is outside  # type: ignore[attr-defined]
        assert jax.numpy.ones(1).dtype == (np.float64 if outside else np.float32)
    for name in kernels:
        assert run.array(name).dtype == precision


def test_precision_outside_has_no_effect_on_the_numbers(whole, tmp_path):
    some = {name: document().stages[name] for name in ("alpha", "infinite", "drawn")}
    with jax.enable_x64(True):
        run = ceflow.run(document(stages=some), tmp_path / "run")
    for name in some:
        assert run.results[name] == whole.results[name]


def test_precisions_agree_to_single_rounding(whole, tmp_path):
    single = ceflow.run(document(precision="float32", stages={"infinite": ANALYTIC}), tmp_path)
    # A few layers of float32 arithmetic: some units of 6e-8.
    np.testing.assert_allclose(single.array("infinite"), whole.array("infinite"), rtol=1e-5)


# events


def test_observer_is_told_in_order(tmp_path):
    events: list[Event] = []
    keys: dict[str, Any] = {"stages": {"alpha": Variance(ratios=(0.5, 1.0)), "drawn": EMPIRICAL}}
    ceflow.run(document(**keys), tmp_path / "run", observe=events.append)
    kinds = [(type(event), event.stage) for event in events]
    one = [StageStarted, Progress, Progress, StageFinished]
    assert kinds == [(kind, name) for name in ("alpha", "drawn") for kind in one]
    assert events[0] == StageStarted("alpha", "variance", 1, 2)
    assert events[4] == StageStarted("drawn", "kernel", 2, 2)
    assert events[5:7] == [Progress("drawn", 1, 2), Progress("drawn", 2, 2)]


def test_document_without_stages_runs(tmp_path):
    run = ceflow.run(document(stages={}), tmp_path / "run")
    assert run.results == {}
    assert state_of(run.path)["state"] == "done"


# memory

BIG = """
[data]
source = "gaussian"
inputs = 3
train = 1000000
[model]
type = "mlp"
widths = [8]
[stages.small]
type = "variance"
[stages.huge]
type = "kernel"
"""


@pytest.mark.parametrize("method", ["analytic", "empirical"])
def test_kernel_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, method
):
    monkeypatch.setattr(machine, "memory", lambda: 16e9)
    given = ceflow.loads(BIG + f'method = "{method}"\n')
    with pytest.raises(SpecError) as raised:
        ceflow.run(given, tmp_path / "run")
    (fault,) = raised.value.faults
    assert (fault.code, fault.path) == ("CE401", ("stages", "huge"))
    assert "16.0 GB" in fault.message
    assert "data.train" in fault.help
    assert fault.place is not None
    assert fault.place.text == "[stages.huge]"
    assert list(tmp_path.iterdir()) == []


def test_memory_is_compared_with_what_the_machine_has(monkeypatch):
    plan = ceflow.compile(document())
    needed = max(each.memory for each in prepare(plan).forecasts[""].values())
    monkeypatch.setattr(machine, "memory", lambda: needed + PLAIN_PROCESS_BYTES)
    prepare(plan)
    monkeypatch.setattr(machine, "memory", lambda: needed + PLAIN_PROCESS_BYTES - 1)
    with pytest.raises(SpecError, match="CE401"):
        prepare(plan)


def test_memory_of_this_machine_is_known():
    assert machine.memory() > 1e8


@pytest.mark.parametrize("below", ["arrays/k.zarr/x", "metrics/f", "figures/x"])
def test_a_run_is_not_begun_among_the_files_of_another(whole, below):
    with pytest.raises(SpecError, match=r"CE501: .* is in the .* of the run"):
        ceflow.run(document(), whole.path / below)
