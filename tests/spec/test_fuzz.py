"""Broken documents as users have them: files that extend others, sweeps, edits, settings.

`test_faults` breaks trees and `test_reading` reads noise; here whole documents of every kind are
broken as text and as trees, in files and by settings. Whatever was done to them, they end in a plan
that has its forecasts, or in a `SpecError` whose faults can be printed, inside their texts.
"""

import json
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from broken_documents import (
    BASE,
    DEEP,
    DOCUMENTS,
    JUNK,
    LACK_DATA,
    ONLY_JSON,
    ONLY_TOML,
    SETTINGS,
    broken_texts,
    broken_trees,
    json_of,
    toml_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceflow.compiler import compile
from ceflow.runs import prepare
from ceflow.spec import SpecError, load, loads
from ceflow.spec.codes import CODES


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
        prepare(compile(load(path, arguments)))
    except SpecError as error:
        assert error.faults  # noqa: PT017
        str(error).encode()
        return error.faults
    return ()


def assert_faults_can_be_shown(faults):
    for fault in faults:
        assert fault.code in CODES
        assert fault.message
        assert "nput should" not in fault.message  # a library's words, where ours are missing
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


@fuzz(250)
@given(tree=broken_trees(JUNK | DEEP | ONLY_TOML))
def test_a_broken_tree_in_a_toml_file_ends_in_faults(folder, tree):
    BROKEN["toml trees"] += check_file(folder, "a.toml", toml_of(tree))


@fuzz(250)
@given(tree=broken_trees(JUNK | DEEP | ONLY_JSON), indent=st.sampled_from([None, 1]))
def test_a_broken_tree_in_a_json_file_ends_in_faults(folder, tree, indent):
    BROKEN["json trees"] += check_file(folder, "a.json", json_of(tree, indent))


@fuzz(200)
@given(text=broken_texts(toml_of))
def test_an_edited_toml_file_ends_in_faults(folder, text):
    BROKEN["toml texts"] += check_file(folder, "a.toml", text)


@fuzz(100)
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
