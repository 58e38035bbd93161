"""Validation: keys, types and ranges; every fault is found, named and helped with."""

import math
from typing import Any

import pytest

from ceflow.compiler import compile
from ceflow.runs import prepare
from ceflow.spec import SpecError, Text, load, loads, placing, stack
from ceflow.spec.diagnostics import Fault
from ceflow.spec.reading import validate
from ceflow.spec.text import Path

MODEL = '[model]\ntype = "mlp"\nwidths = [3]\n'
STAGE = MODEL + "[stages.a]\n"


def faults_of(text, syntax: Any = "toml"):
    with pytest.raises(SpecError) as caught:
        loads(text, syntax)
    return list(caught.value.faults)


def the_fault_of(text, syntax="toml"):
    (fault,) = faults_of(text, syntax)
    return fault


# text, code, path, what the message says, what the help says
FAULTS = [
    ("sed = 1\n" + MODEL, "CE101", ("sed",), "unknown key 'sed'", "did you mean seed?"),
    (MODEL + "widht = 1\n", "CE101", ("model", "widht"), "'widht'", "did you mean widths?"),
    (MODEL + "zzz = 1\n", "CE101", ("model", "zzz"), "'zzz'", "one of type, widths, "),
    (MODEL + "Inputs = 1\n", "CE101", ("model", "Inputs"), "'Inputs'", "did you mean inputs?"),
    (
        STAGE + 'type = "variance"\ndraw = 300\n',
        "CE101",
        ("stages", "a", "draw"),
        "'draw'",
        "did you mean draws?",
    ),
    (
        MODEL + '[data]\nsource = "circle"\npoint = 3\n',
        "CE101",
        ("data", "point"),
        "'point'",
        "did you mean points?",
    ),
    (
        '[model]\ntype = "ensemble"\nmultiplicity = 2\nmember = {type="mlp", widths=[1], with=2}\n',
        "CE101",
        ("model", "member", "with"),
        "'with'",
        "did you mean widths?",
    ),
    ("seed = 1\n", "CE102", (), "the key 'model' is missing", "as model = "),
    ('[model]\ntype = "mlp"\n', "CE102", ("model",), "the key 'widths' is missing", "as widths = "),
    ("[model]\nwidths = [3]\n", "CE102", ("model",), "'type' is missing", "mlp, ensemble"),
    (
        STAGE + "draws = 3\n",
        "CE102",
        ("stages", "a"),
        "'type' is missing",
        "one of kernel, variance, search",
    ),
    (MODEL + "[data]\n", "CE102", ("data",), "'source' is missing", "one of digits, idx"),
    ("model = 3\n", "CE103", ("model",), "model must be a table, not 3", ""),
    ("stages = 3\n" + MODEL, "CE103", ("stages",), "stages must be a table, not 3", ""),
    (MODEL + "[stages]\na = 3\n", "CE103", ("stages", "a"), "a must be a table, not 3", ""),
    ("seed = 1.5\n" + MODEL, "CE103", ("seed",), "must be a whole number, not 1.5", ""),
    ("seed = 1.0\n" + MODEL, "CE103", ("seed",), "must be a whole number, not 1.0", ""),
    ("seed = true\n" + MODEL, "CE103", ("seed",), "must be a whole number, not true", ""),
    (
        'seed = "1"\n' + MODEL,
        "CE103",
        ("seed",),
        "must be a whole number, not '1'",
        "write 1 without quotes",
    ),
    ("name = 3\n" + MODEL, "CE103", ("name",), "name must be a string, not 3", ""),
    (
        MODEL + 'weight_variance = "2"\n',
        "CE103",
        ("model", "weight_variance"),
        "must be a number, not '2'",
        "write 2 without quotes",
    ),
    (
        STAGE + 'type = "kernel"\nspectrum = 1\n',
        "CE103",
        ("stages", "a", "spectrum"),
        'must be true, false or "full", not 1',
        "",
    ),
    (
        '[model]\ntype = "mlp"\nwidths = 3\n',
        "CE103",
        ("model", "widths"),
        "widths must be an array, not 3",
        "widths = [3]",
    ),
    (
        '[model]\ntype = "mlp"\nwidths = [3, "a"]\n',
        "CE103",
        ("model", "widths", 1),
        "widths[1] must be a whole number from 1 to 10^12, or inf, not 'a'",
        "",
    ),
    (
        '[model]\ntype = "mlp"\nwidths = [3.5]\n',
        "CE103",
        ("model", "widths", 0),
        "widths[0] must be a whole number from 1 to 10^12, or inf, not 3.5",
        "",
    ),
    ('[model]\ntype = "mlp"\nwidths = [0]\n', "CE104", ("model", "widths", 0), "not 0", ""),
    ('[model]\ntype = "mlp"\nwidths = [-3]\n', "CE104", ("model", "widths", 0), "not -3", ""),
    ('[model]\ntype = "mlp"\nwidths = []\n', "CE104", ("model", "widths"), "at least 1 entry", ""),
    ("seed = -1\n" + MODEL, "CE104", ("seed",), "must be at least 0, not -1", ""),
    (f"seed = {2**63}\n" + MODEL, "CE104", ("seed",), "must be below 9223372036854775808", ""),
    (MODEL + "inputs = 0\n", "CE104", ("model", "inputs"), "must be at least 1, not 0", ""),
    (
        MODEL + "weight_variance = 0.0\n",
        "CE104",
        ("model", "weight_variance"),
        "must be at least 1e-12, not 0.0",
        "",
    ),
    (
        MODEL + "last_variance = inf\n",
        "CE104",
        ("model", "last_variance"),
        "must be at most 1e+12, not inf",
        "",
    ),
    (
        MODEL + "bias_variance = nan\n",
        "CE104",
        ("model", "bias_variance"),
        "not nan",
        "",
    ),
    (
        STAGE + 'type = "variance"\nratios = [0.5, 1001.0]\n',
        "CE104",
        ("stages", "a", "ratios", 1),
        "must be at most 1000.0, not 1001.0",
        "",
    ),
    (
        STAGE + 'type = "variance"\ndraws = 99\n',
        "CE104",
        ("stages", "a", "draws"),
        "must be at least 100, not 99",
        "",
    ),
    ('name = "a b"\n' + MODEL, "CE104", ("name",), "name must be letters, digits", ""),
    ('name = "../up"\n' + MODEL, "CE104", ("name",), "not '../up'", ""),
    ('name = "a\\n"\n' + MODEL, "CE104", ("name",), "name must be", ""),
    (
        MODEL + 'activation = "rleu"\n',
        "CE105",
        ("model", "activation"),
        "unknown activation 'rleu'",
        "did you mean relu?",
    ),
    (
        '[model]\ntype = "mpl"\nwidths = [3]\n',
        "CE105",
        ("model", "type"),
        "unknown type 'mpl'",
        "did you mean mlp?",
    ),
    (
        MODEL + '[data]\nsource = "mnist"\n',
        "CE105",
        ("data", "source"),
        "unknown source 'mnist'",
        'here it is called idx: which reads the files of MNIST and its kin, with path = "mnist"',
    ),
    (
        STAGE + 'type = "varience"\n',
        "CE105",
        ("stages", "a", "type"),
        "unknown type 'varience'",
        "did you mean variance?",
    ),
    ('precision = "float16"\n' + MODEL, "CE105", ("precision",), "'float16'", "float"),
    ("ceflow = 2\n" + MODEL, "CE003", ("ceflow",), "language version 2", "later ceflow"),
    ("ceflow = 0\n" + MODEL, "CE104", ("ceflow",), "ceflow must be at least 1, not 0", ""),
    (
        'ceflow = "1"\n' + MODEL,
        "CE103",
        ("ceflow",),
        "ceflow must be a whole number, not '1'",
        "write 1 without quotes",
    ),
]


