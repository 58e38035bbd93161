"""Kernel stages on networks of images: blocks and ResNeXts."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import ceflow
from ceflow.kernels import analytic, empirical_ntk
from ceflow.runs.prepared import forecast
from ceflow.runs.running import reopen
from ceflow.seeding import Seed
from ceflow.spec import Block, Digits, Document, Gaussian, Kernel, Model, Resnext, SpecError, Stage
from ceflow.store import RunDirectory

BLOCK = Block(channels=4, widths=[8, 8], cardinality=2, projection=True)
RESNEXT = Resnext(blocks=[1], cardinality=2, base_width=2)
PATCHES = Gaussian(inputs=36, outputs=2, train=5, test=2)


def inputs_of(document: Document) -> np.ndarray:
    from ceflow import data

    assert document.data is not None
    rows = data.load(document.data, Path(), Seed(0).fold("data")).train.x
    return ceflow.compile(document).examples(rows)


@pytest.mark.slow
def test_every_method_takes_a_block(tmp_path: Path, x64: None):
    stages: dict[str, Stage] = {
        "infinite": Kernel(ridge=0.1),
        "nngp": Kernel(kind="nngp"),
        "tiles": Kernel(tile=2, ridge=0.1),
        "drawn": Kernel(method="empirical", ridge=0.1),
        "mean": Kernel(method="mean", draws=400, reference="infinite"),
    }
    document = Document(data=PATCHES, model=BLOCK, stages=stages)
    done = ceflow.run(document, tmp_path / "run")
    x = inputs_of(document)
    assert x.shape == (5, 4, 3, 3)
    limits = analytic(BLOCK, x)
    np.testing.assert_array_equal(done.array("infinite"), limits.ntk)
    np.testing.assert_array_equal(done.array("nngp"), limits.nngp)
    np.testing.assert_allclose(done.array("tiles"), limits.ntk, rtol=1e-13)
    errors = [done.results[name]["test_mse"] for name in ("infinite", "tiles")]
    assert errors[0] == pytest.approx(errors[1], rel=1e-9)
    # the mean of 400 draws of one group of 8 channels: its own error, and the bias of 3 x 1/8
    found = done.results["mean"]
    assert found["distance"] < 5 * found["error"] + 3 / 8
    assert found["error"] < 0.1


def test_a_drawn_kernel_is_that_of_the_module(tmp_path: Path, x64: None):
    data = Digits(train=4, test=0, classes=["3", "8"])
    stages: dict[str, Stage] = {"drawn": Kernel(method="empirical", outputs="full")}
    document = Document(data=data, model=RESNEXT, stages=stages)
    done = ceflow.run(document, tmp_path / "run")
    x = inputs_of(document)
    assert x.shape == (4, 1, 8, 8)
    key = Seed(0).fold("stages").fold("drawn").fold(0).jax()
    plan = ceflow.compile(document)
    kernel = np.asarray(empirical_ntk(plan.module(key), x))
    # compiled apart: roundings
    np.testing.assert_allclose(done.array("drawn"), kernel, rtol=0, atol=1e-12 * kernel.max())
    assert reopen(RunDirectory(done.path)).data == plan.data  # the shape of the images too


def test_the_mean_over_one_group_is_that_over_all(x64: None):
    # a block's mean kernel is one group's, projection included (CE eq. 5)
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 3))

    def mean_and_error(model: Model) -> tuple[np.ndarray, np.ndarray]:
        plan = ceflow.compile(Document(model=model))

        def draw(key: jax.Array) -> jax.Array:
            return empirical_ntk(plan.module(key), x, trace=True)

        keys = jax.random.split(jax.random.key(1), 2000)
        draws = np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys))(keys))
        return draws.mean(axis=0), draws.std(axis=0) / np.sqrt(len(keys))

    (one, error), (all_, other) = map(mean_and_error, (BLOCK.single, BLOCK))
    # three entries: five standard errors of the difference, 2e-6 by chance
    assert (np.abs(one - all_) < 5 * np.hypot(error, other)).all()
    assert (np.hypot(error, other) < 0.03 * all_.max()).all()  # so 15 % would be seen


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_a_resnext_has_no_kernel_at_infinite_width(kind: Any):
    document = Document(data=Digits(train=4), model=RESNEXT, stages={"k": Kernel(kind=kind)})
    with pytest.raises(SpecError) as caught:
        ceflow.compile(document)
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == ("CE203", ("stages", "k", "method"))
    assert "batch normalisation has no kernel at infinite width" in fault.message


@pytest.mark.parametrize(("model", "data"), [(BLOCK, PATCHES), (RESNEXT, Digits(train=4))])
def test_more_examples_are_forecast_to_take_more(model: Model, data: Any):
    needs = []
    for train in (4, 400):
        stage = Kernel(method="empirical")
        more = data.model_copy(update={"train": train, "test": 0})
        plan = ceflow.compile(Document(data=more, model=model, stages={"k": stage}))
        needs.append(forecast(plan, stage, plan.model))
    assert needs[1].memory > 5 * needs[0].memory
    assert needs[1].work.flops > 50 * needs[0].work.flops
