"""The bits of infinite-width kernels do not depend on how much is computed at once.

These files are compiled as they are for users (`AS_SHIPPED` in conftest.py).
"""

import math
from typing import Any

import jax
import numpy as np
import pytest

from ceflow.compiler import nodes
from ceflow.kernels import analytic, block_kernel
from ceflow.spec import Mlp

INF = math.inf


def rows(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(12).standard_normal((count, size))


def both(spec: Mlp, x1: Any, x2: Any = None, **options: Any) -> tuple[Any, Any]:
    found = analytic(spec, x1, x2, **options)
    return np.asarray(found.nngp), np.asarray(found.ntk)


BITS = {
    "relu": Mlp(widths=(INF,) * 2, bias_variance=0.3),
    "gelu": Mlp(widths=(INF,), activation="gelu"),
    "tanh": Mlp(widths=(INF,), activation="tanh", bias_variance=0.3),
}


@pytest.mark.parametrize(
    ("name", "dtype", "size"),
    [
        ("relu", "float32", 20),
        pytest.param("tanh", "float64", 9, marks=pytest.mark.slow),
        pytest.param("relu", "float64", 9, marks=pytest.mark.slow),
        pytest.param("tanh", "float32", 20, marks=pytest.mark.slow),
        pytest.param("gelu", "float32", 20, marks=pytest.mark.slow),
        pytest.param("gelu", "float64", 9, marks=pytest.mark.slow),
    ],
)
def test_any_block_has_the_bits_of_the_whole(name: str, dtype: str, size: int):
    x = np.abs(rows(300, size))
    x[5], x[200], x[10], x[150] = x[3], -x[3], 0, x[3] + 1e-3 * x[4]  # pairs done by differences
    with jax.enable_x64(dtype == "float64"):
        x = x.astype(dtype)
        wholes, tiled = both(BITS[name], x), both(BITS[name], x, tile=100)
        part = both(BITS[name], x[100:251], x[3:299], tile=192)
        only = block_kernel(BITS[name], "ntk")(x[7:8], x[:201])
        for whole, again, block in zip(wholes, tiled, part, strict=True):
            np.testing.assert_array_equal(whole, whole.T)
            np.testing.assert_array_equal(whole, again)
            np.testing.assert_array_equal(whole[100:251, 3:299], block)
        np.testing.assert_array_equal(wholes[1][7:8, :201], only)


def test_one_kernel_alone_has_the_bits_of_both(x64: None):
    x, spec = rows(12, 20), BITS["relu"]
    for name, kernel in zip(("nngp", "ntk"), both(spec, x), strict=True):
        np.testing.assert_array_equal(block_kernel(spec, name)(x), kernel)


@pytest.mark.parametrize("pool", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_kernels_of_images_have_the_same_bits_in_any_block(pool: bool):
    image = (3, 5, 5)
    root = nodes.Chain(
        (
            nodes.Convolution(image, 3, 3, 1, 1, 2.0, 0.0),
            nodes.Activation("relu", image),
            nodes.AveragePool(image) if pool else nodes.Flatten(image),
            nodes.Dense(3 if pool else 75, 1, 1.0, 0.0),
        )
    )
    x = rows(20, 75).astype(np.float32).reshape(20, *image)
    x[3], x[17] = x[1], -x[1]
    kernel = block_kernel(root, "ntk")
    whole = np.asarray(kernel(x))
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_array_equal(whole[1:4, 4:19], kernel(x[1:4], x[4:19]))
    if not pool:  # a pooling sums over the positions of the first image first
        np.testing.assert_array_equal(whole[4:19, 1:4], kernel(x[4:19], x[1:4]))
