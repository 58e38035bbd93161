"""The example of a plugin adds its kinds to the language; what cannot be added is left out."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import pytest

from ceflow.compiler.lowering import lower
from ceflow.kernels.infinite.duals import by_plugin as dual_of_plugin
from ceflow.kernels.infinite.duals import dual
from ceflow.kernels.infinite.moments import Errors, from_angle
from ceflow.spec import Mlp, SpecError, loads, plugins
from ceflow.spec.data import Circle, DataSpec, Gaussian
from ceflow.spec.models.activations import ActivationSpec
from ceflow.spec.models.layers import DenseLayer, ResidualLayer
from ceflow.spec.models.widths import free_widths

PLUGIN = Path(__file__).parents[1] / "docs" / "plugin"
ACTIVE = """
precision = "float64"
[data]
source = "gaussian"
inputs = 3
train = 4

[model]
type = "mlp"
widths = [5, 5]
activation = "mish"

[stages.limit]
type = "kernel"

[stages.drawn]
type = "kernel"
method = "empirical"
"""
SPEC = """
[data]
source = "line"
train = 5

[model]
type = "network"
layers = [{type = "dense", units = 6}, "mish", "gate", {type = "dense", units = 1}]

[stages.count]
type = "tally"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What `pip install --target` would make of the package, without its copies."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text("utf-8"))["project"]
    about = folder / "ceflow_line-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ceflow-line\nVersion: 0.1.0\n")
    points = project["entry-points"]["ceflow.plugins"].items()
    lines = ["[ceflow.plugins]", *(f"{name} = {value}" for name, value in points)]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return [str(folder), str(PLUGIN)]


def ceflow(installed, folder, *words):
    path = os.pathsep.join([*installed, *sys.path])
    command = [sys.executable, "-m", "ceflow", *words]
    env = os.environ | {"PYTHONPATH": path}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_kinds_of_a_plugin_are_of_the_language_and_run(installed, tmp_path):
    (tmp_path / "spec.toml").write_text(SPEC)
    done = ceflow(installed, tmp_path, "run", "spec.toml", "--json", "--out", "run")
    assert done.returncode == 0, done.stderr
    # weights 1 x 6 and 3 x 1: the gate halves the 6 values
    assert json.loads(done.stdout)["stages"]["count"] == {"ratio": 9 / 5}


@pytest.mark.slow
def test_an_activation_of_a_plugin_has_its_kernels_and_its_file(installed, tmp_path):
    (tmp_path / "spec.toml").write_text(ACTIVE)
    done = ceflow(installed, tmp_path, "run", "spec.toml", "--json", "--out", "run")
    assert done.returncode == 0, done.stderr
    code = (
        "import ceflow, jax, jax.numpy as jnp, numpy as np; from ceflow.kernels import analytic;"
        "from ceflow.spec import Mlp; from ceflow_line.activation import Mish;"
        "x = jax.random.normal(jax.random.key(0), (4, 5));"
        "ours = analytic(Mlp(widths=[8], activation='mish'), x);"
        "same = analytic(Mlp(widths=[8]), x, activation=Mish().function);"
        "np.testing.assert_array_equal(ours.ntk, same.ntk);"
        "steep = Mlp(widths=[8, 8], activation='steep-relu', weight_variance=0.5);"
        "ours, relu = analytic(steep, x), analytic(Mlp(widths=[8, 8]), x);"
        "gap = np.abs(ours.ntk - relu.ntk).max() / np.max(relu.ntk);"
        "assert gap < ours.error < 1e-2, (gap, ours.error)"
    )
    path = os.pathsep.join([*installed, *sys.path])
    env = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    exported = ceflow(installed, tmp_path, "export", "spec.toml", "--to", "equinox")
    assert "x * jnp.tanh(jax.nn.softplus(x))" in exported.stdout, exported.stderr


class Kinked(ActivationSpec):
    name = "kinked"
    kinked = True

    def function(self, x):
        return jnp.maximum(x, 0.5)


class Wrong(ActivationSpec):
    """Twice what its dual is of."""

    name = "wrong"

    def function(self, x):
        return 2 * jnp.sin(x)

    def dual(self, q1, q2, covariance):
        damped = jnp.exp(-(q1 + q2) / 2)
        return damped * jnp.sinh(covariance), damped * jnp.cosh(covariance)


MOMENTS = from_angle(*jnp.ones((3, 2)))


def test_an_activation_with_kinks_and_no_dual_has_no_limit(monkeypatch):
    monkeypatch.setattr("ceflow.kernels.infinite.duals.WITHOUT_DUAL", {"kinked"})
    with pytest.raises(ValueError, match="kinked has kinks, and its plugin computes no dual"):
        dual("kinked", MOMENTS)
    monkeypatch.setattr("ceflow.spec.models.model.WITHOUT_DUAL", {"kinked"})
    reason = Mlp.model_construct(widths=(3,), activation="kinked").why_no_limit
    assert reason is not None
    assert "its plugin computes no dual" in reason.message


def test_a_dual_of_another_function_is_far_off_by_its_bound(monkeypatch):
    none = jnp.zeros(2)
    moments = MOMENTS._replace(q2=MOMENTS.q1, covariance=MOMENTS.q1, errors=Errors(*4 * [none]))
    bounds = []
    for scale in (2, 1):
        monkeypatch.setattr(Wrong, "function", lambda self, x, s=scale: s * jnp.sin(x))
        found = dual_of_plugin(Wrong(), moments)
        assert found[1] is not None
        bounds.append(found[1][0].covariance / found[0].own1)
    assert (bounds[0] > 0.5).all()
    assert (bounds[1] < 1e-4).all()


