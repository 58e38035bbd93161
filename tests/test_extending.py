"""What is added to ceflow is added in few places: those that CONTRIBUTING.md names, four at most.

A toy of each kind is registered there, and nowhere else, and then checked, forecast and used.
"""

import ast
import math
import re
from functools import singledispatch
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ceflow
from ceflow import claims, data, exports, nets, stages
from ceflow.blocks import Note
from ceflow.claims.costs import COSTS, ClaimCost
from ceflow.compiler import compile, nodes
from ceflow.compiler.models import expand
from ceflow.costs import Work
from ceflow.data.dataset import Dataset, Examples, Extent
from ceflow.exports import equinox
from ceflow.runs.prepared import forecast
from ceflow.spec import (
    Circle,
    Data,
    DataSpec,
    Document,
    Flow,
    Gaussian,
    Kernel,
    Mlp,
    Model,
    ModelSpec,
    Search,
    SpecError,
    Stage,
    StageSpec,
    Train,
    Variance,
    Verify,
)

ROOT = Path(ceflow.__file__).parent
HOUSE = ROOT.parent / "CONTRIBUTING.md"
MOST = 4
"""Files of code that one addition may touch, but for a layer, which has many rules."""
OF_LAYER = 6
ROWS = dict(re.findall(r"^\| (an? .+?) \| (.+) \|$", HOUSE.read_text("utf-8"), re.M))
"""What may be added, and the row of CONTRIBUTING.md that says where."""


def files_of(row: str) -> list[str]:
    """The files that a row names, of code."""
    return [name for name in re.findall(r"`([\w/]+\.py|[\w/]+/)`", row) if name[:5] != "tests"]


@pytest.mark.parametrize("what", ROWS)
def test_an_addition_touches_few_files_which_are_there(what):
    named = files_of(ROWS[what])
    assert 0 < len(named) <= (OF_LAYER if what == "a kind of layer" else MOST)
    for name in named:
        assert (ROOT / name.replace("NAME.py", "").replace("NAME/", "")).exists()


TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}
SHARED = {"spec/vocabulary.py", "spec/__init__.py"}
"""Files that know names for their own sake: what other tools call them, what is offered."""


WORDS = {
    name: {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for name, tree in TREES.items()
    if name not in SHARED
}


def places_of(word: str, row: str) -> set[str]:
    """The files of code in which a string is this word, without those that a row names."""
    named = tuple(files_of(ROWS[row]))
    return {name for name, words in WORDS.items() if word in words and not name.startswith(named)}


@pytest.mark.parametrize("name", ["gelu", "leaky-relu", "erf"])
def test_an_activation_is_named_in_few_places(name):
    assert not places_of(name, "an activation")


@pytest.mark.parametrize("name", ["lemma-3.1", "eq-41"])
def test_a_claim_is_named_in_few_places(name):
    assert not places_of(name, "a claim to verify")


@pytest.mark.parametrize("name", ["idx", "npz", "deep-gp"])
def test_a_source_is_named_in_few_places(name):
    assert not places_of(name, "a source of data")


HONEST = {"exports/counterparts.py", "exports/timm.py", "exports/torchvision.py"}
"""Files that write one kind of model alone, and refuse the others."""
KINDS_OF = {
    union: {kind.__name__ for kind in get_args(get_args(union)[0])}
    for union in (Model, Data, Stage)
}


def types_asked(tree: ast.AST, names: set[str]) -> list[int]:
    """The lines that ask whether something is of one of these types."""
    return [
        call.lineno
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "isinstance"
        and any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(call.args[1]))
    ]


def test_a_test_of_a_type_is_seen():
    assert types_asked(ast.parse("isinstance(x, A | B)\nisinstance(x, c.A)"), {"A"}) == [1]


@pytest.mark.parametrize("union", KINDS_OF, ids=["model", "data", "stage"])
def test_kinds_are_asked_and_their_types_not_tested(union):
    found = {name for name, tree in TREES.items() if types_asked(tree, KINDS_OF[union])}
    assert found <= (HONEST if union is Model else set())


# A toy of each kind.
@pytest.fixture(autouse=True)
def unread(monkeypatch):
    """Toys are in no union of the language, so documents of them are taken as they are."""
    monkeypatch.setattr("ceflow.compiler.plan.revalidated", lambda document: document)


class Tower(ModelSpec):
    """A dense network of one activation behind all of its layers."""

    type: Literal["tower"] = "tower"
    heights: tuple[int, ...] = (3, 2)
    inputs: int | None = None
    outputs: int | None = None

    multiplicity: ClassVar = 1

    @property
    def has_members(self) -> bool:
        return False

    @property
    def widths_key(self) -> str:
        return "heights"

    @property
    def widths(self) -> tuple[int, ...]:
        return self.heights

    @property
    def activations(self) -> frozenset[str]:
        return frozenset({"relu"})

    def part_with(self, end: str) -> tuple[tuple[str, ...], "Tower"]:
        return (), self

    def sized(self, **sizes: Any) -> Self:
        return self.replaced(sizes)


@pytest.fixture
def tower(monkeypatch):
    """The model, with its meaning where CONTRIBUTING.md says."""

    def layers(model: Tower) -> nodes.Node:
        sizes: tuple[Any, ...] = (model.inputs, *model.heights, model.outputs)
        dense = [nodes.Dense(*pair, 1.0, 0.0) for pair in pairwise(sizes)]
        return nodes.Chain((*dense, nodes.Activation("relu", model.outputs or 1)))

    dispatch = singledispatch(expand.registry[object])
    for kind, function in expand.registry.items():
        dispatch.register(kind, function)
    dispatch.register(Tower, layers)
    monkeypatch.setattr("ceflow.compiler.plan.expand", dispatch)
    return Tower()


