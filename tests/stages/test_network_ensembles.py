"""Variance and search of the ensemble inside a network: against the models that they generalise,
against other ways to draw, and against counts by hand.
"""

import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

import ceflow
from ceflow.compiler.layers import network as layers_of
from ceflow.compiler.lowering import lower
from ceflow.search import Timing
from ceflow.spec import Block, Budget, Document, Ensemble, Mlp, Model, Network, Search, Variance
from ceflow.spec.models.layers import EnsembleLayer
from ceflow.variance import draw_inputs, draw_ntk, estimate_moments

DENSE: list[Any] = [{"type": "dense", "units": 12}, "relu", {"type": "dense", "units": 8}, "relu"]
LAST: Any = {"type": "dense", "units": 2, "weight_variance": 1.0}
OLD = Ensemble(multiplicity=3, member=Mlp(widths=[12, 8], inputs=3, outputs=2))
NEW = Network(inputs=3, layers=[EnsembleLayer(multiplicity=3, layers=[*DENSE, LAST])])


def convolution(channels: int | None = None, kernel: int = 3, **keys: Any) -> dict[str, Any]:
    given = {} if channels is None else {"channels": channels}
    return {"type": "convolution", "kernel": kernel, **given, **keys}


def around(*layers: Any, members: int = 2) -> Network:
    """A network with an ensemble behind a ReLU, on images of 4 channels and 9 x 9."""
    inner = EnsembleLayer(multiplicity=members, layers=layers)
    before: list[Any] = [convolution(4, 1), "relu", {"type": "residual", "body": [inner]}]
    end: list[Any] = ["global-average", {**LAST, "units": 5}]
    return Network(inputs=(2, 9, 9), layers=[*before, *end])


BLOCK = [convolution(8, 1), "relu", convolution(8), "relu"]
BLOCK.append(convolution(4, 1, weight_variance=1.0))
INVERTED = [convolution(6, 1), "relu", convolution(groups="depthwise"), "relu", convolution(4, 1)]


def run(path: Path, model: Model, **stages: Any) -> Any:
    return ceflow.run(Document(model=model, stages=stages), path).results


METHODS = {
    "exact": {},
    "sample": {"method": "sample", "draws": 200},
    "monte-carlo": {"method": "monte-carlo", "draws": 100, "ratios": [1.0]},
}


@pytest.mark.parametrize("method", METHODS)
def test_variance_is_that_of_the_ensemble_that_the_network_is(tmp_path, method):
    stage = Variance(**{"ratios": [0.5, 1.0, 2.0], **METHODS[method]})
    pairs: list[tuple[Model, Model]] = [(OLD, NEW)]
    if method != "monte-carlo":
        pairs.append((Block(channels=4, widths=[8, 8]), around(*BLOCK)))
    for index, pair in enumerate(pairs):
        old, new = (
            run(tmp_path / f"{index}{k}", model, a=stage)["a"] for k, model in enumerate(pair)
        )
        assert new == old
        assert new.method == method


SEARCHES: dict[str, dict[str, Any]] = {
    "law": {"alpha": 3.0, "compare": ["2x4", "3x6-4"]},
    "exact": {"using": "exact"},
    "free": {"alpha": 3.0, "space": "free"},
    "budget": {"alpha": 3.0, "budget": Budget(parameters=300), "cost": "flops"},
}


@pytest.mark.parametrize("name", SEARCHES)
def test_search_finds_what_it_finds_of_the_ensemble(tmp_path, name):
    old, new = (
        run(tmp_path / str(k), model, s=Search(**SEARCHES[name]))["s"].table()
        for k, model in enumerate((OLD, NEW))
    )
    for part in ("primal", "dual"):
        (layer,) = new[part].pop("model")["layers"]
        member = old[part].pop("model")["member"]
        assert [each["units"] for each in layer["layers"][::2]] == [*member["widths"], 2]
        assert layer["multiplicity"] == old[part]["multiplicity"]
    assert new == old


def parameters(n: int, members: int) -> int:
    """Of `around(*INVERTED)` with other members, by hand."""
    return 2 * 4 + members * (4 * n + 9 * n + n * 4) + 4 * 5


