"""Networks as members of ensembles and halves of bottlenecks: the same trees, counts and modules as
the layers written out, and as mlps where those are equal.
"""

from typing import Any

import jax
import numpy as np
import pytest

import ceflow
from ceflow.compiler import compile
from ceflow.spec import Bottleneck, Document, Ensemble, Mlp, Model, Network

CONVOLUTIONS = ({"type": "convolution", "channels": 3}, "relu", "global-average")
IMAGE = (2, 4, 4)


def dense(units: int | None = None, variance: float | None = None) -> dict[str, Any]:
    return {"type": "dense", "units": units, "weight_variance": variance}


def network(*layers: Any, **keys: Any) -> Network:
    return Network(layers=layers, **keys)


HALF = network(dense(5), "erf", dense(variance=1.0))
EQUAL: dict[str, tuple[Model, Model]] = {
    "a member of dense layers": (
        Ensemble(multiplicity=4, member=HALF.sized(inputs=3, outputs=2)),
        Ensemble(multiplicity=4, member=Mlp(widths=[5], activation="erf", inputs=3, outputs=2)),
    ),
    "a member of convolutions": (
        Ensemble(multiplicity=4, member=network(*CONVOLUTIONS, dense(), inputs=IMAGE, outputs=2)),
        network(
            {"type": "ensemble", "multiplicity": 4, "layers": [*CONVOLUTIONS, dense(2)]},
            inputs=IMAGE,
        ),
    ),
    "halves of dense layers": (
        Bottleneck(size=2, encoder=HALF.sized(inputs=3), decoder=HALF.sized(outputs=4)),
        Bottleneck(
            size=2,
            encoder=Mlp(widths=[5], activation="erf", inputs=3),
            decoder=Mlp(widths=[5], activation="erf", outputs=4),
        ),
    ),
    "an encoder of convolutions": (
        Bottleneck(
            size=2,
            encoder=network(*CONVOLUTIONS, dense(), inputs=IMAGE),
            decoder=Mlp(widths=[5], outputs=4),
        ),
        network(*CONVOLUTIONS, dense(2), dense(5), "relu", dense(4, 1.0), inputs=IMAGE),
    ),
}


@pytest.mark.parametrize("case", EQUAL)
def test_a_part_is_its_layers(case: str):
    one, two = (compile(Document(model=model)) for model in EQUAL[case])
    assert one.root == two.root
    assert (one.inputs, one.outputs) == (two.inputs, two.outputs)
    key = jax.random.key(3)
    first, second = (jax.tree.flatten(each.module(key)) for each in (one, two))
    assert first[1] == second[1]
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a, b)


PARTS = """
[model]
type = "ensemble"
multiplicity = 2

[model.member]
type = "network"
inputs = 6
outputs = 2
layers = [{type = "dense", units = 8}, "relu", "layer-norm", {type = "dense", units = 8}, "relu",
          "dense"]
"""
SEARCHED = """
[stages.alpha]
type = "variance"
ratios = [0.5, 1.0]
draws = 100

[stages.best]
type = "search"
alpha = 3.0

[stages.kernel]
type = "kernel"
method = "empirical"
model = "best.primal"

[data]
source = "gaussian"
inputs = 6
outputs = 2
train = 4
"""


def test_a_document_of_parts_is_written_and_read_again():
    document = ceflow.loads(PARTS)
    assert ceflow.loads(ceflow.dumps(document, defaults=True)) == document
    assert isinstance(Ensemble.expect(document.model).member, Network)
    bare = PARTS.replace('type = "network"', "")
    of_mlp = ceflow.loads(bare[: bare.index("layers")] + "widths = [3]")
    assert isinstance(Ensemble.expect(of_mlp.model).member, Mlp)


def test_a_search_of_an_ensemble_of_networks_is_that_of_the_one_layer(tmp_path):
    """The stages give the same numbers as on a network of one ensemble layer."""
    written = PARTS + SEARCHED
    layer = """
[model]
type = "network"
inputs = 6
outputs = 2

[[model.layers]]
type = "ensemble"
multiplicity = 2
"""
    layer += PARTS[PARTS.index("layers = ") :].replace('"dense"]', '{type = "dense", units = 2}]')
    one, two = (
        ceflow.run(ceflow.loads(text), tmp_path / name)
        for name, text in (("one", written), ("two", layer + SEARCHED))
    )
    answers = [run.results["best"] for run in (one, two)]
    assert answers[0].primal.widths == answers[1].primal.widths
    assert answers[0].primal.parameters == answers[1].primal.parameters
    assert one.results["alpha"].alpha == two.results["alpha"].alpha
    np.testing.assert_array_equal(one.array("kernel"), two.array("kernel"))
    emitted = ceflow.load(tmp_path / "one" / "optimal.toml")
    assert emitted.model.type == "ensemble"
    assert compile(emitted).root.parameters == answers[0].primal.parameters
