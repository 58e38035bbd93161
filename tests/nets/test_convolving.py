"""Convolutions as this backend computes them, against XLA's own: values and derivatives."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.kernels.empirical.convolutions import lowered
from ceflow.nets import Convolution, convolving
from ceflow.nets.convolving import Convolving, Span, windows

CASES: dict[str, dict[str, Any]] = {
    "one group": {},
    "groups": {"groups": 3},
    "groups, stride 2": {"groups": 3, "stride": 2},
    "depthwise, stride 2": {"groups": 6, "out": 6, "stride": 2},
    "two outputs a channel": {"groups": 6},
    "1x1 of a projection": {"kernel": 1, "stride": 2, "edges": (0, 0)},
    "1x1 in groups": {"groups": 2, "kernel": 1, "edges": (0, 1)},
    "stride 2": {"stride": 2},
    "replicas": {"groups": 3, "stride": 2, "edges": (1, 0), "replicas": 2},
    "replicas of one group": {"stride": 2, "replicas": 2},
    "tiles": {},
    "tiles in groups": {"groups": 3, "edges": (1, 2)},
    "tiles, cropped": {"edges": (-1, 0), "axes": "NCHW"},
    "valid": {"groups": 2, "edges": (0, 0), "kernel": 2},
    "cropped": {"groups": 2, "edges": (-1, -1)},
    "5x5, stride 3": {"groups": 2, "kernel": 5, "stride": 3, "edges": (2, 2)},
    "channels first": {"groups": 3, "axes": "NCHW"},
    "channels last": {"groups": 6, "out": 6, "axes": "NHWC", "replicas": 2},
}
QUICK = (
    "groups, stride 2",
    "depthwise, stride 2",
    "1x1 of a projection",
    "replicas",
    "stride 2",
    "tiles",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CASES]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_derivatives_are_those_of_xla(
    name: str, dtype: str, x64: None, monkeypatch: Any
):
    monkeypatch.setattr(convolving, "DEEP", 2)  # channels that XLA convolves in float32
    if name.startswith("tiles"):
        monkeypatch.setattr(convolving, "TILED", 2)
        monkeypatch.setattr(convolving, "TILED_BATCH", 2)
    function, x, weight = case(**CASES[name], dtype=dtype)
    expected, found = (jax.jit(each)(x, weight) for each in (function, lowered(function)))
    # sums of at most 1,300 products, in another order
    precision = 1e-5 if dtype == "float32" else 1e-13
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=precision * float(abs(b).max()))


def case(
    groups: int = 1,
    kernel: int = 3,
    stride: int = 1,
    edges: tuple[int, int] = (1, 1),
    out: int = 12,
    axes: str = "CHWN",
    replicas: int = 0,
    dtype: str = "float64",
) -> tuple[Any, jax.Array, jax.Array]:
    """A function that returns a convolution, its two gradients and a second derivative."""
    draw = np.random.default_rng(0)
    shape = [dict(zip("CHWN", (6, 9, 8, 4), strict=True))[axis] for axis in axes]
    x = jnp.asarray(draw.normal(size=shape), dtype)
    weight = jnp.asarray(draw.normal(size=(out, 6 // groups, kernel, kernel)), dtype)

    def convolve(x: Any, weight: Any) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x,
            weight,
            (stride, stride),
            (edges, edges),
            dimension_numbers=(axes, "OIHW", axes),
            feature_group_count=groups,
        )

    def derivatives(x: Any, weight: Any) -> Any:
        y, pull = jax.vjp(convolve, x, weight)
        slope = jax.grad(lambda weight: jnp.sin(convolve(x, weight)).sum())
        return y, *pull(jnp.sin(y)), jax.jvp(slope, (weight,), (jnp.cos(weight),))[1]

    if not replicas:
        return derivatives, x, weight
    factors = 1.0 + jnp.arange(replicas, dtype=dtype)
    several = [jnp.multiply.outer(factors, each) for each in (x, weight)]
    return jax.vmap(derivatives), several[0], several[1]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="others are left to XLA")
@pytest.mark.parametrize("groups", [2, 6])
def test_groups_have_no_convolution_of_xla_left(groups: int):
    function, x, weight = case(groups=groups, out=6, dtype="float32")
    assert "conv_general" in str(jax.make_jaxpr(function)(x, weight))
    assert "conv_general" not in str(jax.make_jaxpr(lowered(function))(x, weight))


def test_on_other_backends_it_is_left_to_xla(monkeypatch: Any):
    function, x, weight = case(groups=2, dtype="float32")
    given = jax.make_jaxpr(function)(x, weight).eqns[0].params
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general" in str(jax.make_jaxpr(Convolving.of(given))(x, weight))


@pytest.mark.parametrize("bits", [32, 64])
def test_on_other_backends_the_factor_is_no_constant_in_float64(bits: int, monkeypatch: Any):
    """A GPU would round a constant to float32."""
    with jax.enable_x64(bits == 64):
        layer, x = Convolution(2, 3, kernel=3, key=jax.random.key(0)), jnp.ones((2, 5, 5))
        y = layer(x)
        assert "optimization_barrier" not in str(jax.make_jaxpr(layer)(x))
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        assert ("optimization_barrier" in str(jax.make_jaxpr(layer)(x))) == (bits == 64)
        np.testing.assert_array_equal(layer(x), y)


def test_windows_along_both_axes_by_hand():
    x = np.arange(2 * 7 * 9).reshape(2, 7, 9)
    rows, columns = Span(3, 2, 2, 1), Span(2, 1, 4, 2)
    found = windows(jnp.asarray(x), 1, [rows, columns])
    assert found.shape == (2, 3, 2, 2, 4)
    for i, j in np.ndindex(3, 2):
        np.testing.assert_array_equal(found[:, i, j], x[:, 2 * i : 2 * i + 2, j : j + 7 : 2])
