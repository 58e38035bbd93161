"""The `variance` stage: what is measured, at which inputs, and what is said of the fit."""

import math
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow.blocks import Curve, Note
from ceflow.seeding import Seed
from ceflow.spec import (
    Block,
    Document,
    Ensemble,
    Gaussian,
    Mlp,
    Model,
    Npz,
    Resnext,
    SpecError,
    Stage,
    Variance,
)
from ceflow.stages import kind_of
from ceflow.variance import draw_inputs, exact_moments, fit_alpha

MLP = Mlp(widths=(24, 24), inputs=3, outputs=2)
BLOCK = Block(channels=4, widths=(16, 16))
RATIOS = (0.25, 0.5, 1.0)


@pytest.fixture
def fit(tmp_path):
    """Results of one variance stage called a."""

    def run(model: Model, data: Any = None, **keys: Any) -> dict[str, Any]:
        stages: dict[str, Stage] = {"a": Variance(**{"ratios": RATIOS, **keys})}
        document = Document(model=model, data=data, stages=stages)
        return ceflow.run(document, mkdtemp(dir=tmp_path)).results["a"]

    return run


def patch(law: Any, shape: tuple[int, ...] = (4, 3, 3)) -> np.ndarray:
    """The input that stage a has."""
    random = Seed(0).fold("stages").fold("a").fold("inputs").numpy()
    return draw_inputs(shape, law, random)[0]


@pytest.mark.parametrize("law", ["iid", "rectified"])
def test_a_block_is_measured_at_one_patch(fit, law):
    found = fit(BLOCK, inputs_law=law)
    assert found["method"] == "exact"
    for point, n in zip(found["points"], (4, 8, 16), strict=True):
        moments = exact_moments(Block(channels=4, widths=(n, n)), patch(law))
        assert (point["mean"], point["moment_ratio"]) == (moments.mean, moments.ratio)
        assert point["fan_in_sum"] == pytest.approx(1 / 4 + 1 / (9 * n) + 1 / n)


@pytest.mark.parametrize(
    ("method", "ratios"),
    [
        pytest.param("sample", RATIOS, id="sample"),
        # XLA takes minutes to run a convolution of weights drawn anew each time
        pytest.param("monte-carlo", (0.5,), id="weights", marks=pytest.mark.slow),
    ],
)
def test_draws_of_a_block_are_within_their_error(fit, method, ratios):
    for point in fit(BLOCK, method=method, draws=3000, ratios=ratios)["points"]:
        n = point["widths"][0]
        exact = exact_moments(Block(channels=4, widths=(n, n)), patch("rectified")).ratio
        # six standard errors, and the draws are fixed by the seed
        assert abs(point["moment_ratio"] - exact) < 6 * point["moment_ratio_stderr"]
        assert point["draws"] == 3000


def test_a_block_of_groups_is_measured_by_one_of_them(fit):
    grouped = BLOCK.model_copy(update={"cardinality": 7, "projection": True})
    assert fit(grouped)["points"] == fit(BLOCK)["points"]


def test_a_resnext_is_measured_by_its_block_behind_a_relu(fit):
    found = fit(Resnext(blocks=[1], base_width=32))
    moments = exact_moments(Block(widths=(32, 32)), patch("rectified", (256, 3, 3)))
    assert found["points"][-1]["moment_ratio"] == moments.ratio


def test_inputs_may_be_those_of_the_data(fit, tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (3, 36))
    np.savez(tmp_path / "patches.npz", x=x, y=np.ones((3, 1)))
    data = Npz(path=str(tmp_path / "patches.npz"))
    found = fit(BLOCK, data, inputs_law="data")
    moments = exact_moments(BLOCK, x[0].reshape(4, 3, 3))
    assert found["points"][-1]["mean"] == pytest.approx(moments.mean, rel=1e-12)  # rounding
    assert found["points"][-1]["moment_ratio"] == pytest.approx(moments.ratio, rel=1e-12)


def test_an_off_diagonal_entry_takes_two_examples(fit):
    keys = {"inputs_law": "data", "entries": "off-diagonal", "draws": 100, "ratios": (1.0,)}
    assert fit(MLP, Gaussian(inputs=3, outputs=2, train=2), **keys)["method"] == "monte-carlo"
    with pytest.raises(SpecError, match="needs two training examples; the data have one"):
        fit(MLP, Gaussian(inputs=3, outputs=2, train=1), **keys)


def test_a_resnext_takes_no_example_of_the_data(fit):
    with pytest.raises(SpecError, match="acts on 256 channels, not on examples"):
        fit(Resnext(blocks=[1], base_width=8), Gaussian(inputs=3072, outputs=10), inputs_law="data")


def test_error_is_reached_at_every_width_with_as_many_draws_as_that_takes(fit):
    found = fit(BLOCK, method="sample", error=0.04)
    for point in found["points"]:
        log_error = point["moment_ratio_stderr"] / point["moment_ratio"]
        assert log_error / math.log(point["moment_ratio"]) <= 0.04
        assert 1000 <= point["draws"] < 100_000
    assert not any("raise draws" in warning for warning in found["warnings"])
    again = fit(BLOCK, method="sample", error=0.04)
    assert again["points"] == found["points"]


def test_error_that_is_not_reached_is_said_with_its_widths(fit):
    found = fit(BLOCK, method="sample", error=1e-4, draws=1000)
    (warning,) = [text for text in found["warnings"] if "raise draws" in text]
    assert warning.startswith("widths 2 x 4, 2 x 8, 2 x 16: an error of 0.")
    assert "after 1,000 draws, not 0.0001" in warning


