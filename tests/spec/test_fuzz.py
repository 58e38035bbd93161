"""Broken documents as users have them: files that extend others, sweeps, edits, settings.

`test_faults` breaks trees and `test_reading` reads noise; here whole documents of every kind
are broken as text and as trees, in files and by settings. Whatever was done to them, `load` and
`compile` end in a plan or in a `SpecError` whose faults can be printed, inside their texts.
"""

import copy
import json
import math
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceflow.compiler import compile
from ceflow.spec import SpecError, load, loads
from ceflow.spec.codes import CODES

BASE = {
    "seed": 7,
    "data": {"source": "gaussian", "inputs": 3, "train": 5, "normalise": "unit"},
    "model": {"type": "mlp", "widths": [6, 6], "activation": "relu", "weight_variance": 2.0},
    "stages": {"v": {"type": "variance", "ratios": [0.5, 1.0], "draws": 200}},
}
DOCUMENTS = {
    "variance and search": {
        "ceflow": 1,
        "name": "all",
        "precision": "float32",
        "data": {"source": "gaussian", "inputs": 2, "outputs": 2, "train": 4, "scale": 0.5},
        "model": {"type": "mlp", "widths": [4, 5], "activation": "linear", "last_variance": 1.5},
        "stages": {
            "v": {"type": "variance", "entries": "diagonal", "method": "exact"},
            "s": {"type": "search", "variance": "v", "cost": "flops", "tolerance": 0.0},
            "t": {"type": "search", "alpha": 3.5, "model": "s.primal"},
        },
    },
    "kernels of an ensemble": {
        "data": {"source": "digits", "classes": ["3", "8"], "targets": "signed", "train": 9},
        "model": {
            "type": "ensemble",
            "multiplicity": 3,
            "member": {"type": "mlp", "widths": [2], "bias_variance": 0.1},
        },
        "stages": {
            "k": {"type": "kernel", "kind": "nngp", "spectrum": True},
            "e": {"type": "kernel", "method": "empirical", "draws": 2, "reference": "k"},
        },
    },
    "infinite widths": {
        "data": {"source": "circle", "points": 5, "scale": 2.0},
        "model": {"type": "mlp", "widths": ["inf", "inf"], "outputs": 1},
        "stages": {"k": {"type": "kernel", "outputs": "mean"}},
    },
    "a bottleneck": {
        "data": {"source": "deep-gp", "inputs": 3, "train": 6, "test": 2, "length": 3.0},
        "model": {
            "type": "bottleneck",
            "size": 2,
            "encoder": {"widths": ["inf", "inf"]},
            "decoder": {"widths": ["inf"], "activation": "erf"},
        },
        "stages": {
            "f": {"type": "flow", "time": 1.0, "width": 20, "sampling": "orthogonal"},
            "t": {"type": "train", "steps": 2, "learning_rate": {"relative": 0.5}},
        },
    },
    "a grid": {
        **BASE,
        "sweep": {"model.widths": [[5, 5], [8]], "seed": [0, 1], "stages.v.draws": [100, 300]},
    },
    "a zip": {
        **BASE,
        "sweep": {"mode": "zip", "data.inputs": [1, 2], "model.activation": ["erf", "relu"]},
    },
    "what extends": {
        "extends": "base.toml",
        "model": {"widths": [9]},
        "stages": {"s": {"type": "search", "variance": "v"}},
    },
    "what extends what extends": {"extends": "middle.json", "seed": 2, "sweep": {"seed": [3, 4]}},
    "own arrays": {
        "data": {"source": "npz", "path": "none.npz", "targets": "raw", "test": 0},
        "model": {"type": "mlp", "widths": [1]},
    },
    "idx": {"data": {"source": "idx", "path": "."}, "model": {"type": "mlp", "widths": [1]}},
    "cifar10": {"data": {"source": "cifar10"}, "model": {"type": "mlp", "widths": [1]}},
}
LACK_DATA = {"own arrays", "idx", "cifar10"}

