"""Infinitely wide encoders that are networks of layers, against mlps and wide finite networks."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.bottlenecks import Batches, Simulation, sample
from ceflow.bottlenecks.kernels.rows import MadeRows
from ceflow.bottlenecks.kernels.whole import WholeKernel
from ceflow.bottlenecks.training.steps import Rates
from ceflow.claims.theorem_3_2 import evolution
from ceflow.claims.trial import Trial
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import empirical_ntk
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, Mlp, Network

INF = math.inf
WIDE: dict[str, Any] = {"type": "dense", "units": INF}
CONVOLUTION: dict[str, Any] = {"type": "convolution", "channels": INF}
OF_IMAGES: list[Any] = [CONVOLUTION, "erf", {"type": "average-pool", "window": 2}, "flatten"]
DECODER = Mlp(widths=[INF], weight_variance=1.0)
IMAGE = (2, 4, 4)


def wide(*layers: Any, size: float = 3, decoder: Any = DECODER, **keys: Any) -> Bottleneck:
    every: Any = (*layers, "dense")
    encoder = Network(layers=every, weight_variance=1.0, **keys)
    return Bottleneck(size=size, encoder=encoder, decoder=decoder)


def simulation(network: Bottleneck, shape: Any, **options: Any) -> Simulation:
    x = jax.random.normal(jax.random.key(1), (6, *shape))
    y = jax.random.normal(jax.random.key(2), (4, 2))
    inputs = shape if len(shape) > 1 else shape[0]
    initial = sample(network, inputs, 2, Seed(0), width=60)
    return Simulation(network, initial, x[:4], y, x[4:], **options)


def test_dense_layers_simulate_as_the_mlp():
    layers: Any = [WIDE, "relu", "dense"]
    decoder = Network(layers=layers, weight_variance=1.0)
    of_mlp = Bottleneck(size=3, encoder=DECODER, decoder=DECODER)
    both = [wide(WIDE, "relu", decoder=decoder), of_mlp]
    made = [simulation(network, (5,)) for network in both]
    assert isinstance(made[0].made, MadeRows)
    one, two = (each.outputs(each.train(0.1, Batches(4, 2), 20).state) for each in made)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("size", [3, pytest.param(INF, marks=pytest.mark.slow)])
def test_theta_at_once_is_that_of_rows(size):
    """An encoder of dense layers, computed as any network: rounding of float32 is the only
    difference, of about 1e-7 times the few layers.
    """
    network = Bottleneck(size=size, encoder=DECODER, decoder=DECODER)
    rates = Rates(1.0, 0.3)
    given = simulation(network, (5,), rate_factors=rates)
    rows = given.dynamics.kernel(jnp.arange(4))
    whole = WholeKernel(network, given.inputs, 4, (1.0, 0.3))
    np.testing.assert_allclose(whole.rows(0)(jnp.arange(4)), rows, rtol=1e-5, atol=1e-6)
    others = given.inputs[4:]
    np.testing.assert_allclose(whole.with_others(others), rows[:, 4:], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_theta_of_images_is_the_mean_over_wide_encoders():
    """Each of 3 x 24 diagonal blocks of the NTK of an encoder of width 200 is a draw of Theta; the
    mean of each entry is within 5 standard errors and the bias of order 1/200.
    """
    network = wide(*OF_IMAGES)
    given = simulation(network, IMAGE)
    theta = np.asarray(given.dynamics.kernel(jnp.arange(4)))[:, :4]
    root = expand(network.encoder.at_width(200).sized(inputs=IMAGE, outputs=3))
    keys = jax.random.split(jax.random.key(5), 24)
    drawn = np.stack([empirical_ntk(lower(root, key), given.x, trace=True) for key in keys]) / 3
    error = drawn.std(0, ddof=1) / len(keys) ** 0.5
    assert (np.abs(drawn.mean(0) - theta) < 5 * error + theta.max() / 200).all()


def test_outputs_at_other_images_are_those_that_were_followed():
    given = simulation(wide(*OF_IMAGES), IMAGE)
    state = given.train(0.1, Batches(4, 4), 5).state
    assert not np.allclose(given.outputs(state), given.outputs(given.start()))
    again = given.evaluate(state, given.inputs)
    np.testing.assert_allclose(again, given.outputs(state), rtol=1e-4, atol=1e-5)


def test_weights_of_a_convolution_are_drawn_in_rows():
    network = wide(*OF_IMAGES)
    made = sample(network, IMAGE, 2, Seed(0), width=18, features="orthogonal")
    rows = np.asarray(made.encoder.layers[0].weight).reshape(18, 18)
    products = rows @ rows.T
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [OF_IMAGES, [*OF_IMAGES[:2], "global-average"]])
def test_a_finite_network_with_convolutions_follows_the_equations(layers):
    """Trained by gradient descent, the network follows BN theorem 3.2 within the noise of its width
    n, of n^-1/2; a wrong Theta would be off by its own size.
    """
    decoder = Mlp(widths=[INF], weight_variance=1.0, activation="erf", outputs=2)
    network = wide(*layers, inputs=IMAGE, decoder=decoder)
    errors = []
    for width in (100, 1600):
        trial = Trial(network, Seed(3), width=width, points=6, steps=20)
        with jax.enable_x64(True):
            verdict = evolution(trial)
        errors.append([verdict.parts[name].value for name in ("f", "g", "J")])
    assert max(errors[1]) < 0.1
    assert np.mean(np.divide(errors[1], errors[0])) < 0.6  # 1/4, but for one draw of each
