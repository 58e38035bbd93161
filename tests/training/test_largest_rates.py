"""The largest stable learning rate: against dense NTKs, and steps on both sides of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_trainings import EXAMPLES, MEMBER, advanced, one_of, trained

from ceflow.dynamics import CrossEntropy, SquaredError
from ceflow.kernels import empirical_ntk
from ceflow.nets import Dense
from ceflow.training import largest_rate


def network(**options):
    trainer, start = trained(MEMBER, **options)
    return trainer, start, trainer.network.module(one_of(start.parameters, 0), None)


LOSSES = [SquaredError("sum"), SquaredError("mean"), SquaredError("mean-all"), CrossEntropy("mean")]


@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_two_over_curvature_weight_and_eigenvalue(loss, x64):
    trainer, _, module = network()
    found = largest_rate(module, trainer.x, 2, loss, EXAMPLES)
    ntk = np.asarray(empirical_ntk(module, trainer.x))  # (n, n, outputs, outputs)
    dense = ntk.transpose(0, 2, 1, 3).reshape(2 * EXAMPLES, 2 * EXAMPLES)
    curvature = {"SquaredError": 1.0, "CrossEntropy": 0.5}[type(loss).__name__]
    weight = {"sum": 1.0, "mean": 1 / EXAMPLES, "mean-all": 1 / (2 * EXAMPLES)}[loss.reduction]
    expected = 2 / (curvature * weight * np.linalg.eigvalsh(dense)[-1])
    assert found == pytest.approx(expected, rel=1e-8)


def test_of_some_examples_it_is_scaled_to_a_batch(x64):
    trainer, _, module = network()
    some = largest_rate(module, trainer.x[:5], 2, SquaredError("sum"), 5)
    assert largest_rate(module, trainer.x[:5], 2, SquaredError("sum"), 10) == pytest.approx(
        some / 2
    )
    mean = largest_rate(module, trainer.x[:5], 2, SquaredError("mean"), 5)
    assert largest_rate(module, trainer.x[:5], 2, SquaredError("mean"), 10) == pytest.approx(mean)


RULES = [
    {},
    {"momentum": 0.8},
    {"momentum": 0.8, "nesterov": True},
    {"weight_decay": 0.5},
]


@pytest.mark.parametrize("rule", RULES)
def test_linearised_steps_are_stable_below_it_and_not_above(rule, x64):
    """With a quadratic loss and all examples, where it is exact."""
    options = {"batch": EXAMPLES, "loss": SquaredError("sum"), "linearised": True}
    trainer, _, module = network(**options)
    edge = largest_rate(module, trainer.x, 2, SquaredError("sum"), EXAMPLES, **rule)
    ends = []
    for factor in (0.97, 1.03):
        rate = {"rate": jnp.asarray(factor * edge)}
        trainer, start = trained(MEMBER, rule=rate | rule, **options)
        _, losses = advanced(trainer, start, 0, 250)
        ends.append(losses[-1, 0] / losses[0, 0])
    assert ends[0] < 1
    assert ends[1] > 100


def test_where_nothing_moves_any_rate_is_stable():
    """Without biases, outputs at 0 stay 0."""
    dense = Dense(3, 2, key=jax.random.key(0))
    assert largest_rate(dense, jnp.zeros((4, 3)), 2, SquaredError("sum"), 4) == float("inf")
    decayed = largest_rate(dense, jnp.zeros((4, 3)), 2, SquaredError("sum"), 4, weight_decay=0.5)
    assert decayed == pytest.approx(4.0)