def test_widths_with_a_heavy_tail_are_named_where_they_are_drawn(fit):
    model, ratios = Block(widths=(32, 32)), (1 / 32, 2 / 32, 0.5, 1.0)
    found = fit(model, method="sample", ratios=ratios)
    (warning,) = [text for text in found["warnings"] if "heavy tail" in text]
    assert warning.startswith("widths 2 x 1, 2 x 2: K has a heavy tail")
    exact = fit(model, method="exact", ratios=ratios)
    assert not any("heavy tail" in text for text in exact["warnings"])
    assert any("misses widths 2 x 1" in text for text in exact["warnings"])


def test_a_width_that_decides_alpha_alone_is_named(fit, monkeypatch):
    # Draws have errors nearly in proportion to S, so all points weigh much the same.
    assert not any("alone" in text for text in fit(MLP, method="sample")["warnings"])
    shares = fit_alpha([0.1, 0.2, 0.3], [1.3, 1.8, 2.4], [1e-3, 0.1, 0.1])
    monkeypatch.setattr("ceflow.variance.fit_alpha", lambda *_: shares)
    found = fit(MLP, method="sample")
    assert "widths 2 x 6 alone determine 100% of alpha" in found["warnings"]
    assert found["points"][0]["leverage"] > 0.99


@pytest.mark.parametrize(("ratios", "text"), [((1.0,), "one point"), ((0.5, 1.0), "two points")])
@pytest.mark.parametrize("method", ["exact", "sample"])
def test_a_fit_of_few_points_says_so(fit, ratios, text, method):
    found = fit(MLP, ratios=ratios, method=method)
    assert any(text in warning for warning in found["warnings"])
    assert not any("points" in warning for warning in fit(MLP)["warnings"])


def test_alpha_of_what_does_not_vary_is_undefined(fit, monkeypatch):
    monkeypatch.setattr("ceflow.variance.exact_moments", lambda *_: FixedMoments)
    found = fit(MLP)
    assert (found["alpha"], len(found["points"])) == (None, len(RATIOS))
    assert found["warnings"][0].startswith("alpha is undefined: the fit gives 0, not above 0")


class FixedMoments:
    mean, ratio = 1.0, 1.0


def test_of_an_input_of_zero_no_width_has_moments(fit, tmp_path):
    np.savez(tmp_path / "zero.npz", x=np.zeros((1, 3)), y=np.ones((1, 2)))
    found = fit(MLP, Npz(path=str(tmp_path / "zero.npz")), inputs_law="data")
    said = "left out, as its moments are undefined: widths 2 x 6: x is 0, and so is the NTK"
    assert found["warnings"][0].startswith(said)
    assert (found["alpha"], found["points"]) == (None, [])


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (Mlp(widths=(4,), inputs=2, outputs=1, activation="tanh"), "the activation 'tanh'"),
        (Mlp(widths=(4,), inputs=2, outputs=1, bias_variance=1.0), "networks with biases"),
        (Block(widths=(4, 4), activation="silu"), "the activation 'silu'"),
    ],
)
@pytest.mark.parametrize("method", ["exact", "sample"])
@pytest.mark.parametrize("ensemble", [False, True])
def test_a_method_that_does_not_apply_is_a_fault(model, path, method, ensemble):
    if ensemble and isinstance(model, Mlp):
        model = Ensemble(multiplicity=3, member=model)
    stages: dict[str, Stage] = {"a": Variance(method=method)}
    (fault,) = Document(model=model, stages=stages).faults()
    assert (fault.code, fault.path) == ("CE203", ("stages", "a", "method"))
    assert f"method '{method}' is not for {path}" in fault.message


def test_report_tells_method_draws_and_law(fit):
    stage = Variance(method="sample")
    note, *_, figure = kind_of(stage).describe(fit(BLOCK, method="sample", draws=2500))
    assert isinstance(note, Note)
    assert "method sample, 2,500 draws" in note.text
    assert isinstance(figure, Curve)
    assert [len(series.x) for series in figure.series] == [3, 3]


def test_report_tells_fewest_and_most_draws(fit):
    found = fit(BLOCK, method="sample", error=0.03)
    draws = [point.draws for point in found.points]
    note, *_ = kind_of(Variance()).describe(found)
    assert isinstance(note, Note)
    least, most = min(draws), max(draws)
    shown = f"{least:,} draws" if least == most else f"{least:,} to {most:,} draws"
    assert shown in note.text


@pytest.mark.parametrize(
    "model",
    [
        *(
            Mlp(widths=[n] * depth, inputs=64, outputs=10)
            for n in (20, 64, 500)
            for depth in (2, 5)
        ),
        Block(widths=[64, 64]),
    ],
)
def test_default_ratios_give_no_warning_about_themselves(fit, model):
    """The ratios from 0.05 on gave one for all of these, but for the widths of 500."""
    found = fit(model, ratios=None)
    assert found["warnings"] == []
    assert min(found["points"][0]["widths"]) >= 8


def test_default_ratios_of_networks_that_are_drawn_begin_at_wider_ones():
    model = Mlp(widths=[200, 100], activation="gelu")
    assert model.ratio_widths(Variance().ratios_of(model)[0]) == (32, 16)
    assert Variance().ratios_of(Mlp(widths=[3, 5]))[0] == 0.5
    assert Variance(ratios=[0.1]).ratios_of(model) == (0.1,)
