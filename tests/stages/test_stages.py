"""What each kind of stage finds, read back from one run of all of them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import zarr

import ceflow
from ceflow import stages
from ceflow.blocks import Curve, Table, number
from ceflow.kernels import analytic, empirical_ntk
from ceflow.runs.prepared import forecast
from ceflow.seeding import Seed
from ceflow.spec import Circle, Document, Ensemble, Gaussian, Kernel, Mlp, Model, Search, Variance
from ceflow.variance import exact_moments

TRAIN, OUTPUTS = 5, 2
MEMBER = Mlp(widths=(24, 24))
ROUNDING = 1e-12
"""Sums of a few hundred terms in double precision."""


def document(**keys: Any) -> Document:
    defaults: dict[str, Any] = {
        "data": Gaussian(train=TRAIN, inputs=3, outputs=OUTPUTS),
        "model": MEMBER,
    }
    return Document(**(defaults | keys))


ALL = document(
    stages={
        "alpha": Variance(ratios=(0.25, 0.5, 1.0)),
        "sampled": Variance(ratios=(0.5, 1.0), method="sample", draws=5000),
        "drawn": Variance(ratios=(1.0,), method="monte-carlo", draws=200),
        "best": Search(variance="alpha"),
        "infinite": Kernel(spectrum=True),
        "nngp": Kernel(kind="nngp", reference="infinite"),
        "baseline": Kernel(method="empirical", draws=4, reference="infinite"),
        "smooth": Kernel(method="empirical", model="best.primal", draws=2, reference="infinite"),
        "compact": Kernel(method="empirical", model="best.dual", reference="infinite"),
        "full": Kernel(method="empirical", outputs="full"),
    }
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    return ceflow.run(ALL, tmp_path_factory.mktemp("stages") / "run")


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    from ceflow import data

    assert ALL.data is not None
    return np.asarray(data.load(ALL.data, Path(), Seed(0).fold("data")).train.x)


# variance


def test_variance_has_the_keys_of_the_contract(done):
    for name in ("alpha", "sampled", "drawn"):
        values = done.results[name]
        assert {"alpha", "alpha_stderr", "method", "points"} <= set(values)
        for point in values["points"]:
            assert {"ratio", "fan_in_sum", "mean", "moment_ratio", "moment_ratio_stderr"} <= set(
                point
            )


def test_variance_by_default_takes_exact_moments(done):
    values = done.results["alpha"]
    assert values["method"] == "exact"
    assert [point["ratio"] for point in values["points"]] == [0.25, 0.5, 1.0]
    for point, n in zip(values["points"], (6, 12, 24), strict=True):
        moments = exact_moments(Mlp(widths=(n, n)))
        assert point["widths"] == [n, n]
        assert point["fan_in_sum"] == pytest.approx(2 / n)
        found = point["mean"], point["moment_ratio"]
        assert found == pytest.approx((moments.mean, moments.ratio), rel=ROUNDING)
        assert point["moment_ratio_stderr"] == 0
        log = math.log(moments.ratio)
        assert point["residual"] == pytest.approx(log - values["alpha"] * 2 / n, abs=ROUNDING)


@pytest.mark.parametrize("name", ["sampled", "drawn"])
def test_variance_from_draws_is_within_its_error_of_the_exact_one(done, name):
    for point in done.results[name]["points"]:
        exact = exact_moments(Mlp(widths=tuple(point["widths"]))).ratio
        # Six standard errors, and the draws are fixed by the seed.
        assert abs(point["moment_ratio"] - exact) < 6 * point["moment_ratio_stderr"]
        assert point["moment_ratio_stderr"] > 0


@pytest.mark.parametrize(
    ("change", "entries", "method"),
    [
        ({}, "diagonal", "exact"),
        ({"activation": "linear"}, "diagonal", "exact"),
        ({}, "off-diagonal", "monte-carlo"),
        ({"bias_variance": 0.1}, "diagonal", "monte-carlo"),
        ({"activation": "erf"}, "diagonal", "monte-carlo"),
    ],
)
def test_auto_takes_exact_moments_where_there_are_any(tmp_path, change, entries, method):
    keys: dict[str, Any] = {"widths": [6], "inputs": 3, "outputs": 1} | change
    stage = Variance(entries=entries, draws=100, ratios=(1.0,))
    run = ceflow.run(Document(model=Mlp(**keys), stages={"a": stage}), tmp_path / "run")
    assert run.results["a"]["method"] == method


def test_ratios_that_round_to_the_same_widths_count_once(tmp_path):
    stage = Variance(ratios=(1.0, 0.1, 0.12, 0.99))
    run = ceflow.run(document(model=Mlp(widths=(10,)), stages={"a": stage}), tmp_path / "run")
    assert [point["widths"] for point in run.results["a"]["points"]] == [[1], [10]]


@pytest.mark.parametrize(("ratios", "warned"), [((0.5, 0.8, 1.0), False), ((0.01, 0.5, 1.0), True)])
def test_variance_warns_where_the_law_does_not_hold(tmp_path, ratios, warned):
    # At width 1 log(E[K^2]/E[K]^2)/S is far from its limit; at 100 and 200 it is within 1 %.
    stage, model = Variance(ratios=ratios), Mlp(widths=(200,) * 5)
    run = ceflow.run(document(model=model, stages={"a": stage}), tmp_path / "run")
    assert bool(run.results["a"]["warnings"]) is warned


def test_variance_of_an_ensemble_is_of_its_members(tmp_path):
    stage = {"alpha": Variance(ratios=(0.25, 0.5, 1.0))}
    ensemble = Ensemble(multiplicity=3, member=MEMBER)
    run = ceflow.run(document(model=ensemble, stages=stage), tmp_path / "run")
    alone = ceflow.run(document(stages=stage), tmp_path / "alone")
    assert run.results == alone.results


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_networks_of_which_no_draw_is_alive_are_reported_in_a_sentence(tmp_path):
    # Width 1 at depth 16: a network is alive with probability 2^-16.
    model = Mlp(widths=(20,) * 16, inputs=3, outputs=1)
    stage = Variance(method="sample", draws=100, ratios=(0.05, 0.5, 1.0))
    found = ceflow.run(Document(model=model, stages={"a": stage}), tmp_path / "run").results["a"]
    assert any("all networks were dead" in warning for warning in found["warnings"])


# search


def test_search_has_the_keys_of_the_contract(done):
    values = done.results["best"]
    assert {"primal", "dual", "near_optimal", "curve"} <= set(values)
    for part in ("primal", "dual"):
        keys = {"widths", "multiplicity", "parameters", "flops", "efficiency", "variance"}
        assert keys <= set(values[part])


def test_search_takes_alpha_from_the_stage_it_names(done):
    assert done.results["best"]["alpha"] == done.results["alpha"]["alpha"]


@pytest.mark.parametrize("part", ["primal", "dual"])
def test_answers_count_whole_networks(done, part):
    values = done.results["best"][part]
    (n, again), m = values["widths"], values["multiplicity"]
    assert n == again
    assert values["parameters"] == m * (3 * n + n * n + OUTPUTS * n)
    assert values["flops"] == 2 * values["parameters"]
    assert abs(m - values["multiplicity_exact"]) <= 0.5  # cost is linear in m


def test_primal_costs_and_dual_varies_as_the_baseline(done):
    values = done.results["best"]
    base = 3 * 24 + 24 * 24 + OUTPUTS * 24
    assert values["baseline"]["parameters"] == base
    primal, dual = values["primal"], values["dual"]
    member = primal["parameters"] / primal["multiplicity"]
    assert primal["multiplicity_exact"] * member == pytest.approx(base)
    assert primal["efficiency"] == pytest.approx(1)
    varies = values["baseline"]["variance"]
    assert dual["variance"] == pytest.approx(varies)
    assert dual["efficiency"] * primal["variance"] == pytest.approx(varies)
    for network in (primal, dual):
        assert network["rounded"]["efficiency"] == pytest.approx(base / network["parameters"])


def test_best_is_the_lowest_point_of_the_curve_and_among_the_near_optimal(done):
    values = done.results["best"]
    lowest = min(values["curve"], key=lambda point: point["variance"])
    assert lowest["widths"] == values["primal"]["widths"] == values["dual"]["widths"]
    assert lowest["variance"] == pytest.approx(values["primal"]["variance"])
    near = {tuple(point["widths"]): point for point in values["near_optimal"]}
    assert near[tuple(lowest["widths"])]["objective_ratio"] == 1
    assert all(1 <= point["objective_ratio"] <= 1.02 for point in near.values())


def test_search_whose_objective_overflows_at_narrow_widths_still_ends(tmp_path):
    model = Mlp(widths=(20,) * 200)
    run = ceflow.run(document(model=model, stages={"best": Search(alpha=3.6)}), tmp_path / "run")
    assert run.results["best"]["primal"]["multiplicity"] >= 1


# kernel

KERNELS = ["infinite", "nngp", "baseline", "smooth", "compact", "full"]


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_array_is_zarr_of_the_shape_it_says(done, name):
    values = done.results[name]
    stored: Any = zarr.open_array(str(done.path / values["array"]), mode="r")
    shape = [TRAIN, TRAIN, OUTPUTS, OUTPUTS] if name == "full" else [TRAIN, TRAIN]
    assert list(stored.shape) == values["shape"] == shape
    assert stored.dtype == np.float64
    np.testing.assert_array_equal(stored[...], done.array(name))


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_trace_is_that_of_the_array(done, name):
    array = done.array(name)
    matrix = np.einsum("ijaa->ij", array) if name == "full" else array
    assert done.results[name]["trace"] == pytest.approx(np.trace(matrix), rel=ROUNDING)


@pytest.mark.parametrize("name", ["nngp", "compact"])
def test_distance_of_a_single_kernel_is_that_of_its_array(done, name):
    array, reference = done.array(name), done.array("infinite")
    expected = np.sqrt(((array - reference) ** 2).sum() / (reference**2).sum())
    assert done.results[name]["distance"] == pytest.approx(expected, rel=ROUNDING)
    assert done.results[name]["reference"] == "infinite"


def test_analytic_kernels_are_those_of_the_library(done, inputs):
    with jax.enable_x64(True):
        both = analytic(MEMBER, inputs)
        np.testing.assert_allclose(done.array("infinite"), both.ntk, rtol=ROUNDING)
        np.testing.assert_allclose(done.array("nngp"), both.nngp, rtol=ROUNDING)


def test_spectrum_is_that_of_the_array(done):
    values, eigenvalues = done.results["infinite"], np.linalg.eigvalsh(done.array("infinite"))
    assert values["eigenvalue_max"] == pytest.approx(eigenvalues[-1], rel=ROUNDING)
    assert values["eigenvalue_min"] == pytest.approx(eigenvalues[0], rel=1e-9)  # condition < 1000
    assert values["condition"] == pytest.approx(eigenvalues[-1] / eigenvalues[0], rel=1e-9)


def test_singular_kernel_has_no_condition_number(tmp_path):
    # The first and the last point of the circle are the same.
    keys: dict[str, Any] = {"data": Circle(points=5), "stages": {"k": Kernel(spectrum=True)}}
    run = ceflow.run(document(**keys), tmp_path / "run")
    assert run.results["k"]["condition"] is None


def kernels_of(name: str, count: int, model: Model, inputs: np.ndarray) -> list[np.ndarray]:
    """The kernels a stage drew, drawn again: draw number i is keyed by i."""
    plan, seed = ceflow.compile(ALL), Seed(0).fold("stages").fold(name)
    with jax.enable_x64(True):
        modules = [plan.module_of(model, seed.fold(i).jax()) for i in range(count)]
        kernels = [empirical_ntk(module, inputs, trace=True) for module in modules]  # type: ignore[arg-type]
        return [np.asarray(kernel) / OUTPUTS for kernel in kernels]


def test_statistics_over_draws_are_those_of_the_kernels(done, inputs):
    values, reference = done.results["baseline"], done.array("infinite")
    drawn = np.array(kernels_of("baseline", 4, ceflow.compile(ALL).model, inputs))
    norm = np.linalg.norm(reference)
    distances = [np.linalg.norm(kernel - reference) / norm for kernel in drawn]
    mean = drawn.mean(axis=0)
    assert values["draws"] == 4
    np.testing.assert_allclose(done.array("baseline"), drawn[0], rtol=1e-10)  # jitted or not
    assert values["distance"] == pytest.approx(np.mean(distances), rel=1e-10)
    assert values["distance_stderr"] == pytest.approx(np.std(distances, ddof=1) / 2, rel=1e-10)
    assert values["distance_of_mean"] == pytest.approx(
        np.linalg.norm(mean - reference) / norm, rel=1e-10
    )
    spread = np.sqrt(drawn.var(axis=0, ddof=1).sum() / (mean**2).sum())
    assert values["spread"] == pytest.approx(spread, rel=1e-8)  # from a difference of squares


@pytest.mark.parametrize(("name", "part"), [("smooth", "primal"), ("compact", "dual")])
def test_stages_act_on_the_answers_of_a_search(done, inputs, name, part):
    found = done.results["best"][part]
    member = MEMBER.model_copy(
        update={"widths": tuple(found["widths"]), "inputs": 3, "outputs": OUTPUTS}
    )
    model = Ensemble(multiplicity=found["multiplicity"], member=member)
    (kernel,) = kernels_of(name, 1, model, inputs)
    np.testing.assert_allclose(done.array(name), kernel, rtol=1e-10)  # jitted or not


def test_full_kernel_is_symmetric_under_exchange_of_examples_and_outputs(done):
    array = done.array("full")
    np.testing.assert_allclose(array, array.transpose(1, 0, 3, 2), rtol=1e-10)  # order of sums


# what stages will need, and what they have to show


def larger(change: dict[str, Any]) -> tuple[float, float]:
    keys: dict[str, Any] = {"data": Gaussian(train=50, inputs=3, outputs=OUTPUTS), "model": MEMBER}
    plans = (ceflow.compile(Document(**each)) for each in (keys, keys | change))
    stage = Kernel(method="empirical")
    small, big = (forecast(plan, stage, plan.model).memory for plan in plans)
    return small, big


@pytest.mark.parametrize(
    "change",
    [
        {"data": Gaussian(train=500, inputs=3, outputs=OUTPUTS)},
        {"data": Gaussian(train=50, inputs=3, outputs=20)},
        {"model": Mlp(widths=(2400, 2400))},
        {"model": Ensemble(multiplicity=100, member=MEMBER)},
    ],
)
def test_kernel_forecast_grows_with_what_takes_memory(change):
    small, big = larger(change)
    assert big > 2 * small


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_kernel_forecast_is_at_least_the_matrix_and_its_disk_is_the_matrix(precision):
    plan = ceflow.compile(
        document(data=Gaussian(train=300, inputs=3, outputs=OUTPUTS), precision=precision)
    )
    matrix = 300**2 * (8 if precision == "float64" else 4)
    for stage in (Kernel(), Kernel(method="empirical")):
        found = forecast(plan, stage, plan.model)
        assert found.disk == matrix
        assert found.memory > 2 * matrix
        assert found.key == "data.train"
    full = forecast(plan, Kernel(method="empirical", outputs="full"), plan.model)
    assert full.disk == matrix * OUTPUTS**2


def test_exact_method_needs_no_memory_for_draws():
    plan = ceflow.compile(document())
    assert forecast(plan, Variance(draws=10**12), plan.model).memory < 1e9


def test_memory_does_not_grow_with_the_draws():
    plan = ceflow.compile(document())
    for method in ("sample", "monte-carlo"):
        variances = (Variance(method=method, draws=n) for n in (10**4, 10**12))
        few, many = (forecast(plan, stage, plan.model) for stage in variances)
        assert few.memory == many.memory


@pytest.mark.parametrize("name", list(ALL.stages))
def test_every_stage_has_blocks_to_show(done, name):
    blocks = stages.kind_of(ALL.stages[name]).describe(done.results[name])
    assert any(isinstance(block, Table) for block in blocks)
    for block in blocks:
        if isinstance(block, Table):
            assert {len(row) for row in block.rows} == {len(block.columns)}
        if isinstance(block, Curve):
            assert all(len(series.x) == len(series.y) > 0 for series in block.series)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-3, "-3"),
        (1234567, "1,234,567"),
        (2.0, "2"),
        (0.034738, "0.03474"),
        (12345.678, "1.235e+04"),
        (1e15, "1e+15"),
        (float("inf"), "inf"),
        (float("nan"), "not finite"),
        ("text", "text"),
    ],
)
def test_numbers_are_shown_to_four_digits(value, shown):
    assert number(value) == shown


def test_job_streams_differ_by_stage_name():
    of: Callable[[str], float] = lambda name: (  # noqa: E731
        Seed(0).fold("stages").fold(name).numpy().standard_normal()
    )
    assert len({of("a"), of("b"), of("ab")}) == 3