def flops(n: int, members: int) -> int:
    return 2 * (81 * (2 * 4 + members * (4 * n + 9 * n + n * 4)) + 4 * 5)


def test_search_counts_whole_networks_and_emits_them(tmp_path):
    model = around(*INVERTED)
    stages: Any = {"s": Search(alpha=6.0, cost="flops", compare=["3x5"])}
    document = Document(model=model, stages=stages)
    found = ceflow.run(document, tmp_path / "run").results["s"]
    for _, each in found.shown:
        ((n,), m) = each.widths, each.multiplicity
        assert (each.parameters, each.flops) == (parameters(n, m), flops(n, m))
    assert found.baseline.fan_in_sum == 1 / 6
    assert found.baseline.variance == pytest.approx(math.expm1(1.0) / 2, rel=1e-12)
    for name in ("optimal", "optimal-dual"):
        emitted = ceflow.load(tmp_path / "run" / f"{name}.toml")
        answer = found.primal if name == "optimal" else found.dual
        assert emitted.model.layers[0] == model.layers[0]  # pyright: ignore
        arrays = jax.tree.leaves(ceflow.compile(emitted).module(jax.random.key(0)))
        assert sum(a.size for a in arrays if isinstance(a, jax.Array)) == answer.parameters
    assert any("m members of width n cost and vary as one" in each for each in found.warnings)


def test_latencies_are_those_of_whole_networks(tmp_path, monkeypatch):
    """On a machine whose time is that of the FLOPs, what is interpolated is what is counted."""

    def timed(job: Any, networks: list[Any]) -> list[Timing]:
        return [Timing(1e-9 * job.plan.expand(each).flops, 0.0, 5) for each in networks]

    for module in ("problem", "run"):
        monkeypatch.setattr(f"ceflow.stages.search.{module}.time_networks", timed)
    searches = (Search(alpha=6.0, cost=cost, compare=["3x5-5"]) for cost in ("latency", "flops"))
    found, counted = (
        run(tmp_path / str(k), around(*BLOCK), s=search)["s"] for k, search in enumerate(searches)
    )
    assert found.latency.shared == pytest.approx(1e-9 * flops(0, 0), rel=1e-9)
    for (_, one), (_, other) in zip(found.shown, counted.shown, strict=True):
        assert (one.widths, one.multiplicity) == (other.widths, other.multiplicity)
        assert one.efficiency == pytest.approx(other.efficiency, rel=1e-9)


@pytest.mark.slow
def test_latencies_of_a_network_are_measured(tmp_path):
    found = run(tmp_path, around(*INVERTED), s=Search(alpha=6.0, cost="latency"))["s"]
    assert 0 <= found.latency.shared < min(each.seconds for each in found.latency.points)
    assert all(each.repeats >= 5 for each in found.latency.points)
    assert all(each.seconds > 0 for _, each in found.shown)


def inverted_entries(x: np.ndarray, n: int, draws: int) -> np.ndarray:
    """Draws of K of the inverted bottleneck: a mean over independent channels, in NumPy."""
    random, c = np.random.default_rng(1), len(x)
    patch = x.reshape(c, 9)
    first = random.standard_normal((draws, n, c)) @ patch * np.sqrt(2 / c)
    h, mask = np.maximum(first, 0), first > 0
    kernel, out = random.standard_normal((draws, n, 9)), random.standard_normal((draws, n))
    second = np.sqrt(2 / 9) * (kernel * h).sum(-1)
    back = np.einsum("dnp,cp->dnc", kernel * mask, patch)
    middle = (h**2).sum(-1) + 2 / c * (back**2).sum(-1)
    entries = np.maximum(second, 0) ** 2 + out**2 * (second > 0) * 2 / 9 * middle
    return 2 / n * entries.sum(-1)


