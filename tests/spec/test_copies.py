"""A copy with other values is looked at as a new document is; so is one of unknown making."""

from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow.spec import Document, Gaussian, Mlp, SpecError, Sweep

MODEL = Mlp(widths=[3], inputs=2, outputs=1)
DOCUMENT = Document(model=MODEL)

WRONG = {
    "name": ("../../evil", "CE104"),
    "precision": ("float16", "CE105"),
    "seed": (-5, "CE104"),
    "sead": (7, "CE101"),
    "data": (3, "CE103"),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_copy_takes_no_value_that_a_document_may_not_have(key):
    value, code = WRONG[key]
    with pytest.raises(SpecError) as error:
        DOCUMENT.model_copy(update={key: value})
    assert [(fault.code, fault.path) for fault in error.value.faults] == [(code, (key,))]


@pytest.mark.parametrize("key", sorted(WRONG.keys() - {"sead"}))  # pydantic drops what it knows not
def test_what_pydantic_made_without_a_look_is_not_compiled(key):
    value, code = WRONG[key]
    made = Document.model_construct(**{"model": MODEL, key: value})
    with pytest.raises(SpecError, match=code):
        ceflow.compile(made)


def test_a_part_of_a_document_is_looked_at_as_well():
    with pytest.raises(SpecError, match=r"widths\[1\]"):
        MODEL.model_copy(update={"widths": [3, "x"]})
    with pytest.raises(SpecError, match=r"model\.widths"):
        ceflow.compile(Document.model_construct(model=Mlp.model_construct(widths="x")))


def test_a_copy_keeps_all_else_and_a_table_is_read():
    paths: dict[str, Any] = {"model.widths": [[2], [3]]}
    swept = Document(model=MODEL, sweep=Sweep(**paths), seed=4)
    table = {"source": "gaussian", "inputs": 2}
    copied = swept.model_copy(update={"data": table})
    assert copied == Document(model=MODEL, sweep=swept.sweep, seed=4, data=Gaussian(inputs=2))
    assert copied.model_fields_set == swept.model_fields_set | {"data"}
    assert ceflow.loads(ceflow.dumps(swept)).model_copy(update={"seed": 1}).origin is not None


NUMBERS: Any = (np.int64(3), np.float32(np.inf), np.int32(2), np.int64(4))


def test_numbers_of_numpy_are_numbers():
    three, infinite, two, four = NUMBERS
    made = Mlp(widths=[three, infinite], inputs=two)
    assert made == Mlp(widths=[3, float("inf")], inputs=2)
    assert type(made.widths[0]) is int
    array: Any = np.array([three, four])
    assert Mlp(widths=array, inputs=two).widths == (3, 4)
    assert Gaussian(inputs=four) == Gaussian(inputs=4)
