"""Positions: every fault is shown at the characters that are to blame."""

from typing import Any

import pytest

from ceflow.spec import SpecError, Text, loads
from ceflow.spec.diagnostics import Fault, Place, dotted
from ceflow.spec.origin import stack
from ceflow.spec.positions import Positions
from ceflow.spec.text import Path

MODEL = '[model]\ntype = "mlp"\nwidths = [3]\n'

# « and » stand around the place that the one fault of each text must have, and are no part of it.
TOML = {
    "a value": "seed = «-1»\n" + MODEL,
    "an unknown key": "«sed» = 1\n" + MODEL,
    "a value in a table": '[model]\ntype = "mlp"\nwidths = «[]»\n',
    "a value in an array": '[model]\ntype = "mlp"\nwidths = [3, «0», 5]\n',
    "a value in an array over lines": '[model]\ntype = "mlp"\nwidths = [\n  3,  # ok\n  «0»,\n]\n',
    "an array over lines": "name = «[»\n  1,\n]\n" + MODEL,
    "after a multi-line string": 'name = """\n"""\n' + "«sed» = 1\n" + MODEL,
    "a value after spaces and tabs": "seed =\t  «-1»  # why\n" + MODEL,
    "an inline table": 'model = {type = "mlp", widths = [«0»]}\n',
    "an inline table with an unknown key": 'model = {type = "mlp", «width» = 3, widths = [1]}\n',
    "a dotted key": 'model.type = "mlp"\nmodel.widths = [«0»]\n',
    "an unknown dotted key": 'model.type = "mlp"\nmodel.widths = [1]\nmodel.«width» = 1\n',
    "spaces around the dot": 'model . type = "mlp"\nmodel . widths = [«0»]\n',
    "a dotted key in an inline table": 'model = {type = "mlp", widths = [2]}\nstages = {'
    'a.type = "variance", a.draws = «3»}\n',
    "a quoted key": '"model".type = "mlp"\n"model"."widths" = [«0»]\n',
    "a key in single quotes": "'model'.type = 'mlp'\n'model'.'widths' = [«0»]\n",
    "a key with an escape": 'model.type = "mlp"\n"mod\\u0065l".widths = [«0»]\n',
    "an unknown quoted key": MODEL + '«"a key"» = 1\n',
    "a quoted table": '["model"]\ntype = "mlp"\n[stages."a"]\ntype = "variance"\ndraws = «3»\n'
    "[model.x]\n",
    "a table named with spaces": MODEL + '[ stages . a ]\ntype = "variance"\ndraws = «1»\n',
    "a table with a dotted name": MODEL + '[stages.a]\ntype = "variance"\nratios = [1, «2000»]\n',
    "an unknown table": MODEL + "[«modle»]\nwidths = [3]\n",
    "a table that should be a value": MODEL + "[«seed»]\nx = 1\n",
    "a missing key": '[«model»]\ntype = "mlp"\n',
    "a missing key of an inline table": 'seed = 1\n«model» = {type = "mlp"}\n',
    "a missing tag": "[«model»]\nwidths = [3]\n",
    "a table of the wrong kind": "[[«model»]]\nwidths = [3]\n",
    "a wrong tag": '[model]\ntype = «"mpl"»\nwidths = [3]\n',
    "a member": '[model]\ntype = "ensemble"\nmultiplicity = 2\n[model.member]\n'
    'type = "mlp"\nwidths = [3]\nactivation = «"rleu"»\n',
    "columns after é count characters": 'model = {type = "mlp", widths = [3]}\n'
    'stages = {"é" = 1, b = «2»}\n',
    "é in a comment on the line": 'model = {type = "mlp", widths = [«"é"»]}  # é\n',
    "a character outside the basic plane": '[model]\ntype = "mlp"\nwidths = [«"😀"», 3]\n',
    "windows lines": '[model]\r\ntype = "mlp"\r\nwidths = [\r\n  3,\r\n  «0»]\r\n',
    "the last line without its end": MODEL + "inputs = «0»",
    "the later of two tables of one parent": MODEL + '[stages.a]\ntype = "variance"\n'
    '[stages.b]\ntype = "variance"\ndraws = «1»\n',
    "a boolean": "seed = «true»\n" + MODEL,
    "a date": "seed = «1979-05-27»\n" + MODEL,
    "a later version": "ceflow = «2»\n" + MODEL,
}
# The two whose text holds more than one fault, checked for containing the marked one.
SEVERAL = {"a quoted table", "after a multi-line string", "columns after é count characters"}

JSON = {
    "a value": '{"seed": «-1», "model": {"type": "mlp", "widths": [3]}}',
    "an unknown key": '{"model": {"type": "mlp", "widths": [3]},\n «"sed"»: 1}',
    "a value in an array": '{"model": {"type": "mlp", "widths": [3,\n   «0», 5]}}',
    "a missing key": '{"seed": 1,\n «"model"»: {"type": "mlp"}}',
    "a null": '{"seed": «null», "model": {"type": "mlp", "widths": [3]}}',
    "a wrong tag": '{"model": {"widths": [3], "type": «"mpl"»}}',
    "after é on the line": '{"model": {"activation": «"é"», "type": "mlp", "widths": [3]}}',
    "after a wide key": '{"name": "a", "é": 1, «"b"»: 2}',
    "windows lines": '{"seed": 1,\r\n "model":\r\n {"type": "mlp", "widths": [«0»]}}\r\n',
    "a later version": '{"ceflow": «2»}',
}
SEVERAL_JSON = {"after a wide key"}


