"""`ceflow export`: what it writes and where, and how it ends."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from ceflow.cli import main
from ceflow.cli.export import command
from ceflow.exports import Format

ROOT = Path(__file__).parents[2]
MLP = """\
[model]
type = "mlp"
widths = [20, 20]
inputs = 3
outputs = 1
"""
RESNEXT = """\
[model]
type = "resnext"
stem = "imagenet"
blocks = [3, 4, 6, 3]
base_width = 64
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlp.toml").write_text(MLP, encoding="utf-8")
    (tmp_path / "resnext.toml").write_text(RESNEXT, encoding="utf-8")
    return tmp_path


def invoke(*arguments):
    result = CliRunner().invoke(main, ["export", *arguments])
    assert "Traceback" not in result.output
    return result


def test_every_format_can_be_chosen():
    (to,) = [parameter for parameter in command.params if parameter.name == "to"]
    assert tuple(to.type.choices) == get_args(Format)  # pyright: ignore


def test_stdout_holds_the_line_alone_and_notes_are_elsewhere():
    result = invoke("resnext.toml", "--to", "timm")
    assert (result.exit_code, result.stdout) == (0, 'timm.create_model("resnet50")\n')
    assert result.stderr.startswith("25,557,032 parameters, 8.18 GFLOPs (4.09 GMACs) an example\n")


def test_settings_change_the_network():
    settings = ["--set", "model.cardinality=32", "--set", "model.base_width=4"]
    result = invoke("resnext.toml", "--to", "timm", *settings)
    assert result.stdout == 'timm.create_model("resnet50", cardinality=32, base_width=4)\n'


def test_a_file_is_written_whole(folder):
    result = invoke("mlp.toml", "--to", "equinox", "--out", "made/net.py")
    assert (result.exit_code, result.stdout) == (0, "")
    assert ast.parse((folder / "made" / "net.py").read_text(encoding="utf-8"))
    assert [path.name for path in (folder / "made").iterdir()] == ["net.py"]


@pytest.mark.parametrize(("name", "text"), [("net.mlir", True), ("net.jax", False)])
def test_the_ending_says_whether_stablehlo_is_text(folder, name, text):
    assert invoke("mlp.toml", "--to", "stablehlo", "--out", name).exit_code == 0
    assert (folder / name).read_bytes().startswith(b"// f(weights, x)") == text


def test_a_file_that_is_there_is_left(folder):
    (folder / "net.py").write_text("mine")
    result = invoke("mlp.toml", "--to", "equinox", "--out", "net.py")
    assert result.exit_code == 2
    assert result.stderr == "net.py exists already; remove it, or name another file\n"
    assert (folder / "net.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp.toml", "--to", "timm"], "of type resnext, not of type mlp"),
        (["missing.toml", "--to", "timm"], "CE001"),
        (["mlp.toml", "--to", "onnx"], "ceflow writes no ONNX; jax2onnx converts"),
        (["mlp.toml", "--to", "gltf"], "'gltf' is not one of"),
        (["mlp.toml"], "Missing option '--to'"),
        (["resnext.toml", "--to", "timm", "--weights", "mlp.toml"], "CE203: an export to timm con"),
        (["mlp.toml", "--to", "equinox", "--weights", "mlp.toml"], "CE302: mlp.toml does not"),
        (["resnext.toml", "--to", "safetensors"], "an export to safetensors is of weights"),
        (["mlp.toml", "--to", "stablehlo", "--weights", "mlp.toml"], "CE302: mlp.toml does not"),
        (["mlp.toml", "--to", "stablehlo", "--weights", "none.eqx"], "does not exist"),
        *(
            (
                ["mlp.toml", "--set", "model.widths=[inf]", "--to", to],
                "CE203: a network with an infinite layer cannot be exported",
            )
            for to in get_args(Format)
        ),
    ],
)
def test_what_is_wrong_is_said_with_status_2(folder, arguments, message):
    result = invoke(*arguments, "--out", "net")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (folder / "net").exists()


def test_the_optimum_of_a_search_is_exported(folder):
    search = '[stages.best]\ntype = "search"\nalpha = 3.6\n'
    (folder / "search.toml").write_text(MLP + search, encoding="utf-8")
    assert CliRunner().invoke(main, ["run", "search.toml", "--out", "run"]).exit_code == 0
    optima = sorted((folder / "run").rglob("optimal*.toml"))
    assert optima
    for path in optima:
        result = invoke(str(path), "--to", "equinox")
        assert (result.exit_code, result.stderr.count("parameters")) == (0, 1)


@pytest.mark.parametrize("to", sorted({*get_args(Format)} - {"safetensors"}))
def test_jax_is_loaded_for_stablehlo_alone(to):
    spec = "resnext.toml" if to in ("timm", "torchvision") else "mlp.toml"
    script = (
        "import sys\n"
        "from ceflow.cli import main\n"
        f"try: main(['export', {spec!r}, '--to', {to!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print('\\nloaded', bool({'jax', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"loaded {to == 'stablehlo'}"
