"""What the commands say of a spec that they must refuse."""

from pathlib import Path

from click.testing import CliRunner

from ceflow.cli import main

MODEL = '[model]\ntype = "mlp"\nwidths = [3]\ninputs = 2\noutputs = 1\n'


def write(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def refused(name):
    """What `run` says of a spec that it must refuse, having left nothing; `check` must agree."""
    before = sorted(Path().rglob("*"))
    checked = CliRunner().invoke(main, ["check", name])
    ran = CliRunner().invoke(main, ["run", name, "--out", "out"])
    planned = CliRunner().invoke(main, ["plan", name])
    for result in (checked, ran, planned):
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert result.stderr == ran.stderr
    assert sorted(Path().rglob("*")) == before
    return ran.stderr


def refused_text(text, name="spec.toml"):
    write(name, text)
    return refused(name)


def data(source, path, more=""):
    return (
        f'[data]\nsource = "{source}"\npath = "{path}"\n{more}[model]\ntype = "mlp"\nwidths = [3]\n'
    )
