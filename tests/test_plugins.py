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
from ceflow.spec import SpecError, loads, plugins
from ceflow.spec.data import Circle, DataSpec, Gaussian

PLUGIN = Path(__file__).parents[1] / "docs" / "plugin"
SPEC = """
[data]
source = "line"
train = 5

[model]
type = "network"
layers = [{type = "dense", units = 6}, "gate", {type = "dense", units = 1}]

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


class Fine(DataSpec):
    source: Literal["fine"] = "fine"


class Taken(DataSpec):
    source: Literal["circle"] = "circle"


class Nameless(DataSpec):
    pass


WRONG = {
    "Taken": "the name 'circle' is taken",
    "Nameless": 'has no key source, as source: Literal["mine"] = "mine"',
    "PLUGIN": "it is no class derived from ceflow.spec.data.DataSpec",
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
