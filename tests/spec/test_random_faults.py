"""Random faults: valid trees are mutated, written and read again.

Two outcomes are right: a document, or faults with known codes that have a place inside the text.
"""

import copy
import datetime
import json

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from ceflow.compiler import compile
from ceflow.runs import require_memory
from ceflow.spec import Document, SpecError, loads
from ceflow.spec.codes import CODES
from ceflow.spec.reading import validate

VARIANCE = {"type": "variance", "ratios": [0.5, 1.0], "draws": 100, "method": "auto"}
TREES = [
    {
        "ceflow": 1,
        "name": "a",
        "seed": 3,
        "precision": "float32",
        "data": {"source": "gaussian", "inputs": 2, "outputs": 1, "train": 4, "scale": 2.0},
        "model": {"type": "mlp", "widths": [4, 5], "activation": "relu", "bias_variance": 0.5},
        "stages": {
            "v": VARIANCE,
            "s": {"type": "search", "variance": "v", "cost": "flops", "tolerance": 0.1},
            "k": {"type": "kernel", "kind": "nngp", "spectrum": True},
            "e": {"type": "kernel", "method": "empirical", "model": "s.dual", "reference": "k"},
        },
    },
    {
        "data": {"source": "digits", "classes": ["3", "8"], "targets": "signed", "test": 5},
        "model": {"type": "ensemble", "multiplicity": 3, "member": {"type": "mlp", "widths": [2]}},
        "stages": {"s": {"type": "search", "alpha": 3.5}, "v": {**VARIANCE, "model": "s.primal"}},
    },
    {
        "data": {"source": "circle", "points": 5},
        "model": {"type": "mlp", "widths": ["inf"], "inputs": 2, "outputs": 3},
        "stages": {"k": {"type": "kernel", "outputs": "mean"}},
    },
    {
        "data": {"source": "npz", "path": "none.npz"},
        "model": {"type": "mlp", "widths": [1]},
        "sweep": {"seed": [1, 2], "mode": "zip"},
        "collect": {"c": {"x": "seed", "y": "stages.s.alpha"}},
    },
]

WORDS = ["mlp", "kernel", "variance", "inf", "s.primal", "v", "é", "", "a b", "float32", "full"]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 10**6),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5),
)
JUNK = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(["type", "widths", "x", "mlp"]), SCALARS, max_size=3),
)
ONLY_TOML = st.sampled_from([datetime.date(1979, 5, 27), datetime.time(7, 32)])


def slots(tree, path=()):
    """Every place in a tree, as the path to it."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for step, value in items:
        yield (*path, step)
        if isinstance(value, dict | list):
            yield from slots(value, (*path, step))


def misspelt(key, at):
    at %= len(key) + 1
    return key[:at] + key[at + 1 :] if at < len(key) else key + "s"


@st.composite
def broken_trees(draw, junk):
    tree = copy.deepcopy(draw(st.sampled_from(TREES)))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(list(slots(tree)) or [("name",)]))
        table = tree
        for step in parents:
            table = table[step]
        change = draw(st.sampled_from(["delete", "replace", "misspell", "add"]))
        if change == "replace":
            table[last] = draw(junk)
        elif isinstance(table, list):
            table.append(draw(junk))
        elif change == "add":
            table[draw(st.sampled_from(["x", "mlp", "type", "a.b", "key", "0"]))] = draw(junk)
        elif last in table:
            value = table.pop(last)
            if change == "misspell":
                table[misspelt(last, draw(st.integers(0, 9)))] = value
    return tree


def outcome(text, syntax):
    """What checking a text ends in; anything but a plan or faults goes up as it is."""
    try:
        require_memory(compile(loads(text, syntax)))
    except SpecError as error:
        return error.faults
    return ()


def assert_faults_are_placed(faults, text):
    lines = text.split("\n")
    for fault in faults:
        assert fault.code in CODES
        assert "nput should" not in fault.message  # a library's words, where ours are missing
        assert fault.place is not None
        assert 1 <= fault.place.line <= len(lines)
        line = lines[fault.place.line - 1]
        assert 1 <= fault.place.column <= len(line) + 1
        assert fault.place.column - 1 + fault.place.length <= max(1, len(line))


@settings(derandomize=True, deadline=None, max_examples=250)
@given(tree=broken_trees(st.one_of(JUNK, ONLY_TOML)))
def test_a_broken_toml_ends_in_faults_with_places(tree):
    text = tomlkit.dumps(tree)
    assert_faults_are_placed(outcome(text, "toml"), text)


@settings(derandomize=True, deadline=None, max_examples=250)
@given(tree=broken_trees(st.one_of(JUNK, st.none())), indent=st.sampled_from([None, 1]))
def test_a_broken_json_ends_in_faults_with_places(tree, indent):
    text = json.dumps(tree, indent=indent, ensure_ascii=False)
    assert_faults_are_placed(outcome(text, "json"), text)


@pytest.mark.parametrize("tree", TREES[:3])
def test_the_trees_that_are_broken_were_sound(tree):
    assert outcome(tomlkit.dumps(tree), "toml") == ()
    assert isinstance(validate(tree), Document)