def unmarked(marked):
    """The text, and the line, column and length of its marked part."""
    before, part, after = marked.replace("»", "«").split("«")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return before + part + after, (line, column, len(part))


def places(text, syntax: Any = "toml"):
    with pytest.raises(SpecError) as caught:
        loads(text, syntax)
    found = [fault.place for fault in caught.value.faults]
    return [(place.line, place.column, place.length) for place in found if place]


@pytest.mark.parametrize("case", TOML)
def test_a_fault_in_toml_is_shown_where_it_is(case):
    text, place = unmarked(TOML[case])
    found = places(text)
    assert place in found if case in SEVERAL else found == [place]


@pytest.mark.parametrize("case", JSON)
def test_a_fault_in_json_is_shown_where_it_is(case):
    text, place = unmarked(JSON[case])
    found = places(text, "json")
    assert place in found if case in SEVERAL_JSON else found == [place]


def test_a_missing_key_of_the_document_is_shown_at_its_start():
    assert places("seed = 1\n") == [(1, 1, 1)]


def test_faults_come_in_the_order_they_stand_in_the_text():
    text = '[stages.a]\ntype = "variance"\ndraws = 1\n[model]\ntype = "mlp"\nwidths = [0, -1]\n'
    found = places("sed = 1\n" + text)
    assert [place[:2] for place in found] == [(1, 1), (4, 9), (7, 11), (7, 14)]


@pytest.fixture
def positions():
    content = (
        "seed = 1\n[model]\nwidths = [3, 40]\n[[rows]]\na = 1\n[[rows]]\na = {b = 22}\n[rows.c]\n"
    )
    return Positions(Text("s.toml", content, "toml", Path()))


@pytest.mark.parametrize(
    ("path", "part", "place"),
    [
        (("seed",), "key", (1, 1, 4)),
        (("seed",), "value", (1, 8, 1)),
        (("model", "widths", 1), "value", (3, 14, 2)),
        (("model", "widths", 1), "key", (3, 14, 2)),  # an entry of an array has no key
        (("rows", 0, "a"), "value", (5, 5, 1)),
        (("rows", 1, "a", "b"), "value", (7, 10, 2)),
        (("rows", 1, "c"), "key", (8, 7, 1)),
        (("rows", 1), "key", (6, 3, 4)),
        (("model", "inputs"), "value", (2, 2, 5)),  # not written: the table around it
        (("model", "widths", 7), "value", (3, 1, 6)),
        (("data", "source"), "value", (1, 1, 1)),  # nothing of it is written: the start
        ((), "value", (1, 1, 1)),
    ],
)
def test_the_place_of_a_path(positions, path, part, place):
    found = positions.find(path, part)
    assert (found.line, found.column, found.length) == place


def test_a_fault_that_has_a_place_keeps_it(positions):
    place = Place("other.toml", 9, 9, 1, "")
    origin = stack(positions.text)
    assert origin.place(Fault("CE101", "x", ("seed",), place=place)).place is place


def test_a_fault_is_printed_with_its_line_and_a_caret_under_it():
    with pytest.raises(SpecError) as caught:
        loads('[model]\ntype = "é"\nwidths = [3]\n')
    head, line, caret, help = str(caught.value).split("\n")
    assert head.startswith("<string>:2:8: CE105: ")
    assert line == '    2 | type = "é"'
    assert caret == "      |        ^^^"
    assert caret.index("^") == line.index('"é"')
    assert "mlp" in help


def test_a_path_is_written_as_in_python():
    assert dotted(("model", "widths", 0)) == "model.widths[0]"
    assert dotted(()) == ""


RARE = {
    "a repeated key in JSON": ('{"seed": 1,\n «"seed"»: 2}', "json"),
    "a key written with an escape in JSON": (
        '{"model": {"type": "mlp", "wid\\u0074hs": [«0»]}}',
        "json",
    ),
    "a number that JSON does not have": ('{"seed": «NaN»}', "json"),
    "a quoted dotted key": (
        MODEL + '[stages.a]\ntype = "variance"\n[stages."a".«"b.c"»]\n',
        "toml",
    ),
}


@pytest.mark.parametrize("case", RARE)
def test_a_fault_in_a_rare_spelling_is_shown_where_it_is(case):
    marked, syntax = RARE[case]
    text, place = unmarked(marked)
    assert place[:2] in [found[:2] for found in places(text, syntax)]


def test_other_line_separators_do_not_count_as_lines():
    # TOML and JSON end a line at \n only; an editor that shows the file does the same.
    with pytest.raises(SpecError) as caught:
        loads('# a\u2028b\x85c\nname = "')
    place = caught.value.faults[0].place
    assert place is not None
    assert (place.line, place.column, place.text) == (2, 9, 'name = "')


@pytest.mark.parametrize("separator", ["\u2028", "\x85"])
def test_the_line_shown_is_the_line_of_the_place(separator):
    with pytest.raises(SpecError) as caught:
        loads(f"# a{separator}b\nname = \n")
    place = caught.value.faults[0].place
    assert place is not None
    assert (place.line, place.text) == (2, "name = ")


@pytest.mark.parametrize("text", ["x" + ".x" * 3000 + " = 1\n", "[x" + ".x" * 3000 + "]\n"])
def test_a_key_of_very_many_dots_is_a_fault_like_any_other(text):
    assert places(text + "seed = 1\n")
