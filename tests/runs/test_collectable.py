"""A [collect] table that can find nothing is a fault before the sweep begins."""

import pytest

import ceflow
from ceflow.runs import prepare
from ceflow.spec import SpecError

TEXT = """
data = {source = "gaussian", inputs = 3, outputs = 1, train = 4}
model = {type = "mlp", widths = [20]}
[stages]
k = {type = "kernel"}
finite = {type = "kernel", method = "empirical", reference = "k"}
alpha = {type = "variance"}
course = {type = "flow", time = 1.0}
[sweep]
"model.widths" = [[20], [30]]
[collect.c]
"""
COURSE = 'x = "stages.course.time"\ny = "stages.course.train_loss"\n'


def faults(collect: str) -> list[tuple[str, str]]:
    try:
        prepare(ceflow.compile(ceflow.loads(TEXT + collect)))
    except SpecError as error:
        return [(fault.code, ".".join(map(str, fault.path))) for fault in error.faults]
    return []


@pytest.mark.parametrize("y", ["k.nope", "finite.reference.distance", "k.kind", "alpha.points.x"])
def test_what_is_no_number_of_a_stage_is_not_collected(y):
    assert faults(f'x = "model.widths"\ny = "stages.{y}"\n') == [("CE201", "collect.c.y")]


@pytest.mark.parametrize("y", ["k.trace", "finite.distance", "alpha.alpha"])
def test_a_number_is(y):
    assert faults(f'x = "model.widths"\ny = "stages.{y}"\n') == []


def test_x_and_given_of_a_correlation_are_numbers_too():
    keys = 'x = "stages.k.{}"\ny = "stages.course.train_loss"\ngiven = "stages.k.{}"\n'
    asked = keys + 'correlate = "spearman"'
    assert faults(asked.format("trace", "quadrature_error")) == []
    wrong = faults(asked.format("kind", "shap"))
    assert wrong == [("CE201", "collect.c.x"), ("CE201", "collect.c.given")]


def test_no_mean_is_over_more_points_than_there_are():
    assert faults(COURSE + "smooth = 201") == [("CE104", "collect.c.smooth")]
    assert faults(COURSE + "smooth = 200") == []
