"""Gradient flow of ensembles, by members and by solver, and the closed form of N = 2,000.

MNIST is read from the folder that CEFLOW_DATA names; without one the inputs are normal numbers.
"""

import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import median, seconds
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.data import load
from ceflow.dynamics import ConstantKernel, ParameterFlow, SquaredError, integrate, parameter_flow
from ceflow.kernels import analytic
from ceflow.seeding import Seed
from ceflow.spec import Ensemble, Idx, Mlp

WIDTH, LAYERS, EXAMPLES, POINTS = 64, 5, 100, 2000
REMOVED = 0.99
"""The share of the loss that a flow is to remove."""


def main() -> None:
    """Print seconds, those of compilation apart, and steps."""
    x, y = examples(EXAMPLES)
    for members in (16, 32, 64):
        flowed(members, "rkc", x, y)
    flowed(64, "tsit5", x, y)
    closed_form()


def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and one-hot targets, or numbers as many."""
    folder = Path(os.environ.get("CEFLOW_DATA", ""))
    if (folder / "mnist").is_dir():
        data = load(Idx(path="mnist", train=count, test=0), folder, Seed(0)).train
        return data.x, data.y
    random = np.random.default_rng(0)
    return random.random((count, 784)), np.eye(10)[random.integers(10, size=count)]


def flowed(members: int, solver: str, x: np.ndarray, y: np.ndarray) -> None:
    """From the start to where only 1 % of the loss is left, twice: the first time compiles."""
    member = Mlp(widths=(WIDTH,) * LAYERS, activation="erf")
    model = Ensemble(multiplicity=members, member=member).sized(inputs=784, outputs=10)
    flow, start = parameter_flow(
        lower(expand(model), jax.random.key(0)), jnp.asarray(x), jnp.asarray(y), SquaredError()
    )
    rest = (1 - REMOVED) * float(flow.loss(flow.outputs(start), flow.targets))

    def run() -> None:
        found.append(integrate(flow, start, [0.0, 1000.0], stop=Until(flow, rest), solver=solver))

    found: list = []
    first, second = seconds(run), seconds(run)
    steps = found[-1].accepted + found[-1].rejected
    print(
        f"  {members} members, {solver}: {first:.1f} s with compilation, {second:.1f} s without,"
        f" {steps} steps to mu t = {found[-1].ending.time:.3g}, {found[-1].ending.how}"
    )


class Until(eqx.Module):
    """Stops where the loss is `rest`. A module holds its data, so it compiles once."""

    flow: ParameterFlow
    rest: float

    def __call__(self, t: jax.Array, parameters: Any) -> jax.Array:
        return self.flow.loss(self.flow.outputs(parameters), self.flow.targets) / self.rest - 1


def closed_form() -> None:
    """From the kernel to predictions at infinite time."""
    x, y = examples(POINTS)
    with jax.enable_x64(True):
        kernel = np.asarray(analytic(Mlp(widths=[float("inf")] * 3), x).ntk)
    start = np.zeros_like(y)
    took = median(lambda: ConstantKernel(kernel).train(np.inf, start, y), 3)
    print(f"  closed form of {POINTS} points, to infinite time: {took:.2f} s")