HUGE = [10**12, 10**12 + 1, 2**63, 2**64, -(2**63), 10**400, 5e-324, 1e308]
ODD = ["", " ", "\0", "\x7f", "\u2028", "\ufeff", "\u202e", "e\u0301", "𝔘", "ÿ" * 300, "..", "a.b"]
PATHS = [
    "base.toml",
    "self.toml",
    "loop",
    ".",
    "..",
    "/",
    "none",
    "a\0b",
    "x" * 300,
    "~",
    "/dev/null",
]
NAMES = [
    "mlp",
    "ensemble",
    "bottleneck",
    "kernel",
    "search",
    "variance",
    "digits",
    "npz",
    "v",
    "s.primal",
    "s.",
    ".",
]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([*HUGE, *ODD, *PATHS, *NAMES, math.inf, -math.inf, math.nan]),
)
KEYS = st.one_of(
    st.sampled_from(
        [
            "type",
            "source",
            "model",
            "widths",
            "member",
            "sweep",
            "mode",
            "extends",
            "seed",
            "name",
            "stages.v.draws",
            "model.widths.0",
            "seed.x",
            "stages",
            "sweep.seed",
            "ceflow",
            "path",
        ]
    ),
    st.sampled_from(ODD),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def nested(value, depth, as_table):
    for _ in range(depth):
        value = {"a": value} if as_table else [value]
    return value


DEEP = st.builds(nested, SCALARS, st.sampled_from([5, 30, 90]), st.booleans())


def tables(tree):
    """Every table and array of a tree, itself included."""
    yield tree
    for value in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(value, dict | list):
            yield from tables(value)


@st.composite
def broken_trees(draw):
    tree = copy.deepcopy(draw(st.sampled_from(list(DOCUMENTS.values()))))
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from(list(tables(tree))))
        steps = list(table) if isinstance(table, dict) else list(range(len(table)))
        change = draw(st.sampled_from(["delete", "rename", "move", "replace", "add", "wrap"]))
        if change == "add" or not steps:
            new = draw(JUNK | DEEP)
            if isinstance(table, dict):
                table[draw(KEYS)] = new
            else:
                table.append(new)
            continue
        step = draw(st.sampled_from(steps))
        if change == "replace":
            table[step] = draw(JUNK | DEEP)
        elif change == "wrap":
            table[step] = [table[step]] if draw(st.booleans()) else {"value": table[step]}
        else:
            value = table.pop(step)
            if change == "rename" and isinstance(table, dict):
                table[draw(KEYS)] = value
            elif change == "move":
                tree[draw(KEYS)] = value
    return tree


def toml_of(tree):
    return tomlkit.dumps(tree)


def json_of(tree, indent):
    return json.dumps(tree, indent=indent, ensure_ascii=indent is None)


SIGNS = [
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    '"""',
    "'''",
    "=",
    ",",
    ".",
    "\\",
    "\\u00",
    "#",
    ":",
    "0x",
    "_",
]
SPLICES = st.one_of(
    st.sampled_from([*SIGNS, "\r", "\n", "\0", "\x1b[2J", "\x08", "\u2028", "\ufeff", "\u202e"]),
    st.sampled_from(["[" * 2000, "{a=" * 600, "a." * 40, "9" * 5000, "0x" + "f" * 5000, "-nan"]),
    st.sampled_from(["\n[model]\n", "\nseed = 1\n", "\n[[stages]]\n", ', "seed": 1', "1e999999"]),
    st.text(max_size=8),
)


@st.composite
def broken_texts(draw, write):
    """The text of a sound document after some edits: insertions, deletions, doublings, a cut."""
    text = write(draw(st.sampled_from(list(DOCUMENTS.values()))))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        change = draw(st.sampled_from(["splice", "delete", "cut", "double", "swap", "line"]))
        if change == "splice":
            text = text[:start] + draw(SPLICES) + text[stop:]
        elif change == "delete":
            text = text[:start] + text[stop:]
        elif change == "cut":
            text = text[:start]
        elif change == "double":
            text = text[:stop] + text[start:]
        elif change == "swap":
            text = text[:start] + text[start:stop][::-1] + text[stop:]
        else:
            lines = text.split("\n")
            at = draw(st.integers(0, len(lines) - 1))
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
            text = "\n".join(lines)
    return text


SETTINGS = st.one_of(
    st.builds(
        "{}={}".format,
        st.sampled_from(
            [
                "model.widths",
                "model",
                "seed",
                "stages.v.draws",
                "stages.v",
                "sweep",
                "data.source",
                "extends",
                "a.b.c",
                "model.widths.a",
                '"',
                "a..b",
                "[model]",
                "",
                "'sweep'.seed",
                "é",
            ]
        ),
        st.sampled_from(
            [
                "[0]",
                "[[3]]",
                "{}",
                '"x',
                "1\n2",
                "1\nseed = 2",
                "inf",
                "nan",
                "mlp",
                "gel",
                "\x00",
                "é",
                "[" * 2000,
                "9" * 5000,
                "0x" + "f" * 5000,
                "{seed = [1, -1]}",
                "1979-05-27",
                "-1",
                "�",
                "base.toml",
                "{a = " * 50 + "1" + "}" * 50,
            ]
        ),
    ),
    st.text(max_size=12),
)


@pytest.fixture(autouse=True)
def without_data(monkeypatch):
    monkeypatch.delenv("CEFLOW_DATA", raising=False)


