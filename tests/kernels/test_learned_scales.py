"""Scales of channels and position embeddings at infinite width, by hand and against draws."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ceflow
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import analytic, empirical_ntk
from ceflow.kernels.infinite.images import image_kernels
from ceflow.spec import Network

S, V = 0.7, 0.4
"""Initial scale and variance of the embeddings."""
EMBEDDING = {"type": "position-embedding", "variance": V}
SCALE = {"type": "scale", "initial": S}


def network(layers: list[Any], head: Any, channels: int = 8) -> Network:
    wide: Any = {"type": "convolution", "channels": channels, "kernel": 1}
    last: Any = {"type": "dense", "units": 1}
    return Network(inputs=(3, 2, 3), layers=[wide, *layers, head, last])


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 3, 2, 3))


@pytest.mark.parametrize("head", ["global-average", "flatten"])
def test_linear_networks_have_the_kernels_computed_by_hand(head: str, x64: None):
    x = images()
    flat = x.reshape(3, 3, 6)
    first = 2 * np.einsum("acp,bcq->apbq", flat, flat) / 3  # weights have variance 2
    equal = V * np.eye(6)[None, :, None]
    covariance, ntk = first + equal, first + equal
    covariance, ntk = S**2 * covariance, S**2 * ntk + covariance
    if head == "flatten":
        covariance, ntk = (np.einsum("apbp->ab", each) / 6 for each in (covariance, ntk))
    else:
        covariance, ntk = (each.mean(axis=(1, 3)) for each in (covariance, ntk))
    spec = network([EMBEDDING, SCALE], head).limit
    nngp, kernel = image_kernels(expand(spec), jnp.asarray(x), None)
    np.testing.assert_allclose(nngp, 2 * covariance, rtol=1e-12)
    np.testing.assert_allclose(kernel, 2 * covariance + 2 * ntk, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["global-average", "flatten"])
def test_with_one_hidden_layer_the_mean_of_drawn_kernels_is_the_limit(head: str, x64: None):
    spec, x = network([EMBEDDING, "relu", SCALE], head), images()
    root = ceflow.compile(ceflow.spec.Document(model=spec)).root

    def draw(key: jax.Array) -> jax.Array:
        return empirical_ntk(lower(root, key), x, trace=True)

    keys = jax.random.split(jax.random.key(3), 2000)
    draws = np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=100))(keys))
    standard = draws.std(axis=0) / np.sqrt(len(draws))
    expected = np.asarray(analytic(spec, x).ntk)
    # six different entries in each of two cases: five standard errors, 1e-5 by chance
    assert (np.abs(draws.mean(axis=0) - expected) < 5 * standard).all()
    assert (standard < 0.02 * expected.max()).all()  # so 10 % would be seen


@pytest.mark.slow
def test_errors_of_float32_are_within_the_bound():
    spec, x = network([EMBEDDING, "relu", SCALE], "global-average"), images()
    with jax.enable_x64(True):
        exact = np.asarray(analytic(spec, x).ntk)
    _, kernel, error = analytic(spec, x.astype(np.float32))
    assert np.abs(np.asarray(kernel) - exact).max() <= error * exact.max()
    assert error < 1e-4


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["scale"], "scale acts on inputs"),
        (["position-embedding"], "position-embedding acts on inputs"),
        ([{"type": "convolution", "channels": 4}, "scale", "relu"], "scaled one by one"),
        ([{"type": "convolution", "channels": 3}, {"type": "residual", "body": ["scale"]}], "ends"),
    ],
)
def test_layers_that_have_no_kernel_where_they_stand_are_refused(layers: Any, message: str):
    layers = [*layers, "flatten", {"type": "dense", "units": 1}]
    model = Network(inputs=(3, 2, 2), layers=layers)
    assert message in str(model.why_no_limit)
    root = ceflow.compile(ceflow.spec.Document(model=model)).root
    with pytest.raises(ValueError, match=r"acts on|neither branch"):
        analytic(root, jnp.ones((2, 3, 2, 2)))


def test_a_scale_of_finitely_many_outputs_is_refused():
    layers: Any = [{"type": "dense", "units": 4}, "scale"]
    assert "acts on the outputs" in str(Network(inputs=3, layers=layers).why_no_limit)


def test_a_scale_after_weights_keeps_branches_uncorrelated(x64: None):
    """As ConvNeXt's layer scale: the covariances of body and shortcut add."""
    body: Any = [{"type": "convolution", "channels": 8, "kernel": 1}, SCALE]
    layers = [{"type": "residual", "body": body}]
    plain, added = (analytic(network(each, "flatten"), images()) for each in ([], layers))
    np.testing.assert_allclose(added.nngp, (1 + 2 * S**2) * plain.nngp, rtol=1e-12)
