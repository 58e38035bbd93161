"""Where specs are taken from: files, standard input, folders; and what is never taken for one."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from refusals import MODEL, write

from ceflow.cli import main
from ceflow.spec import Document
from ceflow.spec.origin import TOP_KEYS

SPEC = MODEL + '[stages.s]\ntype = "search"\nalpha = 3.0\n'
FILES = '[data]\nsource = "npz"\npath = "gone.npz"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CEFLOW_DATA", raising=False)
    return tmp_path


def invoke(*arguments, input=None):
    return CliRunner().invoke(main, arguments, input=input)


# standard input
@pytest.mark.parametrize("command", ["check", "plan", "run"])
@pytest.mark.parametrize("text", [SPEC, json.dumps({"model": {"type": "mlp", "widths": [3]}})])
def test_a_spec_is_read_from_standard_input(command, text):
    result = invoke(command, "-", "--set", "model.inputs=2", "--set", "model.outputs=1", input=text)
    assert result.exit_code == 0, result.output


def test_faults_of_standard_input_have_places():
    result = invoke("check", "-", input=SPEC.replace("[3]", "[0]"))
    assert result.exit_code == 2
    assert result.stderr.startswith("<stdin>:3:11: CE104")


@pytest.mark.parametrize("content", [b"\xff", b"a = \0", b"x" * 300_000])
def test_standard_input_that_is_no_text_is_refused(content):
    result = invoke("check", "-", input=content)
    assert result.exit_code == 2
    assert result.stderr.startswith("CE001: <stdin> is ")


# folders
def test_every_spec_in_a_folder_is_checked_and_the_rest_left_alone():
    for name in ("a", "b/c", "b/run", ".hidden"):
        Path(name).mkdir(parents=True)
    write("a/one.toml", SPEC)
    write("b/c/two.json", json.dumps({"ceflow": 1, "modle": {}}))
    write("b/broken.toml", SPEC + "x = ")
    write("b/base.toml", "stages.s.type = 'search'\nstages.s.alpha = 3.0\n")
    write("b/over.toml", 'extends = "base.toml"\n' + MODEL)
    write("b/run/run.json", "{}")
    write("b/run/resolved.toml", SPEC + "x = ")
    write(".hidden/three.toml", "x = ")
    write("pyproject.toml", '[project]\nname = "mine"\nmodel = 3\n')
    write("package.json", '{"name": "mine"')
    write("big.json", " " * 300_000)
    result = invoke("check", ".")
    lines = result.stderr.splitlines()
    assert result.exit_code == 2
    assert [line for line in lines if line.endswith(": ok")] == [
        "b/over.toml: ok",
        "a/one.toml: ok",
    ][::-1]
    assert any(line.startswith("b/broken.toml:9:5: CE002") for line in lines)
    assert any(line.startswith("b/c/two.json:1:15: CE101") for line in lines)
    assert lines[-1] == (
        ".: 4 specs; left alone: 1 run directory, big.json, package.json, pyproject.toml"
    )


def test_a_document_between_two_others_is_checked_with_the_last():
    write("a.toml", "stages.s.type = 'search'\nstages.s.alpha = 3.0\n")
    write("b.toml", 'extends = "a.toml"\n')
    write("c.toml", 'extends = "b.toml"\n' + MODEL)
    result = invoke("check", ".")
    assert (result.exit_code, result.stderr) == (0, "c.toml: ok\n.: 1 spec\n")


@pytest.mark.parametrize("base", ["loop.toml", "a\\u0000b"])
def test_a_base_that_is_no_file_is_a_fault_of_its_spec_alone(base):
    Path("loop.toml").symlink_to("loop.toml")
    write("a.toml", f'extends = "{base}"\n' + MODEL)
    write("b.toml", SPEC)
    result = invoke("check", ".")
    assert result.exit_code == 2
    assert "b.toml: ok" in result.stderr
    assert "CE001" in result.stderr


def test_a_folder_without_specs_says_so():
    result = invoke("check", ".")
    assert (result.exit_code, result.stderr) == (0, ".: 0 specs\n")


def test_the_faults_of_a_folder_come_as_json():
    write("a.toml", SPEC.replace("[3]", "[0]"))
    faults = json.loads(invoke("check", ".", "--json").stdout)
    assert [(fault["code"], fault["file"]) for fault in faults] == [("CE104", "a.toml")]


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_folder_is_no_spec_to_run(command):
    result = invoke(command, ".")
    assert result.exit_code == 2
    assert result.stderr == "CE001: . cannot be read: is a directory\n"


# data that are elsewhere
@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("", None),
        ("train = 5\n", None),
        ("train = 10_000_000\n", "CE401"),  # the kernel's size is known without the data
        ('train = 5\ntargets = "raww"\n', "CE105"),
    ],
)
def test_data_files_are_left_alone_where_that_is_asked_for(more, code):
    write("spec.toml", FILES + more + MODEL + '[stages.k]\ntype = "kernel"\n')
    assert "CE301" in invoke("check", "spec.toml").stderr or code == "CE105"
    result = invoke("check", "--no-data", "spec.toml")
    assert result.exit_code == (2 if code else 0)
    assert (code or "ok") in result.stderr


def test_the_runs_of_a_sweep_are_checked_without_data():
    sweep = '[stages.k]\ntype = "kernel"\n[sweep]\n"data.train" = [5, 10_000_000]\n'
    write("spec.toml", FILES + MODEL + sweep)
    result = invoke("check", "--no-data", "spec.toml")
    assert "CE401" in result.stderr
    assert "CE301" not in result.stderr


# what a document extends
SECRET = "hunter2"
NOT_DOCUMENTS = {
    "a list of users": f"root:x:0:0:{SECRET}:/root:/bin/sh\n",
    "an environment": f"PASSWORD={SECRET}\n",
    "another tool's TOML": f'[registry]\ntoken = "{SECRET}"\n',
    "keys at its top": f'password = "{SECRET}"\n[model]\ntype = "mlp"\n',
    "a key that is a secret": f'"{SECRET}" = 1\n"{SECRET}" = 2\n',
    "a letter": f"{SECRET}",
    "no text": f"\xff\x00{SECRET}",
    "too much": SECRET * 10**5,
}


@pytest.mark.parametrize("suffix", ["toml", "json", "txt"])
@pytest.mark.parametrize("case", NOT_DOCUMENTS)
def test_nothing_is_shown_of_a_file_that_is_no_document(case, suffix):
    write(f"base.{suffix}", NOT_DOCUMENTS[case].encode("latin1"))
    write("spec.toml", f'extends = "base.{suffix}"\n' + SPEC)
    result = invoke("check", "spec.toml")
    assert result.exit_code == 2
    assert result.stderr.startswith("spec.toml:1:11: CE00")
    assert SECRET not in result.output


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of POSIX")
@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "link", "."])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(name):
    os.mkfifo("pipe")
    os.symlink("/dev/zero", "link")
    write("spec.toml", f'extends = "{name}"\n' + SPEC)
    assert invoke("check", "spec.toml").stderr.startswith("spec.toml:1:11: CE001")
    if name != ".":
        assert invoke("check", name).stderr.startswith(f"CE001: {name} is not a file")


def test_the_keys_of_a_document_are_its_fields():
    assert set(Document.model_fields) | {"extends"} == TOP_KEYS