@pytest.fixture(scope="module")
def folder():
    """What documents here extend: a sound base, one between, one that extends itself, a loop."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "base.toml").write_text(toml_of(BASE), encoding="utf-8")
        middle = {"extends": "base.toml", "stages": {"v": {"draws": 500}}}
        (place / "middle.json").write_text(json.dumps(middle), encoding="utf-8")
        (place / "self.toml").write_text('extends = "self.toml"\n', encoding="utf-8")
        os.symlink(place / "loop", place / "loop")
        yield place


BROKEN = Counter()
"""How many documents each of the tests below found to be broken."""


def faults_of(path, arguments=()):
    """What a file ends in: no faults, or some; anything else that is raised goes up as it is."""
    try:
        compile(load(path, arguments))
    except SpecError as error:
        assert error.faults  # noqa: PT017
        str(error).encode()
        return error.faults
    return ()


def assert_faults_can_be_shown(faults):
    for fault in faults:
        assert fault.code in CODES
        assert fault.message
        assert "\n" not in fault.message
        if fault.place is None:  # no text to show: the file itself could not be read
            assert fault.code == "CE001"
            continue
        place = fault.place
        if place.file == "--set":  # a value that is no TOML is shown as the string it stands for
            lines = [place.text] * place.line
        else:
            lines = Path(place.file).read_bytes().decode("utf-8-sig").split("\n")
        assert 1 <= place.line <= len(lines)
        line = lines[place.line - 1]
        assert 1 <= place.column <= len(line) + 1
        assert place.length >= 1
        assert place.column + place.length - 1 <= max(len(line), place.column)
        assert "^" in str(fault) or not place.text


def check_file(folder, name, text, arguments=()):
    path = folder / name
    path.write_bytes(text.encode())  # not write_text, which would write another line end
    faults = faults_of(path, arguments)
    assert_faults_can_be_shown(faults)
    return bool(faults)


def fuzz(examples):
    return settings(
        derandomize=True,
        deadline=None,
        max_examples=examples,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@pytest.mark.parametrize("case", DOCUMENTS)
@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_the_documents_that_are_broken_were_sound(folder, case, suffix):
    tree = DOCUMENTS[case]
    path = folder / f"sound{suffix}"
    path.write_text(toml_of(tree) if suffix == ".toml" else json_of(tree, 1), encoding="utf-8")
    codes = {fault.code for fault in faults_of(path)}
    assert codes == ({"CE301"} if case in LACK_DATA else set())


@fuzz(200)
@given(tree=broken_trees())
def test_a_broken_tree_in_a_toml_file_ends_in_faults(folder, tree):
    BROKEN["toml trees"] += check_file(folder, "a.toml", toml_of(tree))


@fuzz(200)
@given(tree=broken_trees(), indent=st.sampled_from([None, 1]))
def test_a_broken_tree_in_a_json_file_ends_in_faults(folder, tree, indent):
    BROKEN["json trees"] += check_file(folder, "a.json", json_of(tree, indent))


@fuzz(200)
@given(text=broken_texts(toml_of))
def test_an_edited_toml_file_ends_in_faults(folder, text):
    BROKEN["toml texts"] += check_file(folder, "a.toml", text)


@fuzz(150)
@given(text=broken_texts(lambda tree: json_of(tree, 1)))
def test_an_edited_json_file_ends_in_faults(folder, text):
    BROKEN["json texts"] += check_file(folder, "a.json", text)


@fuzz(150)
@given(
    tree=st.sampled_from(list(DOCUMENTS.values())),
    arguments=st.lists(SETTINGS, min_size=1, max_size=3),
)
def test_broken_settings_end_in_faults(folder, tree, arguments):
    BROKEN["settings"] += check_file(folder, "a.toml", toml_of(tree), arguments)


@fuzz(50)
@given(cut=st.integers(0, 2000), case=st.sampled_from(list(DOCUMENTS)))
def test_a_file_cut_in_the_middle_of_a_character_ends_in_faults(folder, cut, case):
    content = (toml_of(DOCUMENTS[case]) + "# é😀").encode()
    path = folder / "cut.toml"
    path.write_bytes(content[: cut % len(content)])
    BROKEN["cuts"] += bool(faults_of(path))


def test_the_documents_were_broken_indeed():
    """Of the examples above at least 500 held a fault; none is asked where not all ran."""
    ran = {"toml trees", "json trees", "toml texts", "json texts", "settings", "cuts"} <= set(
        BROKEN
    )
    if not ran:
        pytest.skip("counts what the tests above found, which have not all run")
    assert sum(BROKEN.values()) >= 500
    assert min(BROKEN.values()) >= 20


def test_a_lone_surrogate_ends_in_a_fault():
    with pytest.raises(SpecError):
        loads('{"model": {"type": "\\ud800"}}', "json")
