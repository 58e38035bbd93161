"""Memory: of a process of its own, so that nothing else is counted."""

import subprocess
import sys

import pytest

TRAINED = """
import numpy as np
from ceflow.bottlenecks import Batches, Simulation, relu, sample
from ceflow.runs.machine import peak_memory
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck

random = np.random.default_rng(0)
x, y = random.random((10_000, 784), "float32"), np.eye(10)[random.integers(10, size=10_000)]
network = Bottleneck(size={d}, encoder=relu(), decoder=relu())
simulation = Simulation(network, sample(network, 784, 10, Seed(0)), x, y)
training = simulation.train(0.1, Batches(10_000, 20), 20, record_at=[20],
                            record=lambda step, state: {{"loss": simulation.loss_of(state)}})
assert np.isfinite(training.history["loss"]).all()
print(peak_memory() / 2**30)
"""


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 1000])
def test_mnist_takes_less_than_three_gigabytes(d):
    """10,000 training images of its size. (`ru_maxrss` would be that of the test's own process.)"""
    command = [sys.executable, "-c", TRAINED.format(d=d)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3
