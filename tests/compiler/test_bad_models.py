"""Blocks and ResNeXts that are wrong: one fault each, with the key to blame."""

import pytest

from ceflow.spec import SpecError, loads

BLOCK = """
[model]
type = "block"
channels = 4
widths = [8, 8]
"""
RESNEXT = """
[model]
type = "resnext"
blocks = [1, 1]
base_width = 4
"""

WRONG = {
    # document, code, a part of the message and its help
    "three widths": (BLOCK.replace("[8, 8]", "[8, 8, 8]"), "CE104", "at most 2 entries"),
    "one width": (BLOCK.replace("[8, 8]", "[8]"), "CE104", "at least 2 entries"),
    "an infinite width": (BLOCK.replace("[8, 8]", "[8, inf]"), "CE103", "widths[1]"),
    "no widths": (BLOCK.replace("widths = [8, 8]", ""), "CE102", "widths"),
    "no groups": (BLOCK + "cardinality = 0", "CE104", "at least 1"),
    "inputs of a block": (BLOCK + "inputs = 36", "CE101", "unknown key 'inputs'"),
    "biases of a block": (BLOCK + "bias_variance = 0.1", "CE101", "unknown key 'bias_variance'"),
    "no blocks": (RESNEXT.replace("[1, 1]", "[]"), "CE104", "at least 1 entry"),
    "nine stages": (RESNEXT.replace("[1, 1]", str([1] * 9)), "CE104", "at most 8 entries"),
    "an empty stage": (RESNEXT.replace("[1, 1]", "[1, 0]"), "CE104", "at least 1"),
    "no base width": (RESNEXT.replace("base_width = 4", ""), "CE102", "base_width"),
    "another stem": (RESNEXT + "stem = 'cifar10'", "CE105", "did you mean cifar?"),
    "a number for an image": (RESNEXT + "inputs = 64", "CE103", "inputs"),
    "an image of two sides": (RESNEXT + "inputs = [8, 8]", "CE104", "at least 3 entries"),
    "widths of a resnext": (RESNEXT + "widths = [8, 8]", "CE101", "unknown key 'widths'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_fault_says_what_is_wrong(name: str):
    text, code, part = WRONG[name]
    with pytest.raises(SpecError) as caught:
        loads(text)
    (fault,) = caught.value.faults
    assert fault.code == code, str(fault)
    assert part in f"{fault} {fault.path}", str(fault)
