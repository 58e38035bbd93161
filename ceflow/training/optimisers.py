"""From a gradient to a step: the optimiser, its learning rate over time, and weight decay."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from ceflow.nets import BatchNorm, LayerNorm, Scale
from ceflow.nets.weighted import Weighted

Kind = Literal["sgd", "adam", "adamw"]
Decayed = Literal["all", "weights"]

EPSILON = 1e-8
"""Number that Adam adds to the root of the mean square."""


@dataclass(frozen=True)
class Schedule:
    """Factor of the learning rate at each step of a training of `steps` steps.

    During the first `warmup` steps it rises in proportion to the number of steps begun. After that
    it is 1 if `kind` is "constant"; with "cosine" it falls as `(1 + cos(pi t))/2`, with t from 0 to
    1 over the steps after the warm-up; with "steps" it is multiplied by `factor` at each of `drops`
    (numbers of steps).

    >>> cosine = Schedule(5, "cosine", warmup=1)
    >>> [round(float(cosine(step)), 3) for step in range(5)]
    [1.0, 1.0, 0.854, 0.5, 0.146]
    >>> falling = Schedule(5, "steps", drops=(2, 4), factor=0.1, warmup=2)
    >>> [round(float(falling(step)), 3) for step in range(5)]
    [0.5, 1.0, 0.1, 0.1, 0.01]
    """

    steps: int
    kind: Literal["constant", "cosine", "steps"] = "constant"
    drops: tuple[int, ...] = ()
    factor: float = 1.0
    warmup: int = 0

    def __call__(self, step: Int[Array, ""] | int) -> Float[Array, ""]:
        """Return the factor in the step that follows `step` earlier ones."""
        now = jnp.asarray(step, jnp.zeros(()).dtype)
        rising = jnp.minimum(1.0, (now + 1) / self.warmup) if self.warmup else 1.0
        return jnp.asarray(rising * self._after_warmup(now))

    def _after_warmup(self, now: Float[Array, ""]) -> Array | float:
        if self.kind == "cosine":
            done = (now - self.warmup) / max(1, self.steps - self.warmup)
            return (1 + jnp.cos(math.pi * jnp.clip(done, 0.0, 1.0))) / 2
        return self.factor ** sum((now >= drop).astype(now.dtype) for drop in self.drops)


class Optimiser(eqx.Module):
    """A rule that turns gradients into steps; only the learning rate is an array.

    "sgd" has `momentum` m: `v <- m v + g`, and the step is `-rate v`, or `-rate (g + m v)` with
    `nesterov`. "adam" and "adamw" are Adam with decay rates `betas` of its two means (Kingma and
    Ba, ICLR 2015). `weight_decay` w adds `w theta` to the gradient in "sgd" and "adam", and
    `rate w theta` to the step in "adamw" (Loshchilov and Hutter, ICLR 2019); `decayed` says which
    parameters decay: "all", or "weights" without biases, learned scales and normalisations. Before
    that, gradients whose norm over all parameters is above `clip` are scaled down to it.

    >>> optimiser = Optimiser(jnp.asarray(0.5), Schedule(2), momentum=0.5)
    >>> theta = jnp.ones(1)
    >>> memory = optimiser.start(theta)
    >>> for step in range(2):
    ...     theta, memory = optimiser.moved(theta, theta, memory, step)
    >>> print(theta)    # 1 - 0.5 1 = 0.5, then 0.5 - 0.5 (0.5 + 0.5)
    [0.]
    """

    rate: Float[Array, ""]
    schedule: Schedule = eqx.field(static=True)
    kind: Kind = eqx.field(static=True, default="sgd")
    momentum: float = eqx.field(static=True, default=0.0)
    nesterov: bool = eqx.field(static=True, default=False)
    betas: tuple[float, float] = eqx.field(static=True, default=(0.9, 0.999))
    weight_decay: float = eqx.field(static=True, default=0.0)
    decayed: Decayed = eqx.field(static=True, default="all")
    clip: float | None = eqx.field(static=True, default=None)

    def start(self, parameters: PyTree) -> PyTree:
        """Return what the optimiser remembers before the first step."""
        return self._rule(parameters).init(parameters)

    def moved(
        self, parameters: PyTree, gradient: PyTree, memory: PyTree, step: Int[Array, ""] | int
    ) -> tuple[PyTree, PyTree]:
        """Take the step that follows `step` earlier ones; return the new parameters and memory."""
        direction, memory = self._rule(parameters).update(gradient, memory, parameters)
        if self.momentum:
            direction, memory = _once((direction, memory))
        rate = self.rate * self.schedule(step)
        scaled = jax.tree.map(lambda each: (-rate * each).astype(each.dtype), direction)
        return optax.apply_updates(parameters, scaled), memory

    def _rule(self, parameters: PyTree) -> optax.GradientTransformation:
        parts = [] if self.clip is None else [optax.clip_by_global_norm(self.clip)]
        decay = []
        if self.weight_decay:
            mask = decays(parameters, self.decayed)
            decay = [optax.add_decayed_weights(self.weight_decay, mask)]
        if self.kind == "sgd":
            momentum = [optax.trace(self.momentum, self.nesterov)] if self.momentum else []
            return optax.chain(*(parts + decay + momentum or [optax.identity()]))
        adam = [optax.scale_by_adam(*self.betas, eps=EPSILON)]
        return optax.chain(*parts, *(adam + decay if self.kind == "adamw" else decay + adam))


def _once(tree: PyTree) -> PyTree:
    """Compute each array before its uses, and so in the memory of the one that it replaces."""
    known = {id(leaf): jax.lax.optimization_barrier(leaf) for leaf in jax.tree.leaves(tree)}
    return jax.tree.map(lambda leaf: known[id(leaf)], tree)


def decays(parameters: PyTree, which: Decayed) -> PyTree:
    """Tell of each parameter whether it decays.

    With "weights", the weights of layers of `ceflow.nets` do, and in other modules the arrays with
    two axes or more.

    >>> from ceflow.nets import Dense
    >>> dense = Dense(2, 3, bias_variance=1.0, key=jax.random.key(0))
    >>> jax.tree.leaves(decays(dense, "weights"))
    [True, False]
    """
    kinds = (Weighted, BatchNorm, LayerNorm, Scale)

    def of(part: Any) -> PyTree:
        if isinstance(part, Weighted):
            weights = jax.tree.map(lambda _: False, part)
            return eqx.tree_at(lambda layer: layer.weight, weights, True)
        if isinstance(part, kinds):
            return jax.tree.map(lambda _: False, part)
        return part.ndim > 1

    if which == "all":
        return jax.tree.map(lambda _: True, parameters)
    return jax.tree.map(of, parameters, is_leaf=lambda part: isinstance(part, kinds))


def averaged(average: PyTree, now: PyTree, decay: float) -> PyTree:
    """Move an exponential moving average: `decay average + (1 - decay) now`.

    >>> print(averaged(jnp.ones(1), jnp.zeros(1), 0.75))
    [0.75]
    """
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, now)
