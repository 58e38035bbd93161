"""A plan names the networks of a sweep along a curve, and how many runs each is in."""

import pytest

import ceflow
from ceflow.report.layers import networks_along

TEXT = """
data = {source = "gaussian", inputs = 4, train = 6}

[model]
type = "mlp"
widths = [12, 12]

[stages.best]
type = "search"
alpha = 3.0

[stages.train]
type = "train"
steps = 1
batch = 2
learning_rate = 0.1
model = "best.PART"

[sweep]
along = "best.PART"
"stages.best.widths" = [2, 5, 12]
seed = [0, 1]
"""


@pytest.mark.parametrize("part", ["primal", "dual"])
def test_they_are_those_that_the_search_finds(part, tmp_path):
    document = ceflow.loads(TEXT.replace("PART", part))
    named = networks_along(ceflow.compile(document))
    found = []
    for results in ceflow.run(document, tmp_path / "run").results.values():
        answer = results["best"][part]
        found.append(f"{answer.multiplicity}x{answer.widths[0]}d  2 runs")
    assert named == list(dict.fromkeys(found))
    assert len(named) == 3


def test_without_an_alpha_they_are_estimates_and_without_a_curve_none():
    estimated = TEXT.replace("PART", "primal").replace("alpha = 3.0", 'using = "exact"')
    assert all(name.startswith("about ") for name in networks_along(_plan(estimated)))
    plain = TEXT.replace('along = "best.PART"\n', "").replace("PART", "primal")
    assert networks_along(_plan(plain)) == []


def _plan(text: str) -> ceflow.Plan:
    return ceflow.compile(ceflow.loads(text))
