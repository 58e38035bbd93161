"""The commands: what they print and where, what they leave, and how they end."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version

import numpy as np
import pytest
from click.testing import CliRunner
from stubs import stub

from ceflow.cli import main
from ceflow.report.text import seconds, size
from ceflow.runs.rates import MachineRates, rates_path
from ceflow.spec import Variance, load
from ceflow.store import RunDirectory, WriteError

SPEC = """\
name = "small"

[data]
source = "gaussian"
inputs = 3
outputs = 2
train = 4

[model]
type = "mlp"
widths = [20, 20]

[stages.alpha]
type = "variance"

[stages.best]
type = "search"
variance = "alpha"
"""
MODEL = """
[model]
type = "mlp"
widths = [3]
inputs = 2
outputs = 1
"""
KERNELS = """
[stages.limit]
type = "kernel"

[stages.drawn]
type = "kernel"
method = "empirical"
draws = 2
model = "best.primal"
reference = "limit"
"""
WRONG = SPEC.replace("[20, 20]", "[20, 0]").replace("train", "trian")


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A folder of its own for each test, and an environment that is put back after it."""
    import_module("jax")  # reads its environment before `run` adds to it
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rates_path().parent.mkdir(parents=True)  # measured once, in tests/runs/test_rates.py
    rates_path().write_text(json.dumps(asdict(MachineRates())))
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")  # noted, so that what `run` sets is unset again
        monkeypatch.delenv(name)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "CEFLOW_TRACEBACK", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "all.toml").write_text(SPEC + KERNELS, encoding="utf-8")
    (tmp_path / "wrong.toml").write_text(WRONG, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A finished run of each document, made once."""
    folder = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, text in (("spec", SPEC), ("all", SPEC + KERNELS)):
            (folder / f"{name}.toml").write_text(text, encoding="utf-8")
            result = done("run", f"{name}.toml", "--out", f"runs-of-{name}/out")
            (folder / f"{name}.stdout").write_text(result.stdout, encoding="utf-8")
    return folder


@pytest.fixture
def finished(alone, archive):
    """`out` with the finished run of a document."""

    def copy(name):
        shutil.copytree(archive / f"runs-of-{name}/out", alone / "out")
        return alone / "out"

    return copy


def invoke(*arguments):
    result = CliRunner().invoke(main, arguments)
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert "Traceback" not in result.output
    return result


def done(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def content(folder):
    """Every file below a folder, with its bytes; the user's cache, which may fill, is left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: path.read_bytes() for path in files if "cache" not in path.parts}


def unfinish(run, *forgotten, state="interrupted"):
    """Make a finished run look like one that stopped before the stages `forgotten`."""
    results, run_state = read_json(run / "results.json"), read_json(run / "run.json")
    for name in forgotten:
        del results["stages"][name], run_state["stages"][name]
    (run / "results.json").write_text(json.dumps(results), encoding="utf-8")
    (run / "run.json").write_text(json.dumps(run_state | {"state": state}), encoding="utf-8")


# run
def test_run_does_every_stage_and_keeps_what_it_found(finished):
    out = finished("all")
    assert set(read_json(out / "results.json")["stages"]) == {"alpha", "best", "limit", "drawn"}
    state = read_json(out / "run.json")
    assert state["state"] == "done"
    assert state["seed"] == 0
    assert {stage["state"] for stage in state["stages"].values()} == {"done"}
    assert all(stage["seconds"] >= 0 for stage in state["stages"].values())
    assert {"ceflow", "jax", "python"} <= set(state["versions"])
    assert (out / "spec.toml").read_text(encoding="utf-8") == SPEC + KERNELS
    assert (out / "arrays/drawn.zarr").is_dir()
    assert (out / "figures/alpha-law.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize("name", ["resolved.toml", "optimal.toml", "optimal-dual.toml"])
def test_the_documents_a_run_leaves_are_accepted(finished, name):
    finished("spec")
    done("check", f"out/{name}")


def test_the_resolved_document_says_all_the_same(finished):
    finished("spec")
    given, resolved = load("spec.toml"), load("out/resolved.toml")
    assert resolved.stages == given.stages
    assert (resolved.model.inputs, resolved.model.outputs) == (3, 2)  # pyright: ignore


def test_run_reports_on_stdout_and_tells_its_progress_on_stderr():
    result = done("run", "spec.toml", "--out", "out")
    assert "alpha = " in result.stdout
    assert "files in out/" in result.stdout
    lines = result.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["[1/2] alpha", "[2/2] best"]


def test_run_with_json_prints_the_results_and_nothing_else(alone):
    result = done("run", "spec.toml", "--out", "out", "--json")
    assert json.loads(result.stdout) == read_json(alone / "out/results.json")
    assert "[1/2] alpha" in result.stderr


def test_run_in_a_pipe_prints_plain_text(alone):
    command = [sys.executable, "-m", "ceflow", "run", "spec.toml", "--out", "out"]
    environment = os.environ | {"TERM": "xterm-256color"}
    result = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert b"alpha = " in result.stdout
    assert b"[1/2] alpha" in result.stderr
    assert b"\x1b" not in result.stdout + result.stderr


def test_run_makes_a_numbered_directory_by_default(alone):
    (alone / "one.toml").write_text('name = "small"\n' + MODEL, encoding="utf-8")
    for _ in range(2):
        done("run", "one.toml")
    assert sorted(path.name for path in (alone / "runs").iterdir()) == ["small", "small-2"]


def test_run_goes_on_with_an_unfinished_run_by_default(alone, finished):
    shutil.move(finished("spec"), alone / "runs/small")
    unfinish(alone / "runs/small", "best")
    done("run", "spec.toml")
    assert [path.name for path in (alone / "runs").iterdir()] == ["small"]
    assert set(read_json(alone / "runs/small/results.json")["stages"]) == {"alpha", "best"}


def test_a_document_in_json_runs(alone):
    tree = {
        "model": {"type": "mlp", "widths": [8], "inputs": 2, "outputs": 1},
        "stages": {"s": {"type": "search", "alpha": 3.0}},
    }
    (alone / "spec.json").write_text(json.dumps(tree), encoding="utf-8")
    done("run", "spec.json", "--out", "out")
    assert load("out/spec.toml") == load("spec.json")


def test_two_runs_of_a_document_find_the_same(alone, finished):
    done("run", "all.toml", "--out", "again")
    again = (alone / "again/results.json").read_bytes()
    assert (finished("all") / "results.json").read_bytes() == again


# resuming
@pytest.mark.parametrize(
    ("name", "forgotten", "state"),
    [
        ("all", ["drawn"], "interrupted"),
        ("all", ["best", "limit", "drawn"], "failed"),
        ("spec", ["best"], "running"),
        ("spec", ["alpha", "best"], "interrupted"),
    ],
)
def test_a_resumed_run_finds_what_an_uninterrupted_one_does(finished, name, forgotten, state):
    out = finished(name)
    before = read_json(out / "results.json")
    unfinish(out, *forgotten, state=state)
    result = done("run", f"{name}.toml", "--out", "out")
    assert read_json(out / "results.json") == before
    assert read_json(out / "run.json")["state"] == "done"
    kept = [line for line in result.stderr.splitlines() if "kept from before" in line]
    assert len(kept) == len(before["stages"]) - len(forgotten)


def test_results_that_were_edited_are_found_again(alone, finished):
    finished("spec")
    results = read_json(alone / "out/results.json")
    found = results["stages"]["alpha"]["alpha"]
    results["stages"]["alpha"]["alpha"] = 9.0
    (alone / "out/results.json").write_text(json.dumps(results), encoding="utf-8")
    shown = done("show", "out").stdout
    assert "the run is damaged" in shown
    assert "stage 'alpha': its results were changed" in shown
    result = done("run", "spec.toml", "--out", "out")
    assert "alpha: its results were changed: it is run again" in result.stderr
    assert read_json(alone / "out/results.json")["stages"]["alpha"]["alpha"] == found
    assert result.stderr.count("kept from before") == 1


@pytest.mark.parametrize("name", ["run.json", "results.json", "resolved.toml"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"stages": 3}', b"\xff\xfe"])
def test_show_of_a_damaged_run_is_a_sentence(alone, finished, name, content):
    finished("spec")
    (alone / "out" / name).write_bytes(content)
    result = invoke("show", "out")
    assert result.exit_code == 2
    assert re.match(
        rf"CE501: out/{name} .*\n      = run its document again with --out out", result.stderr
    )


def test_a_failed_run_says_its_trouble_once_and_show_says_it_first(alone, monkeypatch):
    def broken(job):
        raise ValueError("no luck")

    stub(monkeypatch, Variance, run=broken)
    (alone / "swept.toml").write_text(SPEC + "[sweep]\nseed = [0, 1]\n", encoding="utf-8")
    result = invoke("run", "swept.toml", "--out", "out")
    assert result.exit_code == 1
    failed = [f"run 'seed={seed}', stage 'alpha': no luck" for seed in (0, 1)]
    assert result.stderr.split("the run failed:")[1].split("\n")[1:3] == [f"  {f}" for f in failed]
    assert result.output.count("no luck") == len(failed)
    shown = done("show", "out").stdout.splitlines()
    assert shown[0].startswith("the run failed, 0 of 2 runs are done; ")
    assert shown[1:3] == [f"  {each}" for each in failed]
    fast = invoke("run", "swept.toml", "--out", "fast", "--fail-fast")
    assert fast.exit_code == 1
    assert not (alone / "fast/seed=1").exists()


def test_a_finished_run_is_left_as_it_is(alone, finished):
    finished("spec")
    before = content(alone / "out")
    result = done("run", "spec.toml", "--out", "out")
    assert content(alone / "out") == before
    assert result.stderr.count("kept from before") == 2


def test_a_whole_run_is_shown_where_nothing_can_be_written(alone, finished, monkeypatch):
    finished("spec")
    shutil.rmtree(alone / "out/figures")

    def read_only(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("ceflow.store.directory.write_text", read_only)
    result = done("run", "spec.toml", "--out", "out")
    assert "alpha = " in result.stdout
    assert re.search("figures are missing: .* could not be written: read-only", result.stderr)


def test_a_run_that_fails_ends_with_one_and_can_go_on(alone, monkeypatch):
    def broken(job):
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        stub(patch, Variance, run=broken)
        result = invoke("run", "spec.toml", "--out", "out")
    assert result.exit_code == 1
    assert "the run failed: stage 'alpha': RuntimeError: out of luck" in result.stderr
    assert result.output.count("out of luck") == 1
    assert "CEFLOW_TRACEBACK=1 shows where" in result.stderr
    state = read_json(alone / "out/run.json")
    assert (state["state"], state["stages"]["alpha"]["state"]) == ("failed", "failed")
    assert read_json(alone / "out/results.json") == {"stages": {}}
    done("run", "spec.toml", "--out", "out")
    assert set(read_json(alone / "out/results.json")["stages"]) == {"alpha", "best"}


def test_an_interrupted_run_ends_with_one_and_says_how_to_go_on(alone, monkeypatch):
    def interrupted(job):
        raise KeyboardInterrupt

    stub(monkeypatch, Variance, run=interrupted)
    result = invoke("run", "spec.toml", "--out", "out")
    assert result.exit_code == 1
    said = (
        "interrupted; what is done is kept in out\n"
        "stage 'alpha': it was under way, and is run again\n"
        "go on: ceflow run spec.toml --out out\n"
    )
    assert result.stderr.endswith(said)
    assert read_json(alone / "out/run.json")["state"] == "interrupted"


LOADING = """
import sys

class Interrupted:
    def find_spec(name, *_):
        if name == {name!r}:
            exec("raise KeyboardInterrupt")  # a text, after which Python ends by the signal

sys.meta_path.insert(0, Interrupted)
from ceflow.__main__ import main
main()
"""
"""A program that is interrupted when it loads a module."""


@pytest.mark.parametrize("name", ["click", "ceflow.compiler"])
def test_an_interrupt_while_modules_are_loaded_is_one_line(name, alone):
    line = [sys.executable, "-c", LOADING.format(name=name), "run", "spec.toml", "--out", "out"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("interrupted")


def test_a_full_disk_is_shown_as_what_ended_a_run(alone, monkeypatch):
    def full(self, *array, **facts):
        raise WriteError(28, "ntk.zarr could not be written: no space left on device")

    monkeypatch.setattr(RunDirectory, "write_array", full)
    assert "no space left" in invoke("run", "all.toml", "--out", "out").stderr
    said = invoke("show", "out").stdout
    assert "the run is interrupted; run the same command again to finish it" in said
    why = "ntk.zarr could not be written: no space left on device"
    assert f"stage 'limit' was interrupted: {why}" in said


# where a run may not go
def test_the_run_of_another_document_is_left_alone(alone, finished):
    finished("spec")
    before = content(alone / "out")
    (alone / "other.toml").write_text("seed = 1\n" + SPEC, encoding="utf-8")
    result = invoke("run", "other.toml", "--out", "out")
    assert result.exit_code == 2
    assert "CE501: out holds the run of another document" in result.stderr
    assert content(alone / "out") == before


def test_files_that_are_no_runs_are_left_alone(alone):
    (alone / "out").mkdir()
    (alone / "out/thesis.tex").write_text("precious", encoding="utf-8")
    result = invoke("run", "spec.toml", "--out", "out")
    assert result.exit_code == 2
    assert "CE501" in result.stderr
    assert list(content(alone / "out").values()) == [b"precious"]


def test_a_file_is_no_place_for_a_run(alone):
    (alone / "out").write_text("precious", encoding="utf-8")
    assert invoke("run", "spec.toml", "--out", "out").exit_code == 2
    assert (alone / "out").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("option", [[], ["--out", "out"], ["--json"]])
def test_a_wrong_document_leaves_nothing(alone, option):
    before = content(alone)
    result = invoke("run", "wrong.toml", *option)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert content(alone) == before
    assert not (alone / "out").exists()
    assert not (alone / "runs").exists()


# plan
def test_plan_shows_layers_and_costs():
    result = done("plan", "all.toml")
    assert "500 parameters" in result.stdout
    assert "dense 3 → 20, relu" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_plan_with_json_counts():
    plan = json.loads(done("plan", "all.toml", "--json").stdout)
    parameters = 3 * 20 + 20 * 20 + 20 * 2
    assert plan["model"] == {"parameters": parameters, "flops": 2 * parameters}
    assert list(plan["stages"]) == ["alpha", "best", "limit", "drawn"]
    assert all(stage["memory"] >= 0 for stage in plan["stages"].values())
    assert plan["stages"]["limit"]["disk"] == 4 * 4 * 8  # a number of float64 each pair of inputs


def test_plan_with_json_spells_infinity_as_the_language_does(alone):
    (alone / "spec.toml").write_text(
        '[model]\ntype = "mlp"\nwidths = [inf]\ninputs = 2\noutputs = 1\n', encoding="utf-8"
    )
    plan = json.loads(done("plan", "spec.toml", "--json").stdout)
    assert plan["model"] == {"parameters": "inf", "flops": "inf"}


def test_plan_with_json_forecasts_the_time_of_each_stage():
    plan = json.loads(done("plan", "all.toml", "--json").stdout)
    assert all(stage["seconds"] >= 0 for stage in plan["stages"].values())


@pytest.mark.parametrize(
    ("engine", "activation", "open_ended"),
    [
        ("parameters", "relu", True),
        ("parameters", "tanh", False),
        ("kernel", "relu", False),
        ("closed-form", "relu", False),
    ],
)
def test_plan_says_where_seconds_may_be_far_more(engine, activation, open_ended, alone):
    text = (
        '[data]\nsource = "gaussian"\ninputs = 3\ntrain = 4\n'
        f'[model]\ntype = "mlp"\nwidths = [5]\nactivation = "{activation}"\n'
        f'[stages.f]\ntype = "flow"\ntime = 1.0\nengine = "{engine}"\n'
    )
    (alone / "spec.toml").write_text(text, encoding="utf-8")
    need = json.loads(done("plan", "spec.toml", "--json").stdout)["stages"]["f"]
    assert need["adaptive"] == open_ended
    assert (need["longest"] > need["seconds"]) == open_ended
    assert ("at most" in done("plan", "spec.toml").stdout) == open_ended


def test_plan_of_a_sweep_says_what_all_runs_need_together(alone):
    one = json.loads(done("plan", "all.toml", "--json").stdout)
    assert one["total"]["runs"] == 1
    assert one["total"]["seconds"] == sum(stage["seconds"] for stage in one["stages"].values())
    swept = SPEC + KERNELS + "[sweep]\nseed = [1, 2, 3]\n"
    (alone / "swept.toml").write_text(swept, encoding="utf-8")
    plan = json.loads(done("plan", "swept.toml", "--json").stdout)
    assert plan["stages"] == one["stages"]
    other = {"seconds", "longest"}
    assert {key: plan["total"][key] for key in plan["total"].keys() - other} == {
        key: one["total"][key] for key in one["total"].keys() - other
    } | {"runs": 3, "disk": 3 * one["total"]["disk"]}
    for key in other:  # JAX is loaded once, and the same programs are compiled once
        least, most = one["total"][key], 3 * one["total"][key] - 2 * MachineRates.start
        assert least < plan["total"][key] < most
    shown = done("plan", "swept.toml").stdout
    whole = plan["total"]
    assert f"sweep  3 runs  in all memory {size(whole['memory'])}, disk " in shown
    assert f"{seconds(whole['seconds'])}\n" in shown
    assert "stages  with the most that one run needs" in shown


def test_plan_leaves_nothing(alone):
    before = content(alone)
    done("plan", "all.toml")
    assert content(alone) == before


# check
def test_check_of_a_sound_document_says_so_on_stderr():
    result = done("check", "spec.toml", "all.toml")
    assert result.stdout == ""
    assert result.stderr == "spec.toml: ok\nall.toml: ok\n"


def test_check_says_everything_that_is_wrong_on_stderr():
    result = invoke("check", "wrong.toml", "spec.toml", "nowhere.toml")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "wrong.toml:7:1: CE101" in result.stderr
    assert "wrong.toml:11:15: CE104" in result.stderr
    assert "spec.toml: ok" in result.stderr
    assert "CE001: nowhere.toml" in result.stderr


def test_check_with_json_lists_the_faults():
    result = invoke("check", "wrong.toml", "--json")
    assert result.exit_code == 2
    first, second = json.loads(result.stdout)
    assert first == {
        "code": "CE101",
        "message": "unknown key 'trian'",
        "help": "did you mean train?",
        "path": ["data", "trian"],
        "file": "wrong.toml",
        "line": 7,
        "column": 1,
        "length": 5,
    }
    assert second["path"] == ["model", "widths", 1]
    assert result.stderr == ""


def test_check_with_json_of_a_sound_document_is_an_empty_list():
    result = done("check", "spec.toml", "--json")
    assert json.loads(result.stdout) == []


# show
def test_show_prints_what_run_printed(archive, monkeypatch):
    monkeypatch.chdir(archive)
    result = done("show", "runs-of-all/out")
    shown = (archive / "all.stdout").read_text(encoding="utf-8")
    # What it would need is said before a run, what it took after.
    assert result.stdout == re.sub(r"  memory .*", "", shown)
    assert result.stderr == ""


def test_show_of_an_unfinished_run_says_so(alone, finished):
    finished("spec")
    unfinish(alone / "out", "best")
    result = done("show", "out")
    assert "the run is interrupted" in result.stdout
    assert "primal" not in result.stdout.split("law of the NTK")[-1]


@pytest.mark.parametrize("name", [".", "nowhere", "spec.toml"])
def test_show_of_what_is_no_run_is_an_error(name):
    result = invoke("show", name)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{name} is not a run directory" in result.stderr


def test_show_of_a_folder_lists_the_runs_in_it(alone):
    (alone / "runs").mkdir()
    for name, state in (("a", "done"), ("b", "failed"), ("c", "running"), ("d", "")):
        (alone / "runs" / name).mkdir()
        told = {"state": state, "stages": {}, "data": None, "started": "2026-01-02T03:04:05"}
        (alone / "runs" / name / "run.json").write_text(json.dumps(told if state else {}))
    (alone / "runs/e").mkdir()
    lines = [line.split() for line in done("show", "runs").stdout.splitlines()]
    assert lines == [
        ["run", "state", "started"],
        ["runs/a", "done", "2026-01-02", "03:04"],
        ["runs/b", "failed", "2026-01-02", "03:04"],
        ["runs/c", "killed", "2026-01-02", "03:04"],
        ["runs/d", "damaged"],
    ]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_run_directory_for_a_spec_is_told_the_specs_in_it(finished, command):
    finished("spec")
    result = invoke(command, "out")
    assert result.exit_code == 2
    assert result.stderr == (
        "CE001: out is a run directory, not a spec\n"
        "      = it holds out/spec.toml and out/optimal.toml and out/optimal-dual.toml\n"
    )


def test_show_needs_the_run_directory_alone(alone):
    # The data a run was made from may be gone by the time it is looked at.
    np.savez(alone / "mine.npz", x=np.eye(3), y=np.ones((3, 1)))
    text = SPEC.split("[data]")[0] + '[data]\nsource = "npz"\npath = "mine.npz"\n\n[model]'
    (alone / "spec.toml").write_text(text + SPEC.split("[model]")[1], encoding="utf-8")
    done("run", "spec.toml", "--out", "out")
    (alone / "mine.npz").unlink()
    done("show", "out")


# the group
def test_help_names_the_commands():
    result = done("--help")
    for name in ("run", "plan", "check", "show"):
        assert f"  {name} " in result.stdout


@pytest.mark.parametrize("name", ["run", "plan", "check", "show"])
def test_every_command_has_help(name):
    assert done(name, "--help").stdout.startswith(f"Usage: main {name} ")


def test_the_version_is_the_packages():
    assert version("ceflow") in done("--version").stdout


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["run"], ["plan"], ["check"], ["show"], ["run", "spec.toml", "--fast"]],
)
def test_a_wrong_command_line_ends_with_two(arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr


def test_what_fails_unforeseen_in_a_check_is_a_sentence_too(alone, monkeypatch):
    def fail(*_, **__):
        raise OSError("the disk is gone")

    monkeypatch.setattr("ceflow.compiler.plan_of", fail)
    result = CliRunner().invoke(main, ["check", "spec.toml"])
    assert result.exit_code == 1
    assert result.stderr.startswith("the check failed: OSError: the disk is gone")


@pytest.mark.parametrize(
    ("columns", "widest"), [("60", 60), ("160", 160), ("", 120), ("0", 120), ("wide", 120)]
)
def test_every_command_obeys_columns(finished, monkeypatch, columns, widest):
    """Rules, which are as wide as all there is, show it; a plan has none but lines that fold."""
    finished("all")
    monkeypatch.setenv("COLUMNS", columns)
    for command in ("show out", "run all.toml --out out"):
        assert max(map(len, done(*command.split()).stdout.splitlines())) == widest
    assert max(map(len, done("plan", "all.toml").stdout.splitlines())) <= widest
