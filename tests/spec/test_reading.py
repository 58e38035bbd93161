"""Reading: from a file to a tree, or to one sentence that says why not."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceflow.spec import SpecError, Text, load, loads
from ceflow.spec import text as reading
from ceflow.spec.codes import CODES
from ceflow.spec.text import read

VALID = '[model]\ntype = "mlp"\nwidths = [3, 2]\n'
TREE = {"model": {"type": "mlp", "widths": [3, 2]}}


def fault_of(path):
    with pytest.raises(SpecError) as caught:
        load(path)
    (fault,) = caught.value.faults
    return fault


def written(folder, content, name="spec.toml"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_toml_file_is_read(tmp_path):
    assert load(written(tmp_path, VALID)) == loads(VALID)


def test_a_file_named_json_is_read_as_json(tmp_path):
    path = written(tmp_path, json.dumps(TREE), "spec.json")
    assert read(path).syntax == "json"
    assert load(path) == loads(VALID)


@pytest.mark.parametrize("name", ["spec.toml", "spec", "spec.txt"])
def test_any_other_file_is_read_as_toml(tmp_path, name):
    assert read(written(tmp_path, VALID, name)).syntax == "toml"


def test_a_path_may_be_a_string(tmp_path):
    assert read(str(written(tmp_path, VALID))).content == VALID


def test_a_text_knows_its_name_and_folder(tmp_path):
    path = written(tmp_path, VALID)
    text = read(path)
    assert (text.file, text.folder) == (str(path), tmp_path)


def test_a_document_remembers_its_text(tmp_path):
    path = written(tmp_path, VALID)
    origin = load(path).origin
    assert origin is not None
    assert origin.text == read(path)


@pytest.mark.parametrize("name", ["spec.toml", "spec.json"])
def test_a_byte_order_mark_is_accepted(tmp_path, name):
    content = VALID if name.endswith("toml") else json.dumps(TREE)
    path = written(tmp_path, b"\xef\xbb\xbf" + content.encode(), name)
    assert load(path) == loads(VALID)


def test_windows_line_ends_are_accepted(tmp_path):
    path = written(tmp_path, VALID.replace("\n", "\r\n"))
    assert load(path) == loads(VALID)


def test_a_missing_file_is_a_fault(tmp_path):
    fault = fault_of(tmp_path / "nowhere.toml")
    assert fault.code == "CE001"
    assert str(tmp_path / "nowhere.toml") in fault.message
    assert "no such file" in fault.message


def test_a_directory_is_a_fault(tmp_path):
    fault = fault_of(tmp_path)
    assert fault.code == "CE001"
    assert "is a directory" in fault.message


@pytest.mark.parametrize(
    ("content", "byte"), [(b"\xff\xfe\x00\x00", 0), (b'name = "\xe9"\n', 8), (b"\x89PNG\r\n", 0)]
)
def test_what_is_not_utf8_is_a_fault_that_names_the_byte(tmp_path, content, byte):
    fault = fault_of(written(tmp_path, content))
    assert fault.code == "CE001"
    assert f"is not UTF-8 (byte {byte})" in fault.message


def test_a_file_above_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST_TEXT", len(VALID))
    assert read(written(tmp_path, VALID)).content == VALID  # of just that size it is
    fault = fault_of(written(tmp_path, VALID + "#"))
    assert fault.code == "CE001"
    assert "larger than" in fault.message


SYNTAX = [
    ("nul", "toml", "seed = \0\n", (1, 8)),
    ("nul", "json", '{"seed": \0}', (1, 10)),
    ("unclosed string", "toml", VALID + 'name = "abc\n', (4, 12)),
    ("unclosed array", "json", '{"seed": [1,', (1, 13)),
    ("no value", "toml", VALID + "name =\n", (4, 7)),
    ("two on a line", "toml", "seed = 1 name = 2\n", (1, 10)),
    ("after a wide character", "toml", 'a = "é" b = 1\n', (1, 9)),
    ("after a wide character", "json", '{"é": 1 2}', (1, 9)),
    ("after windows lines", "toml", "seed = 1\r\nname = \r\n", (2, 8)),
    ("after windows lines", "json", '{\r\n "a": }', (2, 7)),
    ("a bare carriage return", "toml", "seed = 1\rname = 3\n", (1, 9)),
    ("empty", "json", "", (1, 1)),
    ("a comment", "json", '{"seed": 1} // no', (1, 13)),
    ("a list", "json", "[1, 2]", (1, 1)),
    ("a number", "json", "3", (1, 1)),
]


@pytest.mark.parametrize(
    ("syntax", "content", "place"),
    [row[1:] for row in SYNTAX],
    ids=[f"{row[0]}-{row[1]}" for row in SYNTAX],
)
def test_what_is_no_toml_or_json_is_a_fault_at_its_place(syntax, content, place):
    with pytest.raises(SpecError) as caught:
        loads(content, syntax)
    (fault,) = caught.value.faults
    assert fault.code == "CE002"
    assert fault.message.startswith(f"not valid {syntax.upper()}: ")
    assert fault.place is not None
    assert (fault.place.line, fault.place.column) == place


def test_an_empty_toml_lacks_its_model():
    with pytest.raises(SpecError) as caught:
        loads("")
    (fault,) = caught.value.faults
    assert (fault.code, fault.message) == ("CE102", "the key 'model' is missing")
    assert fault.place is not None
    assert (fault.place.line, fault.place.column) == (1, 1)


@pytest.mark.parametrize("text", ["seed = 1\nseed = 2\n", "[model]\n[model]\n", "a.b = 1\na = 2\n"])
def test_a_key_that_stands_twice_in_toml_is_a_fault(text):
    with pytest.raises(SpecError) as caught:
        loads(text)
    (fault,) = caught.value.faults
    assert fault.code == "CE002"
    assert fault.place is not None
    assert fault.place.line == 2


@pytest.mark.parametrize(
    ("syntax", "text", "said"),
    [
        ("json", '{"seed": NaN}', "the number NaN is not in JSON"),
        ("json", '{"seed":\n' + "9" * 5000 + "}", "an integer of thousands of digits"),
        ("toml", "\nseed = " + "9" * 5000, "an integer of thousands of digits"),
        (
            "json",
            '{"name": "\\ud800", "model": {"type": "mlp", "widths": [3]}}',
            "whole characters",
        ),
    ],
)
def test_numbers_and_texts_that_a_document_cannot_hold_are_named(syntax, text, said):
    with pytest.raises(SpecError) as caught:
        loads(text, syntax)
    (fault,) = caught.value.faults
    assert said in fault.message
    assert fault.place is not None
    assert fault.place.line == 1 + text.count("\n")


@pytest.mark.parametrize("text", ['{"seed": 1, "seed": 2}', '{"model": {"type": 1, "type": 1}}'])
def test_a_key_that_stands_twice_in_json_is_a_fault_that_names_it(text):
    with pytest.raises(SpecError) as caught:
        loads(text, "json")
    (fault,) = caught.value.faults
    assert fault.code == "CE002"
    assert "occurs twice" in fault.message
    assert json.dumps(text.split('"')[-2]) in fault.message


@pytest.mark.parametrize("syntax", ["toml", "json"])
@pytest.mark.parametrize("depth", [50, 300, 900, 100_000])
def test_arrays_nested_deeply_are_a_fault(syntax, depth):
    nested = "[" * depth + "]" * depth
    text = f"seed = {nested}\n{VALID}" if syntax == "toml" else f'{{"seed": {nested}}}'
    with pytest.raises(SpecError) as caught:
        loads(text, syntax)
    assert {fault.code for fault in caught.value.faults} <= {"CE002", "CE102", "CE103"}


def test_an_integer_of_too_many_digits_is_a_fault():
    with pytest.raises(SpecError) as caught:
        loads(f"seed = {'9' * 5000}\n{VALID}")
    assert caught.value.faults[0].code == "CE002"


def test_a_place_shows_its_line():
    place = Text("a.toml", "x\ny = 1\r\n", "toml", reading.Path()).place(2, 3)
    assert (str(place), place.text) == ("a.toml:2:3", "y = 1")


# What the next two read is mostly no document; that it ends in a fault, never in another error,
# is what they check. The alphabet is weighted towards what means something in TOML and JSON.
WORDS = '[ ] [[ ]] { } = . , " # : model type "mlp" widths stages a 1 -1 inf nan 1e9 true null 0x1'
SIGNS = ['"""', "'", "\\u00e9", "é", "😀", "\n", "\r\n", "\0", "\u2028", "\ufeff", " ", "\t"]
PIECES = st.sampled_from([*WORDS.split(), *SIGNS])
NOISE = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=40).map("".join))


