"""What all runs of a sweep will take together."""

import math
from typing import Any

import pytest

import ceflow
from ceflow.runs import prepare
from ceflow.runs.rates import MachineRates
from ceflow.spec import Bottleneck, DeepGp, Document, Mlp, Sweep, Train
from ceflow.stages.train.forecast import LOADING_SECONDS

RATES = MachineRates(compilation=10.0)


def total(monkeypatch, **sweep: Any) -> float:
    """Seconds of all runs."""
    monkeypatch.setattr("ceflow.runs.prepared.rates", lambda: RATES)
    wide = Mlp(widths=(math.inf,), weight_variance=1.0)
    document = Document(
        data=DeepGp(train=20, test=20),
        model=Bottleneck(size=3, encoder=wide, decoder=wide),
        stages={"train": Train(steps=2, width=100)},
        sweep=Sweep.model_validate(sweep) if sweep else None,
    )
    return prepare(ceflow.compile(document)).total().seconds


def test_programs_are_compiled_once_for_each_model(monkeypatch):
    """Seeds and learning rates share programs, and sizes do not. Without programs, a training of 2
    steps takes little more than loading its data."""
    one = total(monkeypatch)
    for shared in ({"seed": [0, 1, 2]}, {"stages.train.learning_rate": [0.1, 0.2, 0.3]}):
        assert total(monkeypatch, **shared) == pytest.approx(one + 2 * LOADING_SECONDS, abs=0.1)
    sizes = total(monkeypatch, **{"model.size": [2, 3, 4]})
    assert sizes == pytest.approx(3 * one - 2 * RATES.start, rel=0.01)
