"""Steps of gradient descent of several replicas together, compiled to one program."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree, UInt

from ceflow._machine import trim
from ceflow.compiler.programs import barred
from ceflow.dynamics import Loss
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.training.augmentation import Standard, augmented
from ceflow.training.networks import Network
from ceflow.training.optimisers import Optimiser, averaged

STEPS_AT_ONCE = 256
"""Largest number of steps in one call of the compiled program."""


Tree = TypeVar("Tree")

Kept = tuple[PyTree, Any]
"""Stacked parameters and states to evaluate and to keep."""


class Replicas(NamedTuple):
    """Everything that the next step depends on besides its number; stacked over replicas."""

    parameters: PyTree
    state: Any
    """Running statistics of the network; None if it has none."""
    memory: PyTree
    """What the optimiser remembers."""
    average: Kept | None
    """Moving averages of the parameters and of the floating-point state, if they are kept."""

    @property
    def kept(self) -> Kept:
        """Parameters and state to evaluate and to keep: the averages where there are any."""
        return (self.parameters, self.state) if self.average is None else self.average


class Place(NamedTuple):
    """Position in the data: the number of steps done, and where the next batch begins."""

    step: UInt[Array, ""]
    epoch: Int[Array, ""]
    offset: Int[Array, ""]
    """Number of examples of the epoch that earlier batches have taken."""

    @classmethod
    def at(cls, step: int, batch: int, examples: int) -> "Place":
        """Return the place before the step that follows `step` earlier ones.

        >>> [int(part) for part in Place.at(7, 3, 10)]
        [7, 2, 1]
        """
        epoch, offset = divmod(step * batch, examples)
        numbers = jnp.asarray(epoch, jnp.int32), jnp.asarray(offset, jnp.int32)
        return cls(jnp.asarray(step % 2**32, jnp.uint32), *numbers)


class Trainer(eqx.Module):
    """A trainer holds what a training needs besides its replicas.

    Its arrays may change without compiling again.

    Each replica has its own key, from which the orders of its epochs and all other random numbers
    derive. Epochs are concatenated: a batch may hold the end of one and the beginning of the next.
    A batch of all examples is never reordered. With `smoothing` s, targets y of K outputs become
    `(1 - s) y + s/K` in the steps (Szegedy et al., CVPR 2016, section 7). With `average` a, weights
    are averaged over the steps with decay a.
    """

    network: Network
    optimiser: Optimiser
    loss: Loss
    x: Float[Array, "n ..."]
    y: Float[Array, "n outputs"]
    keys: Key[Array, " replicas"]
    origins: PyTree = None
    """Parameters at which the networks are linearised, stacked; None if they are not."""
    standard: Standard | None = None
    """How images were standardised whose colours are changed; None if they were not."""
    batch: int = eqx.field(static=True, kw_only=True)
    augment: tuple[str, ...] = eqx.field(static=True, default=())
    image: tuple[int, int, int] | None = eqx.field(static=True, default=None)
    """Shape of the images that are augmented; examples may be rows of their numbers."""
    smoothing: float = eqx.field(static=True, default=0.0)
    average: float | None = eqx.field(static=True, default=None)
    by_calls: bool = eqx.field(static=True, default=False)
    """Whether each step is a call of its own, and not one of a loop of XLA."""
    together: int | None = eqx.field(static=True, default=None)
    """Number of replicas that one call trains, by default all. The others have calls of their own,
    of the same program: what a call works on then fits into a cache."""
    fed: bool = eqx.field(static=True, default=False)
    """Whether `x` and `y` are the examples of the next steps alone: step after step, of each the
    batches of all replicas."""

    @property
    def full(self) -> bool:
        """Whether every batch is all examples."""
        return not self.fed and self.batch == len(self.x)

    @property
    def groups(self) -> list[int]:
        """The first replica of each call. The last call begins earlier if not enough are left, and
        trains some again.
        """
        count = len(self.keys)
        size = self.together or count
        return [min(first, count - size) for first in range(0, count, size)]

    def start(self, parameters: PyTree, state: Any) -> Replicas:
        """Return stacked replicas before the first step, in memory of their own."""
        memory = jax.vmap(self.optimiser.start)(parameters)
        average = None if self.average is None else (parameters, state)
        return copied(Replicas(parameters, state, memory, average))

    def orders(self, epoch: Int[Array, ""]) -> Int[Array, "replicas n"]:
        """Compute the order of the examples in an epoch, for each replica."""
        return jax.vmap(lambda key: order_of(key, epoch, len(self.x)))(self.keys)

    def step(
        self, replica: Replicas, key: Array, origin: PyTree, rows: Array | None, step: Array
    ) -> tuple[Replicas, Float[Array, ""]]:
        """Take a step of one replica on these rows of the examples, by default all; return the
        mean loss of the batch before it.
        """
        x, y = (part if rows is None else part[rows] for part in (self.x, self.y))
        images, draws = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, 1), step))
        if self.augment:
            shaped = x.reshape(len(x), *(self.image or x.shape[1:]))
            x = augmented(shaped, self.augment, images, self.standard).reshape(x.shape)
        if self.smoothing:
            y = (1 - self.smoothing) * y + self.smoothing / y.shape[1]
        outputs, pull, state = jax.vjp(
            lambda parameters: self.network.trained(parameters, replica.state, x, draws, origin),
            replica.parameters,
            has_aux=True,
        )
        (gradient,) = pull(self.loss.chi(outputs, y))
        parameters, memory = self.optimiser.moved(
            replica.parameters, gradient, replica.memory, step
        )
        average = replica.average
        if self.average is not None:
            average = averaged(average, (parameters, state), self.average)
        loss = self.loss.per_example(outputs, y).mean()
        return Replicas(parameters, state, memory, average), loss


def copied(tree: Tree) -> Tree:
    """Return a tree whose arrays are copies, and so outlive a call that uses their memory."""
    return jax.tree.map(lambda leaf: leaf.copy() if eqx.is_array(leaf) else leaf, tree)


def order_of(key: Key[Array, ""], epoch: Int[Array, ""], count: int) -> Int[Array, " n"]:
    """Compute the order of `count` examples in an epoch, for a replica with this key."""
    here = jax.random.fold_in(jax.random.fold_in(key, 0), epoch)
    return jax.random.permutation(here, count)


def compiled(trainer: Trainer, replicas: Replicas, place: Place) -> Replicas:
    """Compile the program of steps, and return the memory that this took to the system, several
    hundred MB for a deep network. The replicas are those given, which are lost.
    """
    if not trainer.by_calls:
        replicas, _ = advance(trainer, replicas, place, 0)
        trim()
    return replicas


def advance(
    trainer: Trainer, replicas: Replicas, place: Place, count: int
) -> tuple[Replicas, Float[Array, "steps replicas"]]:
    """Take `count` steps, at most `STEPS_AT_ONCE`, from a place in the data, in the memory of the
    replicas, which are lost.

    Returns the replicas after them, and the mean loss of each batch before its step.
    """
    groups = trainer.groups
    if len(groups) == 1:
        return _advanced(trainer, replicas, place, count)
    size, several = trainer.together or len(trainer.keys), []
    for first in groups:
        part, some = _group(trainer, replicas, jnp.asarray(first), size)
        after, losses = _advanced(part, some, place, count)
        several.append((after, losses.T))
    after, losses = _joined(several, len(trainer.keys))
    return after, losses.T


def _group(
    trainer: Trainer, replicas: Replicas, first: Int[Array, ""], size: int
) -> tuple[Trainer, Replicas]:
    """Take some replicas, and what the trainer has of them."""
    stacked = trainer.keys, trainer.origins, replicas
    keys, origins, some = _some(stacked, first, size)
    x, y = trainer.x, trainer.y
    if trainer.fed:  # of each step, the batches of these replicas
        steps = len(x) // (len(trainer.keys) * trainer.batch)
        by_step = (leaf.reshape(steps, -1, trainer.batch, *leaf.shape[1:]) for leaf in (x, y))
        x, y = (
            leaf.reshape(-1, *leaf.shape[3:]) for leaf in _some((*by_step,), first, size, axis=1)
        )
    return replace(trainer, keys=keys, origins=origins, x=x, y=y, together=None), some


@eqx.filter_jit
def _some(tree: Any, first: Int[Array, ""], size: int, axis: int = 0) -> Any:
    return jax.tree.map(
        lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, size, axis=axis), tree
    )


@eqx.filter_jit
def _joined(groups: list[Any], count: int) -> Any:
    """Join what groups of replicas have; of the last, those that no other has."""

    def joined(*leaves: Array) -> Array:
        *whole, last = leaves
        left = count - sum(map(len, whole))
        return jnp.concatenate([*whole, last[len(last) - left :]])

    return jax.tree.map(joined, *groups)


def _advanced(
    trainer: Trainer, replicas: Replicas, place: Place, count: int
) -> tuple[Replicas, Float[Array, "steps replicas"]]:
    """Take steps of replicas that one call trains."""
    if not trainer.by_calls:
        replicas, losses = _looped((trainer, place, jnp.asarray(count)), replicas)
        return replicas, losses[:count]
    now, losses = _begun(trainer, replicas, place), []
    for _ in range(count):
        now, loss = _called(trainer, now)
        losses.append(loss)
    return now[0], jnp.stack(losses)


Now = tuple[Replicas, Place, Array | None]
"""Replicas, their place in the data, and the orders of two epochs from there on."""


@partial(barred, donate="all-except-first")
def _looped(
    fixed: tuple[Trainer, Place, Int[Array, ""]], replicas: Replicas
) -> tuple[Replicas, Float[Array, "steps replicas"]]:
    """Take the steps in one call, in the memory of the replicas; losses of steps beyond their
    number are NaN.
    """
    trainer, place, count = fixed

    def step(index: Array, carry: tuple[Now, Array]) -> tuple[Now, Array]:
        now, loss = _stepped(trainer, carry[0])
        return now, carry[1].at[index].set(loss)

    losses = jnp.full((STEPS_AT_ONCE, len(trainer.keys)), jnp.nan, trainer.x.dtype)
    start = _begun(trainer, replicas, place)
    now, losses = jax.lax.fori_loop(0, count, step, (start, losses))
    return now[0], losses


@eqx.filter_jit
def _begun(trainer: Trainer, replicas: Replicas, place: Place) -> Now:
    """Compute the orders of the epochs at a place, or of the examples that are fed."""
    if trainer.full:
        return replicas, place, None
    if trainer.fed:
        given = jnp.arange(len(trainer.x)).reshape(-1, len(trainer.keys), trainer.batch)
        return replicas, place, given.swapaxes(0, 1).reshape(len(trainer.keys), -1)
    both = trainer.orders(place.epoch), trainer.orders(place.epoch + 1)
    return replicas, place, jnp.concatenate(both, axis=1)


def _stepped(trainer: Trainer, now: Now) -> tuple[Now, Float[Array, " replicas"]]:
    """Take a step of all replicas."""
    (replicas, place, orders), rows = now, None
    if orders is not None:
        if not trainer.fed:
            place, orders = jax.lax.cond(
                place.offset >= len(trainer.x),
                lambda place, orders: _next_epoch(trainer, place, orders),
                lambda place, orders: (place, orders),
                place,
                orders,
            )
        rows = jax.lax.dynamic_slice_in_dim(orders, place.offset, trainer.batch, axis=1)
    replicas, loss = _taken(trainer, (replicas, trainer.keys, trainer.origins, rows), place.step)
    place = Place(place.step + 1, place.epoch, place.offset + trainer.batch)
    return (replicas, place, orders), loss


def _taken(trainer: Trainer, stacked: Any, step: Array) -> tuple[Replicas, Array]:
    """Take a step of each replica. A single one is not batched: a convolution batched over its
    weights is a grouped one.
    """

    def one(each: tuple[Replicas, Array, PyTree, Array | None]) -> tuple[Replicas, Array]:
        return trainer.step(*each, step)

    if len(trainer.keys) > 1:
        return lowered(jax.vmap(one))(stacked)
    only = lowered(one)(jax.tree.map(lambda leaf: leaf[0], stacked))
    return jax.tree.map(lambda leaf: leaf[None], only)


_called = barred(_stepped)


def _next_epoch(trainer: Trainer, place: Place, orders: Array) -> tuple[Place, Array]:
    """Move on to the next epoch; `orders` holds those of an epoch and of the one after it."""
    size = len(trainer.x)
    after = trainer.orders(place.epoch + 2)
    place = Place(place.step, place.epoch + 1, place.offset - size)
    return place, jnp.concatenate([orders[:, size:], after], axis=1)