@pytest.mark.parametrize(("text", "code", "path", "message", "help"), FAULTS)
def test_a_fault_says_what_and_where(text, code, path, message, help):
    fault = the_fault_of(text)
    assert (fault.code, fault.path) == (code, path)
    assert message in fault.message
    assert "\n" not in fault.message
    assert help in fault.help
    assert bool(help) == bool(fault.help)
    assert fault.place is not None


def test_a_name_of_a_stage_that_is_not_allowed_is_a_fault():
    fault = the_fault_of(MODEL + '[stages."a b"]\ntype = "variance"\n')
    assert fault.code == "CE104"
    assert "'a b'" in fault.message
    assert fault.place is not None
    assert fault.place.text == '[stages."a b"]'
    assert "[key]" not in fault.message


@pytest.mark.parametrize("word", ["inf", '"inf"'])
def test_infinity_is_a_width(word):
    assert loads(MODEL.replace("3", word)).model == loads(MODEL.replace("3", "inf")).model
    assert loads(MODEL.replace("3", word)).model.widths == (math.inf,)  # pyright: ignore


def test_infinity_is_a_width_in_json():
    assert loads('{"model": {"type": "mlp", "widths": ["inf", 2]}}', "json").model.widths == (  # pyright: ignore
        math.inf,
        2,
    )


