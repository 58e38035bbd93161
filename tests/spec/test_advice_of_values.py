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
