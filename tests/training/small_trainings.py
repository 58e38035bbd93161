"""Small networks and examples, and trainings of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ceflow
from ceflow.compiler.lowering import lower_with_state
from ceflow.dynamics import SquaredError
from ceflow.spec import Document, Ensemble, Mlp
from ceflow.training import Optimiser, Replicas, Schedule, Trainer, separated
from ceflow.training.steps import Place, advance, copied

EXAMPLES, INPUTS, OUTPUTS = 10, 3, 2
MEMBER = Mlp(widths=[5, 4], inputs=INPUTS, outputs=OUTPUTS, activation="tanh", bias_variance=0.1)
ENSEMBLE = Ensemble(multiplicity=3, member=MEMBER)


def examples(count: int = EXAMPLES, shape: Any = (INPUTS,), outputs: int = OUTPUTS) -> Any:
    draw = np.random.default_rng(0)
    return draw.normal(size=(count, *shape)), draw.normal(size=(count, outputs))


def stacked(trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def trained(model: Any = ENSEMBLE, seeds: Any = (0,), **options: Any) -> tuple[Trainer, Replicas]:
    """A trainer of replicas with these seeds, and the replicas before the first step."""
    plan = ceflow.compile(Document(model=model))
    keys = [jax.random.key(seed) for seed in seeds]
    drawn = [lower_with_state(plan.root, key) for key in keys]
    network, _ = separated(drawn[0][0], compute=options.pop("compute", None))
    inputs = plan.root.inputs
    shape = tuple(map(int, inputs)) if isinstance(inputs, tuple) else (int(inputs),)
    x, y = examples(shape=shape, outputs=plan.outputs)
    dtype = jnp.zeros(()).dtype
    rule: Any = {"rate": jnp.asarray(0.05, dtype), "schedule": Schedule(100)}
    given: Any = {"batch": 4, "loss": SquaredError("mean")}
    rule |= options.pop("rule", {})
    given |= options
    parameters = stacked([separated(module)[1] for module, _ in drawn])
    trainer = Trainer(
        network,
        Optimiser(**rule),
        given.pop("loss"),
        jnp.asarray(x, dtype),
        jnp.asarray(y, dtype),
        jnp.stack(keys),
        parameters if given.pop("linearised", False) else None,
        **given,
    )
    return trainer, trainer.start(parameters, stacked([state for _, state in drawn]))


def advanced(trainer: Trainer, replicas: Replicas, first: int, count: int) -> Any:
    """Take steps; return the replicas and the losses."""
    place = Place.at(first, trainer.batch, len(trainer.x))
    replicas, losses = advance(trainer, copied(replicas), place, count)
    return replicas, np.asarray(losses)


def one_of(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def assert_close(one: Any, other: Any, **tolerance: Any) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def assert_equal(one: Any, other: Any) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
