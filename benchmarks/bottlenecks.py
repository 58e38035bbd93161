"""Infinitely wide networks with a bottleneck: speed of the two engines, memory, and acceleration.

A part alone: `python -c "from benchmarks import bottlenecks; bottlenecks.features()"`. MNIST is
read from the folder that CEFLOW_DATA names, and left out without one.
"""

import os
import resource
import time
from collections.abc import Callable
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import in_turns, seconds
from ceflow import data
from ceflow.bottlenecks import Batches, Simulation, WideDecoder, relu, sample
from ceflow.bottlenecks.kernels.past import Past, past_sums
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, DeepGp, Idx

SEED = Seed(0)
BATCH = 20
PAST = 40_960
"""Divides into batches and into blocks."""
SIZES = {2: 4000, 5: 4000, 10: 4000, 30: 4000, 100: 4000, inf: 12_000}
"""Of bottlenecks, and how many steps each is given to a fifth of the loss at the start."""


def main() -> None:
    """Everything; about ten minutes."""
    features()
    mnist()
    history()
    acceleration()


def gaussian(n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of 20 numbers, and targets of one."""
    random = np.random.default_rng(0)
    return random.normal(size=(n, 20)), random.normal(size=(n, 1))


def simulation(x: Any, y: Any, d: float = 10, **options: Any) -> Simulation:
    network = Bottleneck(size=d, encoder=relu(), decoder=relu())
    initial = sample(network, x.shape[1], y.shape[1], SEED)
    return Simulation(network, initial, x, y, **options)


def spans(simulated: Simulation, ends: tuple[int, ...]) -> list[float]:
    """Seconds from each of these steps to the next, after 256 that compile."""
    batches = Batches(len(simulated.x), BATCH, SEED)
    rate = 0.1 * simulated.largest_rate(batches)
    state = simulated.train(rate, batches, 256).state
    found, first = [], 0
    for end in ends:

        def go(state: Any = state, first: int = first, end: int = end) -> Any:
            nonlocal training
            training = simulated.train(rate, batches, end - first, state=state, first=first)

        training: Any = None
        found.append(seconds(go))
        state, first = training.state, end
    return found


def features() -> None:
    """n = 10,000, d = 10, N = 2,000, Theta kept."""
    first, _, last = spans(simulation(*gaussian()), (1000, 9000, 10_000))
    print(f"  features, Theta kept: {1000 / first:.0f} steps/s, {1000 / last:.0f} after 9,000")
    print(f"  features, steps 9,001-10,000 by 1-1,000: {last / first:.2f}")
    loops()


class Loops:
    """The steps of features three times: here, by a loop of NumPy, and by one of JAX whose step is
    compiled."""

    def __init__(self) -> None:
        self.simulated, self.batches = simulation(*gaussian()), Batches(2000, BATCH, SEED)
        self.rate = 0.1 * self.simulated.largest_rate(self.batches)
        dynamics, decoder = self.simulated.dynamics, self.simulated.initial.decoder
        self.theta = np.asarray(dynamics.kernel(jnp.arange(2000)))
        self.y = np.asarray(dynamics.targets)
        self.points = np.asarray(self.simulated.start().points)
        assert isinstance(decoder, WideDecoder)
        self.u, self.v = np.asarray(decoder.u), np.asarray(decoder.v)
        self.scales = [self.y.dtype.type(scale) for scale in decoder.scales]

    def here(self, steps: int) -> np.ndarray:
        """Points in the bottleneck after some steps, as from the others."""
        return np.asarray(self.simulated.train(self.rate, self.batches, steps).state.points)

    def in_numpy(self, steps: int) -> np.ndarray:
        points, u, v = self.points.copy(), self.u.copy(), self.v.copy()
        first, last = self.scales
        for batch in self.batches.some(0, steps):
            before = first * points[batch] @ u.T
            hidden = np.maximum(before, 0)
            chi = (last * hidden @ v.T - self.y[batch]) / first.dtype.type(BATCH)
            back = first * last * (chi @ v) * (before > 0)
            pull = back @ u
            v -= self.rate * last * chi.T @ hidden
            u -= self.rate * back.T @ points[batch]
            points -= self.rate * self.theta[batch].T @ pull
        return points

    def in_jax(self, steps: int) -> np.ndarray:
        moved = tuple(map(jnp.asarray, (self.points, self.u, self.v)))
        for batch in self.batches.some(0, steps):
            moved = self._step(moved, batch)
        return np.asarray(moved[0])

    @cached_property
    def _step(self) -> Callable[..., Any]:
        """A compiled step."""
        theta, y, (first, last) = jnp.asarray(self.theta), jnp.asarray(self.y), self.scales

        @jax.jit
        def step(moved: Any, batch: Any) -> Any:
            points, u, v = moved
            targets = y[batch]

            def loss(u: Any, v: Any, here: Any) -> Any:
                outputs = last * jax.nn.relu(first * here @ u.T) @ v.T
                return 0.5 * jnp.square(outputs - targets).sum() / BATCH

            du, dv, pull = jax.grad(loss, (0, 1, 2))(u, v, points[batch])
            points = points - self.rate * theta[batch].T @ pull
            return points, u - self.rate * du, v - self.rate * dv

        return step

    def apart(self, other: Callable[[int], np.ndarray], steps: int) -> float:
        """The distance of another's points from those here, relative to how far these moved."""
        here = self.here(steps)
        return float(np.linalg.norm(other(steps) - here) / np.linalg.norm(here - self.points))


def loops(steps: int = 300) -> None:
    """Steps of features beside those of plain loops, in turns; seconds of the process on all cores.

    All three agree in float64. In float32 they do for 100 steps, and then rounding grows: to 2 %
    after 300.
    """
    with jax.enable_x64(True):
        exact = Loops()
        assert max(exact.apart(other, steps) for other in (exact.in_numpy, exact.in_jax)) < 1e-12
    each, clock = Loops(), time.process_time
    for name, other in (("NumPy", each.in_numpy), ("plain JAX", each.in_jax)):
        assert each.apart(other, 100) < 1e-5
        one, two, ratio = in_turns(
            lambda other=other: taken(clock, lambda: other(steps)),
            lambda: taken(clock, lambda: each.here(steps)),
        )
        print(
            f"  features, steps per second of CPU: {name} {steps / one:.0f}, here"
            f" {steps / two:.0f}, {ratio:.1f} x"
        )


def mnist() -> None:
    """10,000 images, rows of Theta made as needed; then one bottleneck of 1,000, and memory."""
    folder = os.environ.get("CEFLOW_DATA")
    if not folder:
        return
    source = Idx(source="idx", path=f"{folder}/mnist", train=10_000, test=10)
    train = data.load(source, Path(), SEED).train
    for d, steps in ((10, 1000), (1000, 100)):
        simulated = simulation(train.x, train.y, d, memory=0)
        (taken,) = spans(simulated, (steps,))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        assert peak < 3, f"{peak:.2f} GB at d = {d}"
        print(f"  MNIST, rows made, d = {d}: {steps / taken:.0f} steps/s, peak {peak:.2f} GB")


def history() -> None:
    """d = 10, N = 2,000: 5,000 steps, and the sums of one step beside plain NumPy loops."""
    simulated = simulation(*gaussian(), engine="history")
    (taken,) = spans(simulated, (5000,))
    print(f"  history, 5,000 steps: {taken:.0f} s")
    sums()


def sums() -> None:
    """K and Xi of 20 points with 40,960 past ones, beside NumPy in a loop over batches of 20.

    Seconds of the process on all cores do not depend on how many others leave free.
    """
    random = np.random.default_rng(0)
    x, past, chi = (random.normal(size=(n, d)) for n, d in ((20, 10), (PAST, 10), (PAST, 1)))
    network = Bottleneck(size=10, encoder=relu(), decoder=relu())
    wide = Past(jnp.asarray(past), jnp.asarray(chi), jnp.asarray(len(past)))
    ours, points = eqx.filter_jit(past_sums), jnp.asarray(x)
    found, (outputs, jacobian) = ours(network, points, wide), numpy_sums(x, past, chi)
    apart = np.linalg.norm(found.jacobian[:, 0] - jacobian) / np.linalg.norm(jacobian)
    assert np.allclose(found.outputs, outputs, atol=1e-2)
    print(f"  sums of a step: J apart by {apart:.0e}")
    for name, clock in (("wall", time.perf_counter), ("process", time.process_time)):
        one, other, ratio = in_turns(
            lambda clock=clock: taken(clock, lambda: numpy_sums(x, past, chi)),
            lambda clock=clock: taken(
                clock, lambda: jax.block_until_ready(ours(network, points, wide))
            ),
        )
        times = f"NumPy loops {one * 1e3:.0f} ms, here {other * 1e3:.1f}, {ratio:.0f} x"
        print(f"  sums of a step, {name} time: {times}")


def taken(clock: Callable[[], float], work: Callable[[], object]) -> float:
    """Seconds of a call by a clock."""
    start = clock()
    work()
    return clock() - start


def numpy_sums(x: np.ndarray, past: np.ndarray, chi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """BN eq. 43 to 46 as they are printed, in float32, one past batch after the other.

    All 20 points at once: a loop over them too would take seven times as long.
    """
    x, past, chi = (each.astype("float32") for each in (x, past, chi))
    d, own = x.shape[1], np.square(x).sum(1)[:, None]
    outputs, jacobian = np.zeros((len(x), 1), "float32"), np.zeros_like(x)
    for y, c in zip(past.reshape(-1, BATCH, d), chi.reshape(-1, BATCH, 1), strict=True):
        size, product = np.sqrt(own * np.square(y).sum(1)), x @ y.T
        cosine = (product / size).clip(-1, 1)
        slope, sine = (np.pi - np.arccos(cosine)) / (2 * np.pi), np.sqrt(1 - cosine**2)
        sigma = size / d * (cosine * slope + sine / (2 * np.pi))
        along = y / size[..., None] - (cosine / own)[..., None] * x[:, None]
        turn = product / (2 * np.pi * d * sine) + size / d * slope
        xi = slope[..., None] * y / d + turn[..., None] * along
        xi += (sigma / own)[..., None] * x[:, None]
        outputs += (sigma + product / d * slope) @ c
        jacobian += np.einsum("bsd,s->bd", xi, c[:, 0])
    return outputs, jacobian


def acceleration() -> None:
    """Steps to a fifth of the loss at the start; ten deep-GP targets, N = 2,000, inputs times 0.1.

    Where the initial function is small beside the targets a bottleneck accelerates; one of 2 cannot
    carry ten targets.
    """
    source = DeepGp(inputs=20, outputs=10, train=2000, test=0, length=4.0, scale=0.1)
    train = data.load(source, Path(), SEED).train
    for d, steps in SIZES.items():
        simulated = simulation(train.x, train.y, d)
        training = simulated.train(0.5, Batches(2000, BATCH, SEED), steps)
        losses = np.convolve(training.losses, np.ones(50) / 50, "valid")
        low = losses < simulated.loss_of(simulated.start()) / 5
        reached = f"{int(np.argmax(low))} steps" if low.any() else f"not in {steps}"
        print(f"  acceleration, d = {d}: {reached}; loss after 4,000: {losses[3950]:.2f}")


if __name__ == "__main__":
    main()
