"""What a machine can do is measured once."""

import time
from dataclasses import asdict

import pytest

from ceflow.runs.rates import _seconds, rates, rates_path


@pytest.mark.slow
def test_rates_are_measured_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = asdict(rates())
    assert rates_path().exists()
    assert all(rate > 0 for rate in found.values())
    assert found["base"] > 1e8
    monkeypatch.setattr("subprocess.run", None)  # nothing is measured again
    assert asdict(rates()) == found


def test_waiting_for_a_busy_machine_is_not_measured():
    """A pause, as where other processes have the cores, is on the wall's clock alone."""
    assert _seconds(lambda: time.sleep(0.02)) < 0.01
