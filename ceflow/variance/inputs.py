"""Inputs at which an NTK entry is measured, and the statistics its distribution depends on."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from ceflow._numbers import numbers, require_generator
from ceflow._words import one_of
from ceflow.spec import Block, Mlp

DrawnLaw = Literal["iid", "rectified"]


def draw_inputs(
    shape: tuple[int, ...], law: DrawnLaw, random: np.random.Generator, *, count: int = 2
) -> Float[np.ndarray, "count ..."]:
    """Draw independent inputs, scaled to |x|^2 = size.

    With law "iid", entries are standard normal; with "rectified", they are the positive part of
    normal numbers, like the outputs of a ReLU. These have a positive mean, so that the positions of
    an image are correlated, as after a layer. The scale is a convention: without biases, it changes
    K by a factor only. An input without positive entries is drawn again. Raises `ValueError` for
    another law, or if `random` is not a NumPy generator.

    >>> x = draw_inputs((256, 3, 3), "rectified", np.random.default_rng(0))
    >>> round(float((x[0] ** 2).sum())), bool((x >= 0).all())
    (2304, True)
    """
    one_of("law", law, get_args(DrawnLaw))
    require_generator(random)
    x = random.standard_normal((count, *shape))
    if law == "rectified":
        while (dark := (x <= 0).all(axis=tuple(range(1, x.ndim)))).any():
            x[dark] = random.standard_normal((dark.sum(), *shape))
        x = np.maximum(x, 0)
    squares = (x**2).sum(axis=tuple(range(1, x.ndim)), keepdims=True)
    return x * np.sqrt(x[0].size / squares)


def mean_square(model: Mlp, x: Float[np.ndarray, " inputs"] | None) -> float:
    """Compute |x|^2/inputs, to which K of an MLP without biases is proportional; 1 if x is None."""
    return 1.0 if x is None else float((_checked(x, (model.inputs,)) ** 2).mean())


def patch_positions(
    model: Block, x: Float[np.ndarray, "channels 3 3"] | None
) -> Float[np.ndarray, "rows 9"]:
    """Return the 9 positions of a patch as columns of a triangular matrix.

    K of a block depends only on their inner products, which the matrix preserves. If x is None, the
    columns are orthogonal with squared length `channels`, like iid inputs with many channels.
    """
    if x is None:
        return np.sqrt(model.channels) * np.eye(9)
    columns = _checked(x, model.inputs).reshape(model.channels, 9)
    return np.asarray(np.linalg.qr(columns, mode="r"))


def _checked(x: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """Check an input and convert it to float64.

    Raises `ValueError` for another shape, NaN, infinity, or an input of 0, where K is 0.
    """
    x = np.asarray(numbers(x), float)
    fits = len(shape) == x.ndim and all(n in (None, m) for n, m in zip(shape, x.shape, strict=True))
    if not fits or not x.size:
        expected = " x ".join("n" if n is None else str(n) for n in shape)
        raise ValueError(f"x must be one input of {expected} numbers, not of shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("x holds NaN or infinity; mend it or take another input")
    if not x.any():
        raise ValueError("x is 0, and so is the NTK of a network without biases; take another")
    return x