def test_a_whole_number_is_a_number():
    document = loads(MODEL + "weight_variance = 3\n")
    assert document.model.weight_variance == 3.0  # pyright: ignore


@pytest.mark.parametrize("version", ["true", "1.0"])
def test_the_language_version_is_a_whole_number(version):
    assert the_fault_of(f"ceflow = {version}\n" + MODEL).path == ("ceflow",)


def test_a_later_version_is_not_judged_by_this_ones_rules():
    fault = the_fault_of("ceflow = 7\nnews = 1\n[model]\nnothing = 1\n")
    assert fault.code == "CE003"


def test_every_fault_of_a_text_is_found():
    text = 'sed = 1\nname = 3\n[model]\ntype = "mlp"\nwidths = [0]\n[data]\nsource = "x"\n'
    assert [fault.code for fault in faults_of(text)] == ["CE101", "CE103", "CE104", "CE105"]


def test_a_bad_entry_is_not_also_counted_as_a_missing_one():
    assert [fault.path for fault in faults_of(MODEL.replace("3", "0"))] == [("model", "widths", 0)]


def test_meaning_is_checked_once_the_keys_are_right():
    codes = [fault.code for fault in faults_of(STAGE + 'type = "search"\n')]
    assert codes == ["CE102"]


def test_the_faults_of_a_tree_have_no_place():
    with pytest.raises(SpecError) as caught:
        validate({"sed": 1, "model": {"type": "mlp", "widths": [1]}})
    assert caught.value.faults[0].place is None
    assert str(caught.value).startswith("sed: CE101: ")


def test_a_long_value_is_cut_in_the_message():
    for key in ("name", "seed"):
        fault = the_fault_of(f'{key} = "{" " * 5000}"\n' + MODEL)
        assert len(fault.message) < 200


def test_a_long_value_that_is_no_choice_is_cut_in_the_message():
    fault = the_fault_of(MODEL + f'activation = "{"x" * 5000}"\n')
    assert len(fault.message) < 200


def test_an_enormous_integer_is_a_fault_like_any_other():
    assert the_fault_of("seed = 0x" + "f" * 5000 + "\n" + MODEL).code == "CE104"


def test_enormous_sizes_are_out_of_range():
    text = MODEL.replace("3", "9" * 200) + "inputs = 2\noutputs = 1\n"
    text += f'[data]\nsource = "gaussian"\ninputs = 2\ntrain = {"9" * 400}\n'
    assert [fault.code for fault in faults_of(text)] == ["CE104", "CE104"]


def test_the_largest_sizes_are_a_fault_of_memory():
    text = MODEL.replace("3", str(10**12)) + "inputs = 2\noutputs = 1\n"
    text += f'[data]\nsource = "gaussian"\ninputs = 2\ntrain = {10**12}\n'
    with pytest.raises(SpecError) as caught:
        prepare(compile(loads(text + '[stages.k]\ntype = "kernel"\n')))
    assert [fault.code for fault in caught.value.faults] == ["CE401"]


def test_placing_leaves_other_errors_alone():
    with pytest.raises(KeyError), placing(stack(Text("a", "", "toml", Path()))):
        raise KeyError


def test_placing_without_a_text_leaves_the_faults_as_they_are():
    fault = Fault("CE101", "x", ("seed",))
    with pytest.raises(SpecError) as caught, placing(None):
        raise SpecError(fault)
    assert caught.value.faults == (fault,)


def test_loading_a_file_checks_it(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("sed = 1\n" + MODEL, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:1:1: CE101: ")
