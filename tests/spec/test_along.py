"""Sweeps along a curve: which widths they have, on which networks stages act, what is wrong."""

from typing import Any

import pytest

from ceflow.spec import Document, SpecError, loads

TEXT = """
model = {type = "mlp", widths = [6, 3], inputs = 2, outputs = 1}
data = {source = "gaussian", inputs = 2, train = 4}
[stages.alpha]
type = "variance"
[stages.best]
type = "search"
variance = "alpha"
[stages.train]
type = "train"
steps = 1
[stages.compact]
type = "train"
steps = 1
model = "best.dual"
[sweep]
along = "best.primal"
"""


def swept(text: str = TEXT) -> dict[str, Document]:
    examined = loads(text).examine()
    assert not examined.faults
    return dict(examined.variants)


def test_there_is_a_run_for_each_width_up_to_that_of_the_baseline():
    documents = swept()
    assert list(documents) == [
        "widths=1", "widths=2-1", "widths=3-2", "widths=4-2", "widths=5-2", "widths=6-3"
    ]  # fmt: skip
    stages = documents["widths=3-2"].stages
    assert stages["best"] == loads(TEXT).stages["best"].replaced({"widths": (3, 2)})
    assert (stages["train"].model, stages["compact"].model) == ("best.primal", "best.dual")
    assert stages["alpha"].model is None
    assert all(each.model == loads(TEXT).model for each in documents.values())


def test_the_widths_can_be_said_and_other_paths_swept_too():
    documents = swept(TEXT + '"stages.best.widths" = [2, [6, 3]]\nseed = [0, 1]\n')
    assert list(documents) == [
        f"widths={width},seed={seed}" for width in ("2", "6-3") for seed in (0, 1)
    ]


def test_a_document_that_was_spread_is_read_as_it_was_written():
    from ceflow.spec import dumps

    spread = loads(TEXT).examine().document
    assert loads(dumps(spread)) == spread
    assert loads(dumps(spread)).examine().document == spread


WRONG: dict[str, tuple[tuple[str, str], str, str]] = {
    "a stage": (('"best.primal"', '"bset.primal"'), "'bset' is not a search", "best.primal"),
    "a kind": (('"best.primal"', '"alpha.primal"'), "'alpha' is not a search stage", ""),
    "a curve": (('"best.primal"', '"best.prime"'), "'best' has no curve 'prime'", "best.primal"),
    "no curve": (('"best.primal"', '"best"'), "'best' has no curve ''", "best.primal"),
    "free": (('variance = "alpha"', 'variance = "alpha"\nspace = "free"'), "free search", "ratio"),
    "no width": (("[sweep]", '[sweep]\n"stages.best.widths" = []'), "at least 1 entry", ""),
    "zero": (("[sweep]", '[sweep]\n"stages.best.widths" = [0]'), "from 1 to 10^12", ""),
    "three": (("[sweep]", '[sweep]\n"stages.best.widths" = [[1, 2, 3]]'), "3 widths are given", ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_curve_is_said_at_the_sweep(name):
    change, message, help = WRONG[name]
    found: Any = None
    try:
        found = loads(TEXT.replace(*change)).faults()
    except SpecError as error:
        found = error.faults
    (fault,) = found
    assert message in fault.message
    assert help in fault.help
    assert fault.path[0] == "sweep"


OVER = """
seed = [0, 1]
"stages.best.widths" = [1, [2, 1], [6, 3]]
[collect.c]
x = "stages.best.primal.variance"
y = "stages.train.train_loss"
over = "seed"
correlate = "spearman"
"""


def test_a_variance_that_is_not_drawn_can_be_x_of_means_over_seeds():
    assert not loads(TEXT.replace('variance = "alpha"', "alpha = 3.0") + OVER).faults()


def test_one_that_is_drawn_differs_between_the_seeds():
    with pytest.raises(SpecError) as caught:
        loads(TEXT + OVER)
    messages = [fault.message for fault in caught.value.faults]
    assert any("differs between the runs that are averaged over seed" in each for each in messages)