def test_draws_of_a_convolutional_member_have_the_law_of_others():
    member = around(*INVERTED).focused(None).member
    assert member.entry.inputs == (4, 3, 3)
    x = draw_inputs((4, 3, 3), "rectified", np.random.default_rng(0))[0]
    drawn = estimate_moments(draw_ntk(member.entry, x, draws=4000, seed=3))
    other = estimate_moments(inverted_entries(x, 6, 40_000))
    # 4.4 standard errors: one chance in 10^5 of a miss for each, were both normal; a fixed seed
    mean_error = math.sqrt((other.ratio - 1) * (1 / 4000 + 1 / 40_000))
    assert abs(drawn.mean / other.mean - 1) < 4.4 * mean_error
    error = math.hypot(drawn.ratio_stderr, other.ratio_stderr)
    assert abs(drawn.ratio - other.ratio) < 4.4 * error


POOL = {"type": "average-pool", "window": 2}
NORM = {"type": "layer-norm", "axes": "channels"}
CUT: dict[str, tuple[list[Any], int]] = {
    "strides": ([convolution(3), "erf", convolution(5, stride=2), NORM, convolution(2, 2)], 7),
    "pools": ([convolution(3, padding="circular"), POOL, convolution(2, padding=2)], 8),
}


@pytest.mark.parametrize("name", ["pools", pytest.param("strides", marks=pytest.mark.slow)])
def test_an_entry_on_its_patch_is_that_on_the_whole_image(name):
    layers, size = CUT[name]
    member: Any = around(*layers, convolution(4, 1)).focused(None).member
    entry = member.entry
    assert entry.inputs == (4, size, size)
    whole = member.replaced({"layers": (*member.layers[:-1], entry.layers[-1])})
    full, small = (lower(layers_of(each), jax.random.key(5)) for each in (whole, entry))
    x = jax.random.normal(jax.random.key(0), member.inputs)
    forward: Any = full
    slopes: Any = np.asarray(jax.jacrev(forward)(x))[0]
    seen = slopes.any(axis=2)  # by output position: where the input matters
    boxes = {at: np.argwhere(seen[at]) for at in np.ndindex(seen.shape[:2])}
    inner = [at for at, box in boxes.items() if (np.ptp(box, axis=0) == size - 1).all()]
    at = inner[0]
    top, left = boxes[at].min(0)
    patch = x[:, top : top + size, left : left + size]
    expected = entry_of(full, x, (0, *at))
    assert entry_of(small, patch, (0, 0, 0)) == pytest.approx(expected, rel=1e-4)  # float32


def entry_of(module: Any, x: jax.Array, output: tuple[int, ...]) -> float:
    """K^aa(x, x) of one output, by its gradient."""
    gradient = eqx.filter_grad(lambda module: module(x)[output])(module)
    return sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(gradient))


def test_many_convolutions_are_drawn_at_once():
    """XLA's gradients of so many, batched over their weights, are wrong on a CPU."""
    layers = [convolution(64, 1), "relu", convolution(64, 1)]
    member = Network(inputs=(64, 1, 1), layers=[EnsembleLayer(multiplicity=1, layers=layers)])
    entry = member.focused(None).member.entry
    x = draw_inputs((64, 1, 1), "iid", np.random.default_rng(0))[0]
    found = np.concatenate(list(draw_ntk(entry, x, draws=1024, seed=1)))
    # E[K] = 2 + 2, within 5 standard errors
    assert abs(found.mean() - 4.0) < 5 * found.std() / 1024**0.5 < 0.2


def test_batch_norm_is_drawn_at_inference():
    """With statistics of mean 0 and variance 1 it adds its own weights' terms alone."""
    plain = around(convolution(6, 1), "linear", convolution(4, 1)).focused(None).member
    normed = around(convolution(6, 1), "batch-norm", convolution(4, 1)).focused(None).member
    x = draw_inputs((4, 1, 1), "iid", np.random.default_rng(0))[0]
    # E[K] = 4 + 4, and 4 more by the scales, 2 by the shifts; within 5 errors of 1,000 draws
    for member, expected in ((plain, 8.0), (normed, 14.0)):
        found = np.concatenate(list(draw_ntk(member.entry, x, draws=1000, seed=1)))
        assert abs(found.mean() - expected) < 5 * found.std() / 1000**0.5
