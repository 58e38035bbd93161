"""Training an infinitely wide network with bottlenecks on data."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ceflow._machine import MEMORY
from ceflow._words import one_of
from ceflow.bottlenecks.costs import follows_vectors
from ceflow.bottlenecks.kernels.encoder import ComposedKernel, EncoderKernel
from ceflow.bottlenecks.kernels.rows import MadeRows, points_of
from ceflow.bottlenecks.kernels.whole import WholeKernel
from ceflow.bottlenecks.training import steps
from ceflow.bottlenecks.training.checks import checked
from ceflow.bottlenecks.training.engines import Engine, Features, History, Identity
from ceflow.bottlenecks.training.loop import Batches, Instability, Training, run
from ceflow.bottlenecks.training.ntk import RATE_BATCHES, largest_factor, ntk_at
from ceflow.bottlenecks.training.steps import Dynamics, Rates, State
from ceflow.bottlenecks.wide import WideNetwork
from ceflow.dynamics import Loss, SquaredError
from ceflow.kernels import analytic_error
from ceflow.nets import examples
from ceflow.seeding import full_products
from ceflow.spec.models.segmented import Segmented

EngineName = Literal["features", "history"]


@dataclass(frozen=True)
class Simulation:
    """A training to simulate: the network, its initial functions, the data, loss and engine.

    `rate_factors` multiply the learning rate of the encoder's and the decoder's weights (BN lemma
    4.1). The loss's `reduction` is over the examples of a batch. Outputs on test inputs are tracked
    too. With an infinite bottleneck, the dynamics have a single NTK, and `engine` is ignored.

    Arrays have JAX's default float type. Raises `ValueError` if the data do not match each other or
    the initial network.

    >>> from ceflow.spec import Bottleneck
    >>> from ceflow.bottlenecks import Simulation, relu, sample
    >>> from ceflow.seeding import Seed
    >>> network = Bottleneck(size=2, encoder=relu(), decoder=relu())
    >>> x, y = jnp.eye(3), jnp.ones((3, 1))
    >>> simulation = Simulation(network, sample(network, 3, 1, Seed(0), width=2000), x, y)
    >>> training = simulation.train(1.0, Batches(3, 3), 200)
    >>> bool(training.losses[-1] < training.losses[0] / 10)
    True
    """

    network: Segmented
    initial: WideNetwork
    x: Float[Any, "n ..."]
    y: Float[Any, "n outputs"]
    x_test: Float[Any, "k ..."] | None = None
    loss: Loss = field(default_factory=lambda: SquaredError("mean"))
    engine: EngineName = "features"
    rate_factors: Rates = field(default_factory=lambda: Rates(1.0, 1.0))
    memory: int = MEMORY

    def __post_init__(self):
        checked(self.x, self.y, self.x_test, self.initial)
        sizes = tuple(decoder.ends[0] for decoder in self.initial.decoder.sequence)
        if tuple(self.network.between) not in (sizes, (math.inf,)):
            given, wanted = (" and ".join(map(str, each)) for each in (sizes, self.network.between))
            raise ValueError(
                f"the initial network has a bottleneck of {given}, and the network one of"
                f" {wanted}: sample it from the same network"
            )
        one_of("engine", self.engine, get_args(EngineName))

    @property
    def train_count(self) -> int:
        """Number of training examples; they are the first of all points."""
        return len(self.x)

    @cached_property
    def inputs(self) -> Float[Array, "m ..."]:
        """Inputs of the training examples, then of the test examples."""
        both = [self.x] if self.x_test is None else [self.x, self.x_test]
        return jnp.concatenate([jnp.asarray(each, jnp.zeros(()).dtype) for each in both])

    @cached_property
    def points(self) -> Float[Array, "m d"]:
        """Initial values `g_0` of all inputs; with an infinite bottleneck, initial outputs."""
        return self._first_points(self.inputs)

    @cached_property
    def made(self) -> MadeRows | WholeKernel:
        """The kernel over all inputs, before any is computed."""
        narrow = self.network.is_narrow
        network = self.network.bottlenecks[0].sized(inputs=self.initial.size)
        # which warns if the error is large
        analytic_error(network.encoder if narrow else network, self.inputs)
        encoder, decoder = map(float, self.rate_factors)
        factors = (encoder, decoder)
        if not follows_vectors(network):
            return WholeKernel(network, self.inputs, self.train_count, factors)
        kernel = EncoderKernel(network) if narrow else ComposedKernel(network, factors)
        return MadeRows(kernel, points_of(self.inputs), self.train_count)

    @cached_property
    def dynamics(self) -> Dynamics:
        """The dynamics at learning rate 1."""
        y = jnp.asarray(self.y, self.inputs.dtype)
        rows = self.made.rows(self.memory)
        return Dynamics(rows, self._engine(), y, self.loss, self._rates(1.0))

    def at(self, rate: float) -> Dynamics:
        """Return the dynamics at a learning rate."""
        return eqx.tree_at(lambda dynamics: dynamics.rates, self.dynamics, self._rates(rate))

    def start(self) -> State:
        """Return the state before the first step."""
        return self.dynamics.start(self.points)

    def outputs(self, state: State) -> Float[Array, "m outputs"]:
        """Compute the outputs `F_t` on training inputs, then on test inputs."""
        return steps.outputs(self.dynamics.engine, state.memory, state.points)

    def values(self, state: State) -> Float[np.ndarray, "m d"]:
        """Compute the values in all bottlenecks, side by side, on training and test inputs."""
        return np.asarray(steps.values(self.dynamics.engine, state.memory, state.points))

    def loss_of(self, state: State) -> float:
        """Compute the mean loss of training examples."""
        on_training = self.outputs(state)[: self.train_count]
        return float(self.loss.per_example(on_training, self.dynamics.targets).mean())

    @full_products()
    def evaluate(self, state: State, x: Float[Any, "k ..."]) -> Float[Array, "k outputs"]:
        """Compute the outputs `F_t` on any inputs, whether tracked or not."""
        x = jnp.asarray(examples("inputs", x, self.inputs.shape[1:]), self.inputs.dtype)
        moved = self.made.with_others(x).T @ state.coefficients
        points = self._first_points(x) - moved
        return steps.outputs(self.dynamics.engine, state.memory, points)

    def largest_rate(self, batches: Batches) -> float:
        """Compute the largest stable learning rate (see `ntk.largest_factor`)."""
        self._require(batches)
        some = batches.some(0, 1 if batches.full else RATE_BATCHES)
        return largest_factor(self.network, self.dynamics, self.start(), some)

    def train(
        self,
        rate: float,
        batches: Batches,
        count: int,
        *,
        state: State | None = None,
        first: int = 0,
        record_at: Sequence[int] = (),
        record: Callable[[int, State], Mapping[str, Any]] = lambda step, state: {},
        until: Callable[[Mapping[str, Any]], bool] = lambda line: False,
        observe: Callable[[int], None] = lambda step: None,
    ) -> Training:
        """Take `count` steps of SGD from a state (BN eq. 42 to 44); the first has number `first`.

        `record(step, state)` is called before each step in `record_at`, which may include the end.
        It returns a line for `Training.history`, to which `step` is added. Training ends early if
        `until(line)` is True. `observe(step)` is called as training proceeds. If the rate is too
        large, nothing is raised: `Training.instability` tells where the loss grew, and which rate
        is stable. Raises `ValueError` unless the rate is above 0, for negative counts, for batches
        of another number of examples, and if `record_at` goes beyond the last step.
        """
        self._require(batches)
        if first < 0 or count < 0:
            raise ValueError(f"steps are counted from 0 on, not {count} from {first}")
        if not rate > 0:
            raise ValueError(f"a learning rate must be above 0, not {rate}")
        last = first + count
        if record_at and not 0 <= min(record_at) <= max(record_at) <= last:
            raise ValueError(f"record_at goes beyond the steps, which are 0 to {last}")
        state = self.start() if state is None else state
        moments = {step for step in record_at if step >= first}
        reference = self.loss_of(self.start())
        return run(
            self.at(rate),
            state,
            batches,
            range(first, first + count),
            moments=moments,
            record=record,
            until=until,
            observe=observe,
            reference=reference,
            unstable=lambda step, loss: Instability(step, loss, rate, self.largest_rate(batches)),
        )

    def _require(self, batches: Batches) -> None:
        if batches.n != self.train_count:
            raise ValueError(
                f"the batches are of {batches.n} examples, and there are {self.train_count}"
            )

    def _rates(self, rate: float) -> Rates:
        rate_factors = self.rate_factors if self.network.is_narrow else Rates(1.0, 1.0)
        return Rates(*(jnp.asarray(rate * share, self.inputs.dtype) for share in rate_factors))

    def _engine(self) -> Engine:
        if not self.network.is_narrow:
            return Identity()
        if self.engine == "features":
            return Features(self.initial.decoder)
        return History(self.initial.decoder, self.network.bottlenecks)

    def _first_points(self, x: Float[Array, "k ..."]) -> Array:
        return self.initial.embed(x) if self.network.is_narrow else self.initial(x)


def composed_ntk(
    simulation: Simulation, state: State, examples: Int[np.ndarray, " b"] | None = None
) -> Float[np.ndarray, "b b"]:
    """Compute the NTK of `F_t = f_t o g_t` on some or all training examples, in float64.

    It is the mean over outputs a of `K(g, g') + Theta J_a.J'_a` (in BN eq. 14), with g and J at
    time t; in a chain each segment adds such a term (`ntk.ComposedNtk`). K and Theta are the fixed
    limit kernels, so the NTK changes only with g and J; with an infinite bottleneck it is constant.
    If encoder and decoder have different learning rates
    (`Simulation.rate_factors`), each term is multiplied by its own. Memory holds
    b^2 + b outputs d numbers. Raises `ValueError` for an index out of range.

    >>> from ceflow.bottlenecks import Batches, Simulation, composed_ntk, relu, sample
    >>> from ceflow.seeding import Seed
    >>> from ceflow.spec import Bottleneck
    >>> network = Bottleneck(size=2, encoder=relu(), decoder=relu())
    >>> initial = sample(network, 3, 1, Seed(0), width=2000)
    >>> simulation = Simulation(network, initial, jnp.eye(3), jnp.ones((3, 1)))
    >>> state = simulation.train(1.0, Batches(3, 3), 200).state
    >>> before, after = (composed_ntk(simulation, s) for s in (simulation.start(), state))
    >>> bool(after.trace() > before.trace())
    True
    """
    count = simulation.train_count
    some = np.arange(count) if examples is None else np.asarray(examples)
    if some.ndim != 1 or not some.size or some.dtype.kind not in "iu":
        raise ValueError("examples must be a row of numbers of training examples, one or more")
    if not 0 <= some.min() <= some.max() < count:
        raise ValueError(f"training examples are numbered 0 to {count - 1}, not {some.tolist()}")
    return ntk_at(simulation.network, simulation.dynamics, state, some).mean
