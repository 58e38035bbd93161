"""What else the empirical NTK is asked: what is refused, parts of the parameters, state."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks_tried import DOUBLE, Called, Tied, Two, answer, assert_close, by_jacobians

from ceflow.kernels import empirical_nngp, empirical_ntk
from ceflow.nets import Dense

# what is refused


class Integers(Two):
    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.one @ x > 0).astype(int)


class Pair(Two):
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.one @ x, self.two @ x


def made(kind: Callable[..., Any]) -> Any:
    return kind(jax.random.key(0))


class WithBatch(eqx.Module):
    """A module that multiplies whole batches."""

    weight: jax.Array = eqx.field(default_factory=lambda: jnp.eye(4))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.einsum("ni,io->no", x, self.weight)


class IntegerParameters(WithBatch):
    """Weights that are integers."""

    weight: jax.Array = eqx.field(default_factory=lambda: jnp.eye(4, dtype=int))


DENSE = Dense(4, 2, key=jax.random.key(0))
NORM = eqx.nn.BatchNorm(4, axis_name="batch", mode="batch")


@pytest.mark.parametrize("kernel", [empirical_ntk, empirical_nngp])
def test_products_have_all_digits_of_their_type(kernel: Any):
    """A GPU computes others with ten bits: kernels were off by 1e-3."""
    text = jax.jit(lambda x: kernel(DENSE, x)).lower(jnp.eye(4)).as_text()
    assert "HIGHEST" in text
    assert "DEFAULT" not in text


@pytest.mark.parametrize(
    ("module", "x1", "x2", "says"),
    [
        (eqx.nn.Lambda(jnp.tanh), np.ones((2, 4)), None, "no parameters"),
        (made(Integers), np.ones((2, 4)), None, "one array of floats, not an array of int"),
        (made(Pair), np.ones((2, 4)), None, "one array of floats, not tuple"),
        (made(Called), np.ones((2, 4)), np.ones((2, 3)), r"different shapes, \(4,\) and \(3,\)"),
        (made(Called), np.ones((2, 4)), np.ones((4,)), "different shapes"),
        (DENSE, np.ones((2, 3)), None, "4 inputs was given"),
        (DENSE, np.ones(4), None, r"4 inputs was given .* give a single one as x\[None\]"),
        (DENSE, np.ones(()), None, "examples"),
        (DENSE, np.ones((0, 4)), None, "examples"),
        (DENSE, [[1, 1, 1, 1], [1, np.nan, 1, 1]], None, "row 1 of x1 holds NaN or infinity"),
        (DENSE, np.ones((2, 4)), np.full((2, 4), np.inf), r"row 0 of x2 .*\(2 rows do\)"),
        (WithBatch(), np.ones((2, 4)), None, "takes a batch, where modules here must take one"),
        (IntegerParameters(), np.ones((2, 4)), None, "hold no floats; convert"),
        (Tied(jnp.eye(4) * 1j), np.ones((2, 4)), None, "complex parameters"),
        (eqx.nn.Sequential([DENSE, eqx.nn.Dropout()]), np.ones((2, 4)), None, "a Dropout in train"),
        (NORM, np.ones((2, 4)), None, "a BatchNorm in training mode; pass eqx.nn.inference_mode"),
        (eqx.nn.inference_mode(NORM), np.ones((2, 4)), None, "its state as state="),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_kernel_is_refused(module: Any, x1: Any, x2: Any, says: str):
    with pytest.raises(ValueError, match=says):
        empirical_ntk(module, x1, x2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"memory": 0}, "memory must be a number of bytes above 0, not 0"),
        ({"memory": float("nan")}, "memory must be"),
        ({"method": "fast"}, "must be 'auto', 'structured', 'jacobian' or 'products'"),
        ({"where": lambda module: module.bias}, "where picks no parameters"),
    ],
    ids=["memory", "nan", "method", "where"],
)
def test_options_that_mean_nothing_are_refused(options: Any, says: str):
    with pytest.raises(ValueError, match=says):
        empirical_ntk(DENSE, np.ones((2, 4)), **options)


# a subset of the parameters, and state


def test_subsets_of_the_parameters_add_up(x64: None):
    module, x, expected = answer("eqx.nn.MLP")
    weights = empirical_ntk(module, x, where=lambda m: [layer.weight for layer in m.layers])
    biases = empirical_ntk(module, x, where=lambda m: [layer.bias for layer in m.layers])
    assert np.abs(biases).max() > 0.1
    assert_close(weights + biases, expected, DOUBLE)


def test_a_layer_is_a_subset(x64: None):
    module, x, expected = answer("eqx.nn.MLP")
    parts = [
        empirical_ntk(module, x, where=lambda m, layer=layer: m.layers[layer]) for layer in range(3)
    ]
    assert_close(sum(parts[1:], parts[0]), expected, DOUBLE)


class Normalised(eqx.Module):
    """Linear, batch normalisation, linear."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        one, two = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(4, 6, key=one), eqx.nn.Linear(6, 3, key=two)
        self.norm = eqx.nn.BatchNorm(6, axis_name="batch", mode="batch")

    def __call__(self, x: jax.Array, state: eqx.nn.State) -> tuple[jax.Array, eqx.nn.State]:
        h, state = self.norm(self.first(x), state)
        return self.last(jnp.tanh(h)), state


def test_batch_normalisation_with_its_state(x64: None):
    module, state = eqx.nn.make_with_state(Normalised)(jax.random.key(3))
    x = jax.random.normal(jax.random.key(4), (4, 4))
    train = jax.vmap(module, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    _, state = train(x, state)
    still = eqx.nn.inference_mode(module)

    class Alone(eqx.Module):
        inner: Normalised

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.inner(x, state)[0]

    expected = np.asarray(by_jacobians(Alone(still), x, x))
    assert_close(empirical_ntk(still, x, state=state), expected, DOUBLE)
