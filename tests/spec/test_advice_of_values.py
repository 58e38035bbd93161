"""What a fault advises to write is accepted where it is written."""

import re
import tomllib

import pytest

import ceflow
from ceflow.spec import Document, Spec, SpecError, loads
from ceflow.spec.classes import specs
from ceflow.spec.vocabulary import example

MLP = 'model = {type = "mlp", widths = [4], inputs = 2, outputs = 1}\n'


def faults_of(text):
    with pytest.raises(SpecError) as caught:
        ceflow.compile(loads(text))
    return caught.value.faults


def every(kind: type[Spec], known: set[type[Spec]]) -> set[type[Spec]]:
    """All classes of the language below one."""
    for field in kind.model_fields.values():
        for below in set(specs(field.annotation)) - known:
            known.add(below)
            every(below, known)
    return known


def test_of_every_key_that_is_required_an_example_is_given():
    kinds = every(Document, {Document})
    assert len(kinds) > 20
    required = {key for kind in kinds for key, field in kind.model_fields.items()
                if field.is_required() and key not in ("type", "source")}  # fmt: skip
    assert {"time", "blocks", "member", "claims"} <= required
    for key in required:
        text = re.split(r", in units|; or", example(key).removeprefix("as "))[0]
        assert list(tomllib.loads(text)) == [key], key


@pytest.mark.parametrize(
    ("zca", "help"), [("true", "as zca = 0.1, or leave zca out"), ("false", "leave zca out")]
)
def test_whitening_is_a_number(zca, help):
    (fault,) = faults_of(f'data = {{source = "digits", zca = {zca}}}\n{MLP}')
    assert (fault.code, fault.help) == ("CE103", help)


@pytest.mark.parametrize(
    ("classes", "help"),
    [("[0, 1]", '["0", "1"]'), ('[0, "1"]', '["0", "1"]'), ("3", '["3"]'), ('"3"', '["3"]')],
)
def test_classes_that_are_no_strings_are_one_fault_that_writes_them_so(classes, help):
    text = (
        f'data = {{source = "digits", classes = {classes}}}\nmodel = {{type = "mlp", widths = [4]}}'
    )
    (fault,) = faults_of(text)
    assert (fault.code, fault.path, fault.help) == (
        "CE103",
        ("data", "classes"),
        f"classes = {help}",
    )
    loads(text.replace(f"classes = {classes}", fault.help))


@pytest.mark.parametrize(
    ("key", "help"),
    [
        ("params", "here it is called parameters"),
        ("paramters", "did you mean parameters?"),
        ("foo", "one of parameters, flops, macs, latency"),
    ],
)
def test_a_wrong_key_of_a_budget_is_one_fault(key, help):
    text = f'{MLP}stages.s = {{type = "search", alpha = 3.0, budget = {{{key} = 5e6}}}}'
    (fault,) = faults_of(text)
    assert (fault.code, fault.path, fault.help) == (
        "CE101",
        ("stages", "s", "budget", key),
        help,
    )


@pytest.mark.parametrize(("shape", "size"), [("[3, 32, 32]", 3072), ("[28, 28]", 784)])
@pytest.mark.parametrize(
    "text",
    [
        'model = {{type = "mlp", widths = [4], inputs = {}, outputs = 2}}',
        'model = {{type = "ensemble", multiplicity = 2, member = {{widths = [4], inputs = {},'
        " outputs = 2}}}}",
        'data = {{source = "gaussian", inputs = {}, train = 4}}\n'
        'model = {{type = "mlp", widths = [4]}}',
    ],
)
def test_an_image_for_a_row_of_numbers_is_told_its_size(text, shape, size):
    (fault,) = faults_of(text.format(shape))
    assert fault.help.endswith(f"inputs = {size}")
    ceflow.compile(loads(text.format(size)))


STAGE = (
    MLP.replace("{", "{{").replace("}", "}}")
    + 'data = {{source = "gaussian", inputs = 2, train = 4}}\nstages.s = {{{}}}'
)


@pytest.mark.parametrize(
    ("quoted", "bare"),
    [
        ('type = "variance", draws = "100"', "100"),
        ('type = "variance", draws = "1e3"', "1000"),
        ('type = "variance", error = " 0.5 "', "0.5"),
        ('type = "variance", ratios = [0.5, "1.0"]', "1.0"),
        ('type = "search", alpha = "2.0"', "2.0"),
        ('type = "search", alpha = 2.0, budget = {parameters = "5e6"}', "5e6"),
        ('type = "kernel", spectrum = "True"', "true"),
        ('type = "flow", time = "-1"', "-1"),
    ],
)
def test_a_number_in_quotes_is_told_to_stand_without(quoted, bare):
    (fault,) = faults_of(STAGE.format(quoted))
    assert (fault.code, fault.help) == ("CE103", f"write {bare} without quotes")
    text = re.sub(r'"[^"]*"(?=[^"]*$)', bare, quoted)
    codes = [] if bare != "-1" else ["CE104"]  # which is another slip
    assert [each.code for each in _found(STAGE.format(text))] == codes


@pytest.mark.parametrize(
    ("widths", "help"),
    [
        ("'8'", ["widths = [8]"]),
        ("['8', '4.0', '2.5', 'x', '1_0', 8]", ["write 8 without quotes",
                                                "write 4 without quotes", "", "", ""]),
    ],
)  # fmt: skip
def test_widths_in_quotes_are_told_what_to_write(widths, help):
    faults = _found(f'model = {{type = "mlp", inputs = 2, outputs = 1, widths = {widths}}}')
    assert [fault.help for fault in faults] == help


def _found(text):
    try:
        ceflow.compile(loads(text))
    except SpecError as error:
        return error.faults
    return ()


@pytest.mark.parametrize(
    ("stage", "code", "belongs"),
    [
        ('type = "kernel", kernel = "empirical"', "CE101", 'method = "empirical"'),
        ('type = "kernel", kind = "empirical"', "CE105", 'method = "empirical"'),
        ('type = "kernel", kind = "mean"', "CE105", 'method = "mean" or outputs = "mean"'),
        ('type = "flow", time = 1.0, solver = "mse"', "CE105", 'loss = "mse"'),
        ('type = "flow", time = 1.0, engine = "drift"', "CE105", 'record = ["drift"]'),
        ('type = "flow", time = 1.0, record = ["rkc"]', "CE105", 'solver = "rkc"'),
        ('type = "flow", time = 1.0, kernel = "closed-form"', "CE201", 'engine = "closed-form"'),
        (
            'type = "flow", time = 1.0, kernel = "empirical"',
            "CE201",
            'method = "empirical", in [stages.NAME] with type = "kernel", above; kernel takes its'
            " name",
        ),
    ],
)
def test_a_value_of_another_key_is_told_which(stage, code, belongs):
    (fault,) = faults_of(STAGE.format(stage))
    value = re.findall(r'"([\w-]+)"', belongs)[0]
    said = f'"{value}" is a value of another key: {belongs}'
    assert (fault.code, fault.help) == (code, said)


def test_a_slip_comes_before_a_value_of_another_key():
    (fault,) = faults_of(STAGE.format('type = "kernel", metod = "empirical"'))
    assert fault.help == "did you mean method?"
