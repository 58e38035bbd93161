"""Searches of modules of the user's: the optimum of the network that they are, and its document."""

import equinox as eqx
import jax
import numpy as np
import pytest

import ceflow
from ceflow import nets
from ceflow.compiler import compile
from ceflow.spec import Document, Ensemble, External, SpecError

SPEC = """
[data]
source = "gaussian"
inputs = 6
outputs = 2
train = 4

[model]
type = "{type}"
{model}

[stages.best]
type = "search"
alpha = 3.0
compare = ["3x8d"]
"""
KERNEL = """
[stages.kernel]
type = "kernel"
method = "empirical"
model = "best.primal"
"""
OWN = SPEC.format(type="external", model='name = "mine"\nwidth = 16')


def make(key, width):
    """A ReLU network of two layers without biases: S of such an mlp is 1/width too."""
    first, last = jax.random.split(key)
    layers = [
        nets.Dense(6, width, weight_variance=2.0, key=first),
        eqx.nn.Lambda(jax.nn.relu),
        nets.Dense(width, 2, key=last),
    ]
    return eqx.nn.Sequential(layers)


def test_a_search_finds_what_it_finds_for_the_same_layers(tmp_path):
    run = ceflow.run(ceflow.loads(OWN), tmp_path / "own", modules={"mine": make})
    mlp = SPEC.format(type="mlp", model="widths = [16]")
    same = ceflow.run(ceflow.loads(mlp), tmp_path / "mlp").results["best"]
    found = run.results["best"]
    for part in ("baseline", "primal", "dual"):
        one, two = getattr(found, part), getattr(same, part)
        assert (one.widths, one.multiplicity) == (two.widths, two.multiplicity)
        assert (one.parameters, one.flops) == (two.parameters, two.flops)
        assert one.variance == pytest.approx(two.variance, rel=1e-12)
    assert [each.parameters for each in found.compare] == [each.parameters for each in same.compare]
    assert any("1/width" in text for text in found.warnings)
    emitted = ceflow.load(tmp_path / "own" / "optimal.toml")
    plan = compile(emitted, modules={"mine": make})
    assert plan.root.parameters == found.primal.parameters
    assert ceflow.open(tmp_path / "own").results["best"].primal == found.primal


@pytest.mark.slow
def test_a_stage_acts_on_the_answer_and_its_document_computes_the_same(tmp_path):
    modules = {"mine": make}
    run = ceflow.run(ceflow.loads(OWN + KERNEL), tmp_path / "own", modules=modules)
    emitted = ceflow.load(tmp_path / "own" / "optimal.toml")
    again = ceflow.run(emitted, tmp_path / "again", modules=modules)
    np.testing.assert_array_equal(run.array("kernel"), again.array("kernel"))


def test_members_are_the_modules_of_the_keys_summed():
    member = External(name="mine", width=5, inputs=6)
    model = Ensemble(multiplicity=3, member=member)
    plan = compile(Document(model=model), modules={"mine": make})
    key, x = jax.random.key(2), jax.random.normal(jax.random.key(3), (6,))
    members = [make(each, 5)(x) for each in jax.random.split(key, 3)]
    module = plan.module(key)
    np.testing.assert_allclose(module(x), sum(members) / 3**0.5, rtol=1e-5)  # pyright: ignore
    assert plan.root.parameters == 3 * (6 * 5 + 5 * 2)


def test_members_of_the_same_weights_are_refused():
    text = '[model]\ntype = "ensemble"\nmultiplicity = 2\n[model.member]\ntype = "external"\n'
    with pytest.raises(SpecError) as caught:
        ceflow.loads(text + 'name = "mine"\nweights = "w.eqx"\n')
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == ("CE202", ("model", "member", "weights"))


def test_a_name_of_a_member_that_nothing_binds_is_said_where_it_is():
    model = Ensemble(multiplicity=2, member=External(name="mine", inputs=6))
    with pytest.raises(SpecError) as caught:
        compile(Document(model=model))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == ("CE207", ("model", "member", "name"))