def faults_in(text):
    """The faults of a text; anything else that is raised goes up as it is."""
    try:
        loads(text.content, text.syntax)
    except SpecError as error:
        return error.faults or pytest.fail("a SpecError without a fault")
    return ()


def ends_in_a_fault_or_a_document(text, syntax):
    for fault in faults_in(Text("<string>", text, syntax, reading.Path())):
        assert fault.code in CODES
        assert fault.place is not None
        assert fault.place.line >= 1
        assert fault.place.column >= 1
        assert fault.code in str(fault)


@pytest.mark.parametrize("syntax", ["toml", "json"])
@settings(derandomize=True, deadline=None, max_examples=300)
@given(noise=NOISE)
def test_random_text_ends_in_a_fault_or_a_document(syntax, noise):
    ends_in_a_fault_or_a_document(noise, syntax)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    noise=NOISE,
    start=st.integers(0, len(VALID)),
    length=st.integers(0, 12),
)
def test_a_document_with_a_random_splice_ends_in_a_fault_or_a_document(noise, start, length):
    ends_in_a_fault_or_a_document(VALID[:start] + noise + VALID[start + length :], "toml")


@settings(derandomize=True, deadline=None, max_examples=100)
@given(content=st.binary(max_size=80))
def test_random_bytes_end_in_a_fault_or_a_document(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "noise.toml"
    path.write_bytes(content)
    try:
        text = read(path)
    except SpecError as error:
        found = error.faults
    else:
        found = faults_in(text)
    assert {fault.code for fault in found} <= set(CODES)


def test_control_characters_are_shown_as_symbols_under_the_caret():
    # What a file holds must not steer the terminal that shows it.
    with pytest.raises(SpecError) as caught:
        loads('name = "\x1b[2J"\n')
    shown, caret = str(caught.value).split("\n")[1:3]
    assert "\x1b" not in str(caught.value)
    assert shown.index("␛") == caret.index("^")
