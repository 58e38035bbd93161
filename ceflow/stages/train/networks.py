"""The problem of training a finite network: examples, networks, optimiser, learning rate.

Loads JAX: imported only when a stage runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ceflow import dynamics, training
from ceflow.compiler import nodes
from ceflow.compiler.lowering import lower_with_state
from ceflow.spec import Drops, LearningRates, Train
from ceflow.stages.stage import Job
from ceflow.stages.train import demand
from ceflow.stages.train.examples import Block, Examples, StreamedExamples
from ceflow.training import Kept, Network, Optimiser, Replicas, Schedule, Trainer


@dataclass(frozen=True)
class NetworkProblem:
    """A job with its examples. Use it only within `ceflow.stages.stage.precision`."""

    job: Job
    examples: Examples

    @property
    def stage(self) -> Train:
        return self.job.stage

    @property
    def is_linearised(self) -> bool:
        return self.stage.engine_of(self.job.model) == "linearised"

    @property
    def train(self) -> int:
        """Number of training examples."""
        return self.examples.train

    @property
    def steps(self) -> int:
        return self.stage.steps_of(self.train)

    @property
    def batch(self) -> int:
        return self.stage.batch or self.train

    @property
    def loss(self) -> dynamics.Loss:
        return dynamics.LOSSES[self.stage.loss](self.stage.reduction)

    @cached_property
    def root(self) -> nodes.Node:
        """The layers of the network."""
        return self.job.plan.expand(self.job.model)

    @property
    def by_calls(self) -> bool:
        """True if each step is a call of its own: on a CPU, layers of the user's may have
        convolutions that are slow within loops.
        """
        unknown = any(isinstance(node, nodes.External) for node in nodes.every(self.root))
        return unknown and jax.default_backend() == "cpu"

    @cached_property
    def _drawn(self) -> tuple[Network, PyTree, Any]:
        """Draw the networks: what they share, and their stacked parameters and states."""
        several = [
            lower_with_state(self.root, self.job.seed.fold(index).jax())
            for index in range(self.stage.replicas)
        ]
        compute = self.stage.compute
        network, _ = training.separated(several[0][0], compute=compute)
        parameters = [training.separated(module)[1] for module, _ in several]
        return network, _stacked(parameters), _stacked([state for _, state in several])

    @property
    def network(self) -> Network:
        return self._drawn[0]

    @cached_property
    def trainer(self) -> Trainer:
        source, extent = self.job.plan.document.data, self.job.plan.data
        assert source is not None
        assert extent is not None
        keys = [self.job.seed.fold(r).fold("steps").jax() for r in range(self.stage.replicas)]
        network, parameters, _ = self._drawn
        return Trainer(
            network,
            self._optimiser,
            self.loss,
            *self.examples.start(),
            jnp.stack(keys),
            parameters if self.is_linearised else None,
            self._standard,
            batch=self.batch,
            augment=source.augmentation,
            image=extent.image,
            smoothing=self.stage.label_smoothing,
            average=self.stage.average,
            by_calls=self.by_calls,
            together=self.together,
            fed=isinstance(self.examples, StreamedExamples),
        )

    @property
    def _standard(self) -> training.Standard | None:
        """How the images were standardised, if their colours are changed."""
        data, extent = self.job.plan.document.data, self.job.plan.data
        standardiser = self.examples.source.standardiser
        assert data is not None
        assert extent is not None
        if standardiser is None or "color-jitter" not in data.augmentation:
            return None
        scales = standardiser.mean, standardiser.deviation / data.scale
        dtype, image = jnp.zeros(()).dtype, extent.image or (extent.inputs,)
        return training.Standard(*(jnp.asarray(each.reshape(image), dtype) for each in scales))

    @property
    def together(self) -> int:
        """Number of replicas that are trained together. A CPU trains few, which its caches hold."""
        on_cpu = jax.default_backend() == "cpu"
        return demand.together(self.stage, self.job.plan, self.job.model, on_cpu=on_cpu)

    def start(self) -> Replicas:
        """Return the replicas before the first step."""
        _, parameters, state = self._drawn
        return self.trainer.start(parameters, state)

    @property
    def _optimiser(self) -> Optimiser:
        stage, steps = self.stage, self.steps
        given = stage.schedule
        kind, factor = ("steps", given.factor) if isinstance(given, Drops) else (given, 1.0)
        schedule = Schedule(steps, kind, stage.drop_steps(steps), factor, stage.warmup_steps(steps))
        return Optimiser(
            jnp.asarray(self.rate, jnp.zeros(()).dtype),
            schedule,
            kind=stage.optimizer,
            momentum=stage.momentum,
            nesterov=stage.nesterov,
            betas=(stage.betas[0], stage.betas[1]),
            weight_decay=stage.weight_decay,
            decayed=stage.decay,
            clip=stage.clip,
        )

    @property
    def keeps_outputs(self) -> bool:
        """True if the outputs on all examples are kept."""
        return demand.keeps_outputs(self.stage, self.job.plan, self.job.model)

    @property
    def has_largest(self) -> bool:
        """True if the largest stable learning rate is known for this optimiser and network."""
        return self.stage.optimizer == "sgd" and not self.job.model.has_batch_norm

    @cached_property
    def rate_examples(self) -> int:
        """Number of training examples by whose NTK the largest stable rate is found."""
        return min(self.batch, demand.rate_examples(self.root.flops))

    @cached_property
    def largest(self) -> float:
        """Largest stable learning rate at the start, for the first network and the first examples
        that it is trained on.
        """
        network, parameters, state = self._drawn
        first = jax.tree.map(lambda leaf: leaf[0], (parameters, state))
        order = np.arange(self.train)
        if self.batch < self.train:
            key = self.job.seed.fold(0).fold("steps").jax()
            order = np.asarray(training.order_of(key, jnp.asarray(0, jnp.int32), self.train))
        return training.largest_rate(
            network.module(*first),
            self.points(np.sort(order[: self.rate_examples])),
            self.job.plan.outputs,
            self.loss,
            self.batch,
            momentum=self.stage.momentum,
            nesterov=self.stage.nesterov,
            weight_decay=self.stage.weight_decay,
        )

    @cached_property
    def rate(self) -> float:
        """Learning rate. If no output can change, any rate is stable."""
        given = self.stage.learning_rate
        if not isinstance(given, LearningRates):
            return given
        assert given.relative is not None
        return given.relative * (self.largest if np.isfinite(self.largest) else 1.0)

    def points(self, rows: Int[np.ndarray, " k"]) -> Float[Array, "k ..."]:
        """Return the inputs of the training examples with these indices."""
        return jnp.asarray(self.examples.some(rows).x, jnp.zeros(()).dtype)

    def evaluated(self, replicas: Replicas) -> Iterator[tuple[Float[np.ndarray, "r n k"], Block]]:
        """Yield the outputs of the replicas on all examples, block by block."""
        size = demand.block_size(self.root, self.stage.replicas, self.job.plan, self.trainer.fed)
        blocks = self.examples.blocks(size)
        for block in blocks:
            x = jnp.asarray(block.x, jnp.zeros(()).dtype)
            found = training.outputs(self.network, replicas.kept, x, size, self.trainer.origins)
            yield np.asarray(found), block

    def module(self, kept: Kept) -> eqx.Module:
        """Build the trained network in inference mode; several are stacked."""
        if self.stage.replicas == 1:
            kept = jax.tree.map(lambda leaf: leaf[0], kept)
        return self.network.module(*kept)


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
