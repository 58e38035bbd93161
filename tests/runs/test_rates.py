"""What a machine can do is measured once."""

import json
import subprocess
import time
from dataclasses import asdict

import pytest

from ceflow.runs.rates import MachineRates, _seconds, rates, rates_path


@pytest.mark.slow
def test_rates_are_measured_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = asdict(rates())
    assert rates_path().exists()
    assert all(rate > 0 for rate in found.values())
    assert found["base"] > 1e8
    monkeypatch.setattr("subprocess.run", None)  # nothing is measured again
    assert asdict(rates()) == found


def test_without_a_cache_they_are_those_measured(tmp_path, monkeypatch):
    measured = MachineRates(base=123.0)
    done = subprocess.CompletedProcess([], 0, stdout=json.dumps(asdict(measured)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: done)
    assert rates() == measured


def test_waiting_for_a_busy_machine_is_not_measured():
    """A pause, as where other processes have the cores, is on the wall's clock alone."""
    assert _seconds(lambda: time.sleep(0.02)) < 0.01
