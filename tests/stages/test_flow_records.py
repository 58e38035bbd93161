"""What the flow stage records of the NTK, of one network and of replicas, and that it is the same
from run to run."""

from typing import Any

import jax
import numpy as np
import pytest
from stubs import stub
from test_flow import MLP, OUTPUTS, TRAIN, array, document, drawn, examples, lines

import ceflow
from ceflow import dynamics, kernels
from ceflow.runs.prepared import forecast
from ceflow.spec import Ensemble, Flow, Gaussian, Kernel
from ceflow.stages import KINDS
from ceflow.stages.flow import problem

ALL = ("drift", "kernel", "alignment", "spectrum", "derivatives")
PAIRS = ((0, 1), (2, 2), (3, 1))
REPLICAS = 5
ENSEMBLE = Ensemble(multiplicity=3, member=MLP)
STAGES = {
    "all": Flow(time=1.0, points=2, record=ALL, rtol=1e-8),
    "some": Flow(time=1.0, points=2, record=("drift",), entries=PAIRS, start="all", rtol=1e-8),
    "several": Flow(
        time=1.0, points=2, record=("drift", "derivatives"), entries=PAIRS, replicas=REPLICAS
    ),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return ceflow.run(document(STAGES, model=ENSEMBLE), tmp_path_factory.mktemp("flow") / "run")


def ntk(index: int = 0, name: str = "all") -> np.ndarray:
    """At the start."""
    with jax.enable_x64(True):
        module = drawn(document(STAGES, model=ENSEMBLE), name, index)
        return np.asarray(kernels.empirical_ntk(module, examples().train.x, trace=True)) / OUTPUTS


def test_the_whole_kernel_is_kept_at_every_moment(done):
    kept = array(done, "all.kernel")
    assert kept.shape == (3, TRAIN, TRAIN)
    np.testing.assert_allclose(kept[0], ntk(), rtol=1e-12)  # rounding
    assert np.abs(kept[1] - kept[0]).max() > 1e-4


def test_what_is_said_of_the_kernel_is_so_of_the_one_kept(done):
    kept, targets = array(done, "all.kernel"), examples().train.y
    for kernel, line in zip(kept, lines(done, "all"), strict=True):
        above = np.triu_indices(TRAIN, 1)
        assert line["drift"] == pytest.approx(np.median(np.abs(kernel - kept[0])[above]))
        relative = np.linalg.norm(kernel - kept[0]) / np.linalg.norm(kept[0])
        assert line["drift_relative"] == pytest.approx(relative)
        assert line["alignment"] == pytest.approx(kernels.alignment(kernel, targets))
        eigenvalues = np.linalg.eigvalsh(kernel)
        assert line["eigenvalue_max"] == pytest.approx(eigenvalues[-1])
        assert line["eigenvalue_min"] == pytest.approx(eigenvalues[0])


def test_entries_are_those_of_the_kernel(done):
    kept = array(done, "all.kernel")
    for kernel, line in zip(kept, lines(done, "some"), strict=True):
        assert line["entries"] == pytest.approx([kernel[pair] for pair in PAIRS], rel=1e-9)
    moved = [np.abs(kept[-1] - kept[0])[pair] for pair in PAIRS]
    assert done.results["some"]["drift"] == pytest.approx(np.median(moved), rel=1e-6)
    assert "drift_relative" not in done.results["some"]


def test_derivatives_are_those_of_the_kernel_in_time(tmp_path):
    """By finite differences of a flow at t = 0."""
    step = 1e-3
    flow = Flow(time=4 * step, points=4, record=("kernel", "derivatives"), rtol=1e-12, atol=1e-14)
    run = ceflow.run(document({"flow": flow}), tmp_path / "run")
    kept = array(run, "flow.kernel")
    first = (-25 * kept[0] + 48 * kept[1] - 36 * kept[2] + 16 * kept[3] - 3 * kept[4]) / (12 * step)
    second = (35 * kept[0] - 104 * kept[1] + 114 * kept[2] - 56 * kept[3] + 11 * kept[4]) / (
        12 * step**2
    )
    above = np.triu_indices(TRAIN, 1)
    found = run.results["flow"]
    # errors of order step^4 and step^3
    assert found["derivative_1"] == pytest.approx(np.median(np.abs(first[above])), rel=1e-6)
    assert found["derivative_2"] == pytest.approx(np.median(np.abs(second[above])), rel=1e-3)


def test_of_replicas_the_median_and_its_error(done):
    starts = np.stack([ntk(index, "several") for index in range(REPLICAS)])
    pairs = tuple(np.transpose(PAIRS))
    first, *_, last = lines(done, "several")
    assert first["entries"] == pytest.approx(np.median(starts[:, *pairs], axis=0), rel=1e-9)
    assert (first["drift"], first["drift_stderr"]) == (0, 0)
    assert last["drift"] > 0
    assert last["drift_stderr"] > 0
    assert {f"derivative_{r}{end}" for r in (1, 2, 3) for end in ("", "_stderr")} <= set(
        done.results["several"]
    )
    assert array(done, "several.predictions").shape == (REPLICAS, TRAIN + 3, OUTPUTS)


def test_a_replica_flows_as_it_does_alone(done, x64):
    index = 3
    module, found = drawn(document(STAGES, model=ENSEMBLE), "several", index), examples()
    flow, start = dynamics.parameter_flow(
        module, found.train.x, found.train.y, dynamics.SquaredError()
    )
    result = dynamics.integrate(flow, start, [0.0, 1.0], rtol=1e-10, atol=1e-12)
    ours = array(done, "several.predictions")[index, :TRAIN]
    np.testing.assert_allclose(ours, flow.outputs(result.state), atol=1e-4)  # rtol 1e-6 a step


@pytest.mark.slow
def test_groups_of_replicas_change_nothing(done, tmp_path, monkeypatch):
    monkeypatch.setattr(problem, "MEMORY", 2 * problem.STATE_COPIES * 8 * 3 * 204)  # two networks
    assert problem.group_size(8 * 3 * 204, REPLICAS) == 2
    again = ceflow.run(document(STAGES, model=ENSEMBLE), tmp_path / "run")
    for name in STAGES:
        np.testing.assert_allclose(
            array(again, f"{name}.predictions"), array(done, f"{name}.predictions"), atol=1e-10
        )
    assert again.results["several"]["drift"] == pytest.approx(done.results["several"]["drift"])


def test_the_same_seed_gives_the_same_numbers_and_a_stage_more_changes_none(done, tmp_path):
    stages = {"before": Kernel(), "all": STAGES["all"]}
    again = ceflow.run(document(stages, model=ENSEMBLE), tmp_path / "run")
    assert dict(again.results["all"]) == dict(done.results["all"])
    other = document({"all": STAGES["all"]}, model=ENSEMBLE, seed=1)
    changed = ceflow.run(other, tmp_path / "other").results["all"]
    assert changed["drift"] != again.results["all"]["drift"]


def test_of_one_example_the_drift_is_that_of_its_own_entry(tmp_path):
    flow = Flow(time=1.0, points=1, record=("drift", "kernel"))
    one = Gaussian(train=1, inputs=3, outputs=OUTPUTS)
    run = ceflow.run(document({"flow": flow}, data=one), tmp_path / "run")
    (start, end), values = array(run, "flow.kernel"), run.results["flow"]
    assert values["drift"] == pytest.approx(abs(end - start).item(), rel=1e-12)
    assert values["drift"] > 0
    assert "warnings" not in values


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_arrays_are_of_the_documents_precision(precision, tmp_path):
    stages = {
        "flow": Flow(time=1.0, points=1, record=("kernel",)),
        "closed": Flow(time=1.0, engine="closed-form", start="flow"),
    }
    run = ceflow.run(document(stages, precision=precision), tmp_path / "run")
    for name in ("flow.predictions", "flow.kernel", "closed.predictions"):
        assert array(run, name).dtype.name == precision
    assert run.results["flow"]["rtol"] == {"float32": 1e-4, "float64": 1e-6}[precision]


def test_an_interrupted_flow_starts_again_and_ends_alike(tmp_path, monkeypatch):
    asked = document({"flow": Flow(time=1.0, points=2), "next": Flow(time=1.0, points=1)})
    kind = KINDS[Flow]
    calls: list[Any] = []

    def failing(job):
        calls.append(job.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return kind.run(job)

    stub(monkeypatch, Flow, run=failing)
    with pytest.raises(KeyboardInterrupt):
        ceflow.run(asked, tmp_path / "run")
    resumed = ceflow.run(asked, tmp_path / "run")
    whole = ceflow.run(asked, tmp_path / "whole")
    assert calls == ["flow", "next", "next", "flow", "next"]
    assert dict(resumed.results) == dict(whole.results)
    for name in ("flow", "next"):
        text = f"metrics/{name}.jsonl"
        assert (resumed.path / text).read_bytes() == (whole.path / text).read_bytes()


def test_more_replicas_and_wider_networks_are_forecast_to_need_more():
    def needed(width: int, replicas: int, engine: Any = "parameters"):
        model = MLP.model_copy(update={"widths": (width, width)})
        flow = Flow(time=1.0, replicas=replicas, engine=engine)
        data = Gaussian(train=100, inputs=10)
        plan = ceflow.compile(document({"flow": flow}, model=model, data=data))
        return forecast(plan, flow, plan.model)

    weights_of_49 = 49 * 8 * 11_000
    assert needed(100, 50).memory > needed(100, 1).memory + weights_of_49
    assert needed(100, 10**6).memory < needed(100, 1).memory + 2 * problem.MEMORY  # groups
    assert needed(10**6, 1).memory > 1e12
    assert needed(10**6, 1).key == "model.widths"
    assert needed(100, 50).work.flops == pytest.approx(50 * needed(100, 1).work.flops, rel=0.1)
    assert needed(10, 1, "closed-form").memory >= 8 * 100**2
