"""Schedules written as other tools write them: one fault, at its place, with the right form."""

import pytest

from ceflow.spec import SpecError, loads

TEXT = """
[model]
type = "mlp"
widths = [3]

[data]
source = "digits"

[stages.train]
type = "train"
epochs = 200
"""
LINE = TEXT.count("\n") + 1
FORM = "drops of the rate are a table, schedule = {at = [0.5, 0.75], factor = 0.1}"
FRACTIONS = "at takes fractions of the training, above 0 and below 1"


@pytest.mark.parametrize(
    ("given", "column", "message", "help"),
    [
        ('schedule = "step"', 12, "unknown schedule 'step'", FORM),
        ('schedule = "MultiStepLR"', 12, "unknown schedule 'MultiStepLR'", FORM),
        ("at = [100, 150]", 1, "unknown key 'at'", FORM),
        ("milestones = [100, 150]", 1, "unknown key 'milestones'", FORM),
        ("factor = 0.1", 1, "unknown key 'factor'", FORM),
        ("schedule = [100, 150]", 12,
         "schedule is a name or a table, not the array [100, 150]", FORM),
        ("schedule = [0.3, 0.6]", 12,
         "schedule is a name or a table, not the array [0.3, 0.6]",
         "drops of the rate are a table, schedule = {at = [0.3, 0.6], factor = 0.1}"),
        ('schedule = ["cosine"]', 12,
         "schedule is a name or a table, not the array ['cosine']",
         'without brackets: schedule = "cosine"'),
        ("schedule = {at = [100, 150]}", 18, FRACTIONS, "of 200 epochs: at = [0.5, 0.75]"),
        ("schedule = {at = [0.5, 300]}", 18, FRACTIONS, "as at = [0.5, 0.75]"),
        ("schedule = {at = [0, 100, 400]}", 18, FRACTIONS, "as at = [0.5, 0.75]"),
        ("schedule = {milestones = [0.5]}", 13, "unknown key 'milestones'", "here it is called at"),
        ('schedule = "cosin"', 12, "unknown schedule 'cosin'", "did you mean cosine?"),
    ],
)  # fmt: skip
def test_it_is_one_fault_with_the_right_form(given, column, message, help):
    with pytest.raises(SpecError) as caught:
        loads(TEXT + given)
    (fault,) = caught.value.faults
    assert (fault.message, fault.help) == (message, help)
    assert fault.place is not None
    assert (fault.place.line, fault.place.column) == (LINE, column)


def test_numbers_of_steps_are_said_as_fractions_of_the_steps():
    with pytest.raises(SpecError, match=r"of 4000 steps: at = \[0\.25, 0\.5\]"):
        loads(TEXT.replace("epochs = 200", "steps = 4000") + "schedule = {at = [1000, 2000]}")


@pytest.mark.parametrize("given", ['schedule = "cosine"', "schedule = {at = [0.25, 0.5]}"])
def test_what_is_right_has_no_fault(given):
    loads(TEXT + given)
