"""The solvers of the regression of a kernel stage."""

import numpy as np
import pytest

import ceflow
from ceflow.kernels.costs import MOST_ITERATIONS
from ceflow.runs.prepared import forecast
from ceflow.spec import Document, Gaussian, Kernel, Mlp

TEXT = """
[data]
source = "digits"
train = 60
test = 30
[model]
type = "mlp"
widths = [inf]
[stages.cholesky]
type = "kernel"
ridge = 0.01
[stages.cg]
type = "kernel"
ridge = 0.01
solver = "cg"
[stages.tiles]
type = "kernel"
tile = 25
ridge = 0.01
solver = "cg"
tolerance = 1e-3
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    return ceflow.run(ceflow.loads(TEXT), tmp_path_factory.mktemp("solvers") / "run")


@pytest.mark.parametrize(("name", "room"), [("cg", 1e-4), ("tiles", 0.05)])
def test_errors_are_those_of_cholesky_to_the_tolerance(run, name, room):
    expected, found = run.results["cholesky"], run.results[name]
    for key in ("train_mse", "test_mse"):
        assert found[key] == pytest.approx(expected[key], rel=room)
    assert found.test_accuracy == expected.test_accuracy
    predictions = run.array("cholesky.predictions")
    np.testing.assert_allclose(run.array(f"{name}.predictions"), predictions, atol=room)
    assert found.residual <= (1e-3 if name == "tiles" else 1e-6)
    assert 1 <= found.iterations < 60
    assert not found.warnings


def test_standard_deviations_are_of_cholesky_alone(run):
    assert run.results["cholesky"].test_stddev is not None
    assert not {"std", "test_stddev", "test_nll"} & set(run.results["cg"])


def test_what_did_not_converge_is_a_warning(tmp_path, monkeypatch):
    solve = ceflow.kernels.conjugate_gradients
    monkeypatch.setattr(
        "ceflow.kernels.conjugate_gradients", lambda *given, **more: solve(*given, most=1, **more)
    )
    found = ceflow.run(ceflow.loads(TEXT), tmp_path / "run").results["cg"]
    (said,) = found.warnings
    assert "did not converge: after 1 iteration its residual is" in said
    assert "raise stages.cg.ridge or tolerance" in said
    assert found.test_mse is not None


FAULTY = {
    "a solver of nothing": (Kernel(solver="cg"), "solver", "there is none without ridge"),
    "a tolerance of Cholesky's": (Kernel(ridge=0.1, tolerance=0.1), "tolerance", "only the solver"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_keys_of_a_solver_that_is_not_used_are_faults(case):
    stage, key, words = FAULTY[case]
    document = Document(data=Gaussian(inputs=2), model=Mlp(widths=(9,)), stages={"k": stage})
    (fault,) = document.faults()
    assert (fault.code, fault.path) == ("CE202", ("stages", "k", key))
    assert words in fault.message
    assert fault.help


def test_many_examples_take_less_work_by_conjugate_gradients():
    data, needs = Gaussian(inputs=3, train=20_000), {}
    for solver in ("cholesky", "cg"):
        stage = Kernel(ridge=0.1, tile=1000, solver=solver)
        plan = ceflow.compile(Document(data=data, model=Mlp(widths=(9,)), stages={"k": stage}))
        needs[solver] = forecast(plan, stage, plan.model)
    assert needs["cg"].work.flops < needs["cholesky"].work.flops / 10
    most = needs["cg"].most
    assert most is not None
    assert most.traffic > MOST_ITERATIONS * 8 * 20_000**2
