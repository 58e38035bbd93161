"""What cannot be shown is replaced, what nobody reads is dropped: the work is done all the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = """\
# größe → 1
[model]
type = "mlp"
widths = [20, 20]
inputs = 3
outputs = 2
[stages.alpha]
type = "variance"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "wrong.toml").write_text(SPEC + "größe→ = 1\n", encoding="utf-8")
    return tmp_path


def ceflow(folder: Path, *arguments: str, encoding: str = "utf-8", **keys: object):
    command = [sys.executable, "-m", "ceflow", *arguments]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "XDG_CACHE_HOME": str(folder)}
    found = subprocess.run(command, cwd=folder, env=environment, **{"capture_output": True} | keys)  # type: ignore[call-overload]
    assert b"Traceback" not in (found.stderr or b"")
    return found


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_signs_that_an_encoding_has_not_are_replaced(folder, encoding):
    found = ceflow(folder, "run", "spec.toml", "--out", "out", encoding=encoding)
    assert found.returncode == 0, found.stderr
    shown = found.stdout.decode(encoding)
    assert "dense 3 > 20, relu" in shown
    assert "alpha = " in shown
    assert json.loads((folder / "out/run.json").read_text())["state"] == "done"


def test_a_fault_is_shown_in_any_encoding(folder):
    found = ceflow(folder, "check", "wrong.toml", encoding="cp1252")
    assert found.returncode == 2
    assert "größe> = 1".encode("cp1252") in found.stderr


@pytest.mark.parametrize(
    "arguments", [["schema"], ["export", "spec.toml", "--to", "equinox"]], ids=lambda a: a[0]
)
def test_what_other_programs_read_is_in_utf_8(folder, arguments):
    in_ascii, plain = (ceflow(folder, *arguments, encoding=e).stdout for e in ("ascii", "utf-8"))
    assert in_ascii == plain
    assert in_ascii.decode("utf-8")


def test_the_work_is_done_though_nobody_reads_of_it(folder):
    gone, end = os.pipe()
    os.close(gone)  # as of `head`, that has seen enough
    found = ceflow(
        folder, "run", "spec.toml", "--out", "out", capture_output=False, stdout=end, stderr=end
    )
    os.close(end)
    assert found.returncode == 0
    assert json.loads((folder / "out/run.json").read_text())["state"] == "done"
    assert (folder / "out/figures/alpha-law.svg").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    "arguments", [["run", "spec.toml", "--out", "out"], ["check", "spec.toml", "--json"]]
)
def test_output_that_cannot_be_written_ends_with_one_after_the_work(folder, arguments):
    with open("/dev/full", "wb") as full:
        keys = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        found = ceflow(folder, *arguments, **keys)
    assert found.returncode == 1
    assert b"the output could not be written: no space left on device" in found.stderr
    if arguments[0] == "run":
        assert json.loads((folder / "out/run.json").read_text())["state"] == "done"


@pytest.mark.skipif(os.name == "nt", reason="streams are closed by other means there")
def test_closed_streams_take_nothing_and_stop_nothing(folder):
    for closed, command in {">&- 2>&-": "run spec.toml --out closed", ">&-": "show closed"}.items():
        line = f"{sys.executable} -m ceflow {command} {closed}"
        found = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True)
        assert (found.returncode, found.stderr) == (0, "")
    assert json.loads((folder / "closed/run.json").read_text())["state"] == "done"