def test_the_kinds_of_a_plugin_are_not_known_without_it():
    with pytest.raises(SpecError) as caught:
        loads(SPEC)
    assert {fault.path[0] for fault in caught.value.faults} == {"data", "model", "stages"}


def test_the_layer_of_the_plugin_is_a_module(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN))
    from ceflow_line.layer import Gate  # pyright: ignore[reportMissingImports]

    with pytest.raises(SpecError, match="gate takes a vector of an even number of values"):
        Gate().after(5)
    module: Any = lower(Gate().node(4), jax.random.key(0))
    assert module(jnp.array([1.0, 2.0, 0.0, 0.0])).tolist() == [0.5, 1.0]


def test_widths_that_the_layer_of_a_plugin_ties_to_others_are_not_free(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN))
    from ceflow_line.layer import Gate  # pyright: ignore[reportMissingImports]

    gate: Any = Gate()
    halved = (DenseLayer(units=8), gate)
    (free,) = free_widths([*halved, DenseLayer()])
    assert (free.paths, free.step) == (((0,),), 2)
    beside = ResidualLayer.model_construct(body=halved, shortcut=None)
    assert free_widths([DenseLayer(units=4), beside, DenseLayer()]) == ()  # 4 is half of 8


STAGES = {
    "alpha": '[stages.alpha]\ntype = "variance"\ndraws = 100\nratios = [0.3, 0.5, 1.0]\n',
    "best": '[stages.best]\ntype = "search"\nalpha = 3.0\n',
}


def gated(installed, folder, block, stages, *words):
    layers = ", ".join(block)
    (folder / "gated.toml").write_text(
        f'model = {{type = "network", inputs = 5, layers = [{layers}]}}\n'
        + "".join(STAGES[stage] for stage in stages)
    )
    return ceflow(installed, folder, *words)


DENSE = '{type = "dense", units = 10}'


def test_candidates_have_widths_that_the_layer_of_a_plugin_takes(installed, tmp_path):
    block = (DENSE, '"gate"', '{type = "dense", units = 2}')
    done = gated(installed, tmp_path, block, STAGES, "run", "gated.toml", "--json", "--out", "run")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["stages"]
    assert [point["widths"] for point in found["alpha"]["points"]] == [[4], [10]]  # 2 (10 r/2)
    assert found["best"]["primal"]["widths"][0] % 2 == 0


QUARTERED = ", ".join(
    (DENSE.replace("10", "12"), '"gate"', '"gate"', '{type = "dense", units = 2}')
)
"""The second gate takes a quarter of the units, of which the first alone states its step."""
QUARTERED = '{type = "ensemble", multiplicity = 2, layers = [' + QUARTERED + "]}"


@pytest.mark.slow
def test_a_ratio_that_a_layer_of_a_plugin_refuses_is_named(installed, tmp_path):
    done = gated(installed, tmp_path, [QUARTERED], ["alpha"], "check", "gated.toml")
    assert done.returncode == 2
    message = "gated.toml:2:9: CE204: of width 6, model.layers.0.layers.2 does not fit"
    assert message in done.stderr
    assert "[stages.alpha]" in done.stderr
    assert "let the plugin's layer state its step" in done.stderr


def test_a_search_leaves_out_what_a_layer_of_a_plugin_refuses(installed, tmp_path):
    words = ["run", "gated.toml", "--json", "--out", "run"]
    done = gated(installed, tmp_path, [QUARTERED], ["best"], *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["stages"]["best"]
    assert all(point["widths"][0] % 4 == 0 for point in found["curve"])
    assert found["refused"] > 0
    assert f"{found['refused']} candidates left out" in " ".join(found["warnings"])
    assert "model.layers.0.layers.2 does not fit" in " ".join(found["warnings"])


class Fine(DataSpec):
    source: Literal["fine"] = "fine"


class Taken(DataSpec):
    source: Literal["circle"] = "circle"


class Nameless(DataSpec):
    pass


class Silent(ActivationSpec):
    pass


WRONG = {
    "Taken": "the name 'circle' is taken",
    "Nameless": 'has no key source, as source: Literal["mine"] = "mine"',
    "PLUGIN": "it is no class derived from ceflow.spec.data.source.DataSpec",
    "absent": "AttributeError",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_added_is_left_out_with_a_sentence(name, monkeypatch):
    entries = [
        EntryPoint(f"{kind}.{each}", f"{__name__}:{each}", plugins.GROUP)
        for kind, each in (("source", name), ("source", "Fine"), ("stage", "Fine"))
    ]
    monkeypatch.setattr(plugins, "_entries", lambda: entries)
    with pytest.warns(UserWarning, match="is left out") as caught:
        union = plugins.with_plugins(Circle | Gaussian, "source", DataSpec, "source")
    assert get_args(union) == (Circle, Gaussian, Fine)
    assert WRONG[name] in str(caught[0].message)


@pytest.mark.parametrize(
    ("name", "why"), [("Silent", 'it has no key name, as name = "mine"'), ("Kinked", "is taken")]
)
def test_an_activation_needs_a_name_of_its_own(name, why, monkeypatch):
    entry = EntryPoint("activation.mine", f"{__name__}:{name}", plugins.GROUP)
    monkeypatch.setattr(plugins, "_entries", lambda: [entry])
    with pytest.warns(UserWarning, match=why):
        assert not [*plugins.plugins("activation", ActivationSpec, "name", ["kinked"])]
