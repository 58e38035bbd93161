"""What a train stage will need, against what it then needed; and what it shows."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest

import ceflow
from ceflow.blocks import Curve, Note, Table
from ceflow.history import History
from ceflow.runs import prepare
from ceflow.runs.prepared import forecast
from ceflow.spec import (
    Bottleneck,
    Circle,
    DeepGp,
    Document,
    Gaussian,
    Mlp,
    SpecError,
    Train,
    dumps,
)
from ceflow.stages.train import TrainResult, TrainStage

WIDE = Mlp(widths=(math.inf,), weight_variance=1.0)
MNIST = Gaussian(inputs=784, outputs=10, train=10_000, test=1000)
SMALL = Gaussian(inputs=3, train=6)


def document(stage: Train, size: float = 3, data: Any = SMALL, **keys: Any) -> Document:
    model = Bottleneck(size=size, encoder=WIDE, decoder=WIDE)
    return Document(data=data, model=model, stages={"t": stage}, **keys)


def needed(stage: Train, **keys: Any) -> float:
    """Bytes, without those of the process."""
    plan = ceflow.compile(document(stage, **keys))
    return forecast(plan, stage, plan.model).memory


def test_mnist_with_a_wide_bottleneck_needs_less_than_3_gb():
    """It was measured to need 1.6 GB, the process included."""
    stage = Train(steps=1000, batch=20)
    assert 0.8e9 < needed(stage, size=1000, data=MNIST, precision="float32") < 2.7e9


def test_theta_is_counted_where_it_is_kept():
    """Its rows alone are of the inputs' size."""
    many = Gaussian(inputs=5, train=40_000)
    kept = needed(Train(steps=10, batch=2), data=Gaussian(inputs=5, train=11_000))
    assert kept > 2 * 8 * 11_000**2
    assert needed(Train(steps=10, batch=2), data=many) < 8 * 40_000**2 / 10


@pytest.mark.parametrize("engine", ["features", "history"])
def test_memory_grows_with_steps_where_the_past_is_kept(engine):
    few, many = (needed(Train(steps=n, batch=6, engine=engine)) for n in (10, 10**6))
    assert (many > few + 1e8) == (engine == "history")


HUGE = 10**12
TOO_MUCH = {
    "width": (Train(steps=1, width=HUGE), {}, "stages.t.width"),
    "steps": (Train(steps=HUGE, engine="history"), {}, "stages.t.steps"),
    "epochs": (Train(epochs=HUGE, engine="history"), {}, "stages.t.epochs"),
    "points": (Train(steps=HUGE, points=HUGE, record=["embedding"]), {}, "stages.t.points"),
    "batch": (
        Train(steps=1, batch=10**6),
        {"data": Gaussian(inputs=1, train=10**6)},
        "stages.t.batch",
    ),
    "examples": (Train(steps=1), {"data": Gaussian(inputs=9, train=10**7)}, "data.train"),
    "angles": (Train(steps=1), {"data": Circle(points=10**7)}, "data.points"),
    "targets": (Train(steps=1, batch=2), {"data": DeepGp(train=10**6)}, "data.train"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_what_does_not_fit_is_refused_and_the_key_to_lower_named(case):
    stage, keys, key = TOO_MUCH[case]
    with pytest.raises(SpecError, match=r"CE401.*would need [\d.,]+ GB") as caught:
        prepare(ceflow.compile(document(stage, **keys)))
    assert caught.value.faults[0].help.startswith(f"lower {key}")
    assert ("set batch" in caught.value.faults[0].help) == (stage.batch is None)


def test_a_plan_of_it_does_not_load_jax(tmp_path):
    (tmp_path / "spec.toml").write_text(dumps(document(Train(steps=3))))
    program = (
        "import sys, ceflow; from ceflow.runs import prepare;"
        f"prepare(ceflow.compile(ceflow.load({str(tmp_path / 'spec.toml')!r})));"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


MEASURED = {
    "mnist": document(Train(steps=100, batch=20, points=2), 1000, MNIST, precision="float32"),
    "an infinite bottleneck": document(
        Train(steps=100, batch=20, points=2), math.inf, MNIST, precision="float32"
    ),
    "all examples": document(Train(steps=50), 5, Gaussian(inputs=10, outputs=3, train=2000)),
    "its past": document(
        Train(steps=1000, batch=20, engine="history", points=5), 10, DeepGp(test=500)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", MEASURED)
def test_memory_and_disk_are_as_forecast(case, tmp_path):
    """Within a factor of 2, as every example's are (tests/test_examples.py)."""
    path, out = tmp_path / "spec.toml", tmp_path / "run"
    path.write_text(dumps(MEASURED[case]))
    _, planned = (
        subprocess.run([sys.executable, "-m", "ceflow", *command], capture_output=True, check=True)
        for command in (["run", str(path), "--out", str(out)], ["plan", str(path), "--json"])
    )
    plan = json.loads(planned.stdout)["stages"]["t"]
    fact = json.loads((out / "run.json").read_text())["stages"]["t"]
    disk = sum(file.stat().st_size for file in (out / "arrays").rglob("*") if file.is_file())
    assert 0.5 < plan["memory"] / fact["memory"] < 2
    assert 0.5 < plan["disk"] / disk < 2
    assert fact["memory"] < 3e9


RESULTS: dict[str, Any] = {
    "engine": "features",
    "width": 10_000,
    "sampling": "iid",
    "batch": 20,
    "learning_rate": 0.25,
    "largest_learning_rate": 1.5,
    "steps": 20,
    "ended": "stop",
    "train_loss": 0.0,
    "train_accuracy": 1.0,
    "predictions": "t.predictions.zarr",
    "warnings": ["a sentence"],
}
LINES = [
    {"step": 10 * i, "train_loss": 2.0 - i, "train_accuracy": i / 2, "test_loss": None}
    for i in range(3)
]


def cells(block: Any) -> dict[Any, Any]:
    """Of a table of two columns."""
    assert isinstance(block, Table)
    return {row[0]: row[1] for row in block.rows}


def test_it_shows_how_it_ended_and_curves():
    history = History.of_lines([*LINES, LINES[-1]])
    losses, *rest = TrainStage().describe(TrainResult(**RESULTS, history=history))
    rows = cells(losses)
    assert rows["training"] == "features, width 10,000, iid"
    assert rows["steps"] == "20 of 20 examples"
    assert rows["largest stable at the start"] == "1.5"
    assert rows["ended"] == "the training loss is as low as asked for"
    loss, accuracy, note = rest
    assert isinstance(loss, Curve)
    assert (loss.name, loss.log_y) == ("loss", True)  # whoever draws it says what is not above 0
    assert isinstance(accuracy, Curve)
    assert (accuracy.name, accuracy.log_y, accuracy.x_label) == ("accuracy", False, "step")
    assert accuracy.series[0].y == (0.0, 0.5, 1.0, 1.0)
    assert note == Note("a sentence", warning=True)


def test_two_rates_are_shown_beside_each_other():
    rates = {"learning_rate": {"encoder": 0.5, "decoder": 1.0}, "largest_learning_rate": "inf"}
    (table, _) = TrainStage().describe(TrainResult(**(RESULTS | rates)))
    rows = cells(table)
    assert rows["learning rate"] == "encoder 0.5, decoder 1"
    assert rows["largest stable at the start"] == "inf"