def with_parts(document: Document, **parts: Any) -> Document:
    """A document with toys in it, which the language does not know."""
    return document.replaced(parts)


BASE = Document(data=Gaussian(inputs=4, outputs=2, train=3, test=2), model=Mlp(widths=[3]))


def test_a_new_model_is_checked_forecast_and_drawn(tower):
    fitting = {
        "kernel": Kernel(method="empirical"),
        "limit": Kernel(),
        "flow": Flow(time=1.0),
        "train": Train(steps=1),
    }
    document = with_parts(BASE, model=tower, stages=fitting)
    plan = compile(document)
    assert plan.root.parameters == 4 * 3 + 3 * 2 + 2 * 2
    for stage in fitting.values():
        assert forecast(plan, stage, plan.model).memory > 0
    module: Any = plan.module(jax.random.key(0))
    out = module(jnp.ones(4))
    assert out.shape == (2,)
    assert (out >= 0).all()
    with pytest.raises(SpecError, match="no Equinox file is written for the type tower"):
        exports.export(plan, "equinox")


def test_a_new_model_is_refused_where_it_does_not_fit(tower):
    refused = {
        "variance": Variance(),
        "search": Search(alpha=3.0),
        "verify": Verify(claims=["lemma-1"]),
    }
    for name, stage in refused.items():
        document = with_parts(BASE, model=tower, stages={name: stage})
        assert {fault.code for fault in document.faults()} == {"CE203"}


class Line(DataSpec):
    """Points on a line."""

    source: Literal["line"] = "line"
    train: int = 5
    scale: float = 2.0
    normalise: ClassVar = "none"


def test_a_new_source_is_counted_read_and_scaled(monkeypatch):
    def load(spec: Line, folder: Path, seed: Any) -> Dataset:
        x = np.arange(float(spec.train))[:, None]
        return Dataset(Examples(x, x), Examples(x[:0], x[:0]))

    sizes = lambda spec, folder: Extent(1, 1, spec.train, 0)  # noqa: E731
    monkeypatch.setitem(data.READERS, Line, data.Reader(sizes, load))
    kernel = Kernel(alignment=True)
    document = with_parts(BASE, data=Line(), stages={"kernel": kernel})
    plan = compile(document)
    assert (plan.inputs, plan.outputs) == (1, 1)
    assert forecast(plan, kernel, plan.model).key == "data.train"
    found = data.load(plan.document.data, Path(), ceflow.seeding.Seed(0))  # pyright: ignore
    np.testing.assert_array_equal(found.train.x[:, 0], [0.0, 2.0, 4.0, 6.0, 8.0])


def cube(x: Any) -> Any:
    return x**3


def test_a_new_activation_is_computed_and_exported(monkeypatch):
    monkeypatch.setitem(nets.ACTIVATIONS, "cube", cube)
    monkeypatch.setitem(equinox.ACTIVATIONS, "cube", "x**3")
    model = BASE.model.replaced({"activation": "cube"})
    plan = compile(with_parts(BASE, model=model))
    assert not plan.model.kinks
    module: Any = plan.module(jax.random.key(0))
    one, two = (np.asarray(module(x * jnp.ones(4))) for x in (1, 2))
    np.testing.assert_allclose(two, 8 * one, rtol=1e-5)  # roundings of float32
    assert "x**3" in str(exports.export(plan, "equinox").content)
    # E[x^3 y^3] = 15 of equal inputs, times the weights' variance, by quadrature
    wide = Mlp(widths=[math.inf], weight_variance=1.0).replaced({"activation": "cube"})
    found = ceflow.kernels.analytic(wide, np.ones((1, 4)))
    np.testing.assert_allclose(found.nngp, [[15.0]], rtol=1e-4)


class Tally(StageSpec):
    """Counts the layers."""

    type: Literal["tally"] = "tally"


class TallyResult(stages.Result):
    layers: int


class TallyStage(stages.Stage[Any, TallyResult]):
    result = TallyResult

    def cost(self, spec: Any, plan: Any, model: Any) -> stages.Forecast:
        return stages.Forecast(work=Work(seconds=0.01))

    def run(self, job: stages.Job) -> TallyResult:
        return TallyResult(layers=sum(1 for _ in nodes.leaves(job.plan.expand(job.model))))

    def describe(self, result: TallyResult) -> Any:
        return [Note(f"{result.layers} layers")]


def test_a_new_stage_is_run_and_said(monkeypatch, tmp_path):
    monkeypatch.setitem(stages.KINDS, Tally, TallyStage())
    document = with_parts(BASE, stages={"layers": Tally()})
    assert not document.faults()
    run = ceflow.run(document, tmp_path / "run")
    assert run.results["layers"]["layers"] == 3


def test_a_new_claim_is_forecast_and_decided(monkeypatch, tmp_path):
    half = lambda trial: claims.Verdict({"half": claims.Part(0.5, 0.5, 0.1)})  # noqa: E731
    monkeypatch.setitem(claims.CLAIMS, "half", half)
    monkeypatch.setitem(COSTS, "half", lambda *_: ClaimCost(10.0, 10.0))
    wide = Mlp(widths=[math.inf])
    model = ceflow.spec.Bottleneck(size=2, encoder=wide, decoder=wide)
    stage = Verify(claims=["eq-6"]).replaced({"claims": ("half",)})
    document = with_parts(BASE, model=model, stages={"claim": stage})
    assert not document.faults()
    assert ceflow.run(document, tmp_path / "run").results["claim"]["half"]["holds"]


def test_a_circle_says_how_many_points_it_has():
    assert Circle(points=7).train_count == 7
