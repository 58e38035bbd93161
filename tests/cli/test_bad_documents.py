"""Bad input: one sentence that says where, exit status 2, no traceback, nothing left behind."""

import json
import pickle
from pathlib import Path

import pytest
from click.testing import CliRunner
from refusals import MODEL, data, refused, refused_text, write

from ceflow.cli import main

RUNNABLE = MODEL + '[stages.s]\ntype = "search"\nalpha = 3.0\n'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CEFLOW_DATA", raising=False)
    return tmp_path


def test_what_is_refused_below_runs_when_it_is_right():
    write("spec.toml", RUNNABLE)
    result = CliRunner().invoke(main, ["run", "spec.toml", "--out", "out"])
    assert result.exit_code == 0, result.output
    assert Path("out/results.json").is_file()


# Text, place, code, what is said. Positions count from 1, columns in characters.
TEXTS = {
    "unknown key": ("sed = 1\n" + RUNNABLE, "1:1", "CE101", "unknown key 'sed'"),
    "unknown key far down": (RUNNABLE + "alhpa = 1.0\n", "9:1", "CE101", "unknown key 'alhpa'"),
    "wrong type": ('seed = "one"\n' + RUNNABLE, "1:8", "CE103", "seed must be a whole number"),
    "zero width": (RUNNABLE.replace("3]", "0]"), "3:11", "CE104", "widths[0] must be a whole"),
    "negative width": (RUNNABLE.replace("3]", "4, -2]"), "3:14", "CE104", "not -2"),
    "unknown activation": (
        RUNNABLE.replace("inputs", 'activation = "rleu"\ninputs'),
        "4:14",
        "CE105",
        "unknown activation 'rleu'",
    ),
    "later version": ("ceflow = 2\n" + RUNNABLE, "1:10", "CE003", "language version 2"),
    "empty": ("", "1:1", "CE102", "the key 'model' is missing"),
    "blank": ("\n  \n", "1:1", "CE102", "the key 'model' is missing"),
    "nested arrays": ("seed = " + "[" * 10**5 + "]" * 10**5, "1:1", "CE002", "nested too deeply"),
    "key twice": ("seed = 1\nseed = 2\n" + RUNNABLE, "2:9", "CE002", "overwrite a value"),
    "table twice": (RUNNABLE + "[model]\n", "9:7", "CE002", "not valid TOML"),
    "windows lines": (
        RUNNABLE.replace("[3]", "[\n3,\n 0]").replace("\n", "\r\n"),
        "5:2",
        "CE104",
        "not 0",
    ),
    "after é": ('model = {type = "é"}\n', "1:17", "CE105", "unknown type 'é'"),
    "after é on the line": (
        'stages = {"é" = {type = "search"}, a = 3}\n' + MODEL,
        "1:40",
        "CE103",
        "a must be a table",
    ),
    "byte order mark": ("\ufeffsed = 1\n" + RUNNABLE, "1:1", "CE101", "unknown key 'sed'"),
    "inline table": ('model = {type = "mlp", widths = [0]}\n', "1:34", "CE104", "not 0"),
    "dotted key": ('model.type = "mlp"\nmodel.widths = [0]\n', "2:17", "CE104", "not 0"),
    "quoted key": ('"model"."type" = "mlp"\n"model".\'widths\' = [0]\n', "2:21", "CE104", "not 0"),
    "multi-line string": ('name = """\na\nb"""\n' + RUNNABLE, "1:8", "CE104", "name must be"),
    "after a multi-line string": (
        "name = '''\na'''\nsed = 1\n" + RUNNABLE,
        "3:1",
        "CE101",
        "unknown key 'sed'",
    ),
    "multi-line array": (
        RUNNABLE.replace("[3]", "[ # two\n  3,\n  # no\n  -1,\n]"),
        "6:3",
        "CE104",
        "widths[1] must be",
    ),
    "array of tables": (MODEL + '[[stages.s]]\ntype = "search"\n', "6:10", "CE103", "a table"),
    "array of tables, unknown": (RUNNABLE + "[[rows]]\na = 1\n", "9:3", "CE101", "key 'rows'"),
    "two alphas": (
        MODEL + '[stages.v]\ntype = "variance"\n[stages.s]\ntype = "search"\nvariance = "v"\n'
        "alpha = 2.0\n",
        "11:1",
        "CE202",
        "exclude each other",
    ),
    "no such stage": (
        RUNNABLE.replace("alpha = 3.0", 'variance = "v"'),
        "8:12",
        "CE201",
        "'v' is not a variance stage",
    ),
    "inputs unknown": ('[model]\ntype = "mlp"\nwidths = [3]\n', "1:2", "CE204", "not known"),
    "inputs of the data": (
        RUNNABLE + '[data]\nsource = "gaussian"\ninputs = 5\n',
        "4:10",
        "CE204",
        "the model has 2 inputs, the data have 5",
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_wrong_document_is_refused_at_its_place(case):
    text, place, code, said = TEXTS[case]
    lines = refused_text(text).splitlines()
    (head,) = [line for line in lines if line.startswith(f"spec.toml:{place}: ")]
    assert head.startswith(f"spec.toml:{place}: {code}: ")
    assert said in head


JSONS = {
    "unknown key": ('{\n "sed": 1,\n "model": {"type": "mlp", "widths": [3]}}', "2:2", "CE101"),
    "wrong type": ('{"seed": "é", "model": {"type": "mlp", "widths": [3]}}', "1:10", "CE103"),
    "after é": ('{"model": {"type": "é"}}', "1:20", "CE105"),
    "zero width": ('{"model": {"type": "mlp",\r\n "widths": [3, 0]}}', "2:16", "CE104"),
    "empty": ("", "1:1", "CE002"),
    "nested arrays": ('{"seed": ' + "[" * 10**5, "1:1", "CE002"),
    "later version": ('{"ceflow": 3}', "1:12", "CE003"),
    "not an object": ("[]", "1:1", "CE002"),
}


@pytest.mark.parametrize("case", JSONS)
def test_a_wrong_document_in_json_is_refused_at_its_place(case):
    text, place, code = JSONS[case]
    assert refused_text(text, "spec.json").startswith(f"spec.json:{place}: {code}: ")


def test_a_key_that_stands_twice_in_json_is_refused():
    said = refused_text('{"seed": 1, "seed": 2}', "spec.json")
    assert "CE002" in said
    assert 'the key "seed" occurs twice' in said


def test_a_byte_order_mark_is_accepted():
    write("spec.toml", b"\xef\xbb\xbf" + RUNNABLE.encode())
    assert CliRunner().invoke(main, ["check", "spec.toml"]).exit_code == 0


UNREADABLE = {
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8"),
    "latin-1": (b'name = "\xe9"', "is not UTF-8 (byte 8)"),
    "utf-16": ("seed = 1".encode("utf-16"), "is not UTF-8"),
    "nul": (b"seed = \0", "holds a NUL byte"),
    "a pickle": (pickle.dumps({"seed": 1}), "is not UTF-8"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_text_is_refused(case):
    content, said = UNREADABLE[case]
    message = refused_text(content)
    assert message.startswith("CE001: spec.toml ")
    assert said in message
    assert message.count("\n") == 1


def test_a_missing_spec_is_refused():
    assert refused("nowhere.toml") == (
        "CE001: nowhere.toml cannot be read: no such file or directory\n"
    )


def test_a_path_that_no_system_accepts_is_refused():
    assert "CE001" in refused("x" * 5000)


def test_a_data_path_that_no_system_accepts_is_refused():
    assert "CE301" in refused_text(data("npz", "a" * 5000))


def test_a_path_that_cannot_be_encoded_is_refused():
    tree = {"data": {"source": "npz", "path": "\ud800"}, "model": {"type": "mlp", "widths": [1]}}
    assert "CE301" in refused_text(json.dumps(tree), "spec.json")


# Memory
HUGE = {
    "points of a circle": (
        '[data]\nsource = "circle"\npoints = 10_000_000\n',
        'type = "kernel"',
        "data.points",
    ),
    "examples": (
        '[data]\nsource = "gaussian"\ninputs = 2\ntrain = 10_000_000\n',
        'type = "kernel"',
        "data.train",
    ),
    "weights": (
        '[data]\nsource = "gaussian"\ninputs = 2\ntrain = 1\n',
        'type = "kernel"\nmethod = "empirical"\noutputs = "full"',
        "model.widths",
    ),
    "weights drawn many times": ("", 'type = "variance"\nmethod = "monte-carlo"', "model.widths"),
}


@pytest.mark.parametrize("case", HUGE)
def test_what_would_not_fit_in_memory_is_refused(case):
    source, stage, key = HUGE[case]
    widths = "[10_000_000, 10_000_000]" if "weights" in case else "[3]"
    text = MODEL.replace("[3]", widths) + "[stages.k]\n" + stage + "\n" + source
    head, *rest = refused_text(text).splitlines()
    assert head.startswith("spec.toml:6:9: CE401: stage 'k' would need ")
    # 10^7 squared is 10^14 numbers of 8 bytes, at least 800 TB.
    need = head.split("would need ")[1].split(" GB of memory")[0]
    assert float(need.replace(",", "")) > 800_000
    assert "this machine has" in head
    tiled = ", or set tile = 1024, to keep the kernel on disk" if key.startswith("data") else ""
    assert rest[-1] == f"      = lower {key}{tiled}"
