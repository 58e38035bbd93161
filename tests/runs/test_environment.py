"""A seed gives the same numbers in any environment; what may round them otherwise is recorded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRAWN = """
import json, sys
import jax
settings = json.loads(sys.argv[1])
for name, value in settings.items(): jax.config.update(name, value)
import ceflow
from ceflow import bottlenecks, kernels, variance
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, Document, Gaussian, Kernel, Mlp

model, half = Mlp(widths=[4], inputs=2, outputs=1), bottlenecks.relu()
sampled = bottlenecks.sample(Bottleneck(size=2, encoder=half, decoder=half), 2, 1, Seed(3), width=4)
plan = ceflow.compile(Document(model=model))
draw = lambda key: kernels.empirical_ntk(plan.module(key), [[1, 2]])
stages = {"k": Kernel(method="empirical")}
document = Document(data=Gaussian(inputs=2, train=2), model=model, stages=stages)
with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
    run = ceflow.run(document, sys.argv[2])
numbers = [
    run.results["k"]["trace"],
    float(kernels.mean_kernel(draw, Seed(1), draws=2).mean.sum()),
    float(next(variance.draw_ntk(model, [1.0, 2.0], draws=2)).sum()),
    float(sampled([[1.0, 2.0]]).sum()),
]
assert all(getattr(jax.config, name) == value for name, value in settings.items())
print(json.dumps(numbers))
"""
"""A run, and the functions of the library that draw from a seed."""

ENVIRONMENT = {
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_RANDOM_SEED_OFFSET": "5",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_DEBUG_NANS": "1",
}
SETTINGS = {
    "jax_threefry_partitionable": False,
    "jax_default_prng_impl": "unsafe_rbg",
    "jax_debug_nans": True,
}


def drawn(folder: Path, settings: dict[str, object], environment: dict[str, str]) -> list[float]:
    command = [sys.executable, "-c", DRAWN, json.dumps(settings), str(folder)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_a_seed_means_the_same_numbers_everywhere(tmp_path: Path):
    """Whatever the environment or the importing process sets, which is left as it was."""
    wanted = drawn(tmp_path / "plain", {}, {})
    assert drawn(tmp_path / "other", SETTINGS, ENVIRONMENT) == wanted


def test_what_rounds_is_recorded(monkeypatch: pytest.MonkeyPatch):
    from ceflow.runs.machine import versions

    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    found = versions()
    assert found["generator"] == "threefry2x32, partitionable"
    assert found["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=true"
