"""How far one unit is from Gaussian: in closed form, and over many that are drawn."""

import jax
import numpy as np
import pytest

from ceflow.claims.lemma_3_1 import unit_excess
from ceflow.nets import ACTIVATIONS
from ceflow.spec import Mlp

POINTS = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, 0.0]])


def decoder(activation) -> Mlp:
    return Mlp(activation=activation, widths=[1], weight_variance=2.0)


@pytest.mark.parametrize(("activation", "exact"), [("relu", 15), ("abs", 6), ("linear", 6)])
def test_at_kinks_it_is_that_of_a_rectified_gaussian(activation, exact):
    """3 E[r^4]/E[r^2]^2 - 3 = 3 (3/2)/(1/2)^2 - 3, and without the rectifier 3 * 3 - 3; rounding of
    float32 in phi."""
    found = unit_excess(decoder(activation), POINTS)
    assert found.shape == (2, 4)
    np.testing.assert_allclose(found, exact, rtol=1e-4)


@pytest.mark.parametrize("activation", ["leaky-relu", "tanh", "gelu", "sin"])
def test_it_is_that_of_units_that_are_drawn(activation, x64):
    """Two million; the relative standard errors of the fourth moments are below 1 %."""
    u = np.random.default_rng(0).normal(size=(2_000_000, 3))
    phi = ACTIVATIONS[activation]
    for x, found in zip(POINTS, unit_excess(decoder(activation), POINTS), strict=True):
        s = (2 / 3) ** 0.5 * u @ x
        f, slope = jax.jvp(phi, (s,), (np.ones_like(s),))
        r = np.column_stack([f, np.asarray(slope)[:, None] * u])
        drawn = 3 * (r**4).mean(0) / np.square((r**2).mean(0)) - 3
        np.testing.assert_allclose(found, drawn, rtol=0.05)
