"""Random changes of the images of a batch, computed on the device."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Augmentation = Literal["color-jitter", "crop", "resized-crop", "flip"]

PADDING = 4
"""Zeros added on every side of an image before a crop of its own size is taken."""

AREAS = (0.08, 1.0)
"""Range of the area of a crop that is scaled, as a part of the image's."""

PROPORTIONS = (3 / 4, 4 / 3)
"""Range of the width of such a crop over its height."""

JITTER = (0.6, 1.4)
"""Range of the factors of brightness, contrast and saturation."""

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey value of a pixel (ITU-R BT.601)."""


class Standard(NamedTuple):
    """Says what was subtracted from each number of an image, and what it was then divided by."""

    mean: Float[Array, "channels height width"]
    deviation: Float[Array, "channels height width"]


def augmented(
    x: Float[Array, "b channels height width"],
    changes: Sequence[str],
    key: Key[Array, ""],
    standard: Standard | None = None,
) -> Float[Array, "b channels height width"]:
    """Change each image of a batch at random.

    "crop" adds 4 zeros on every side, and takes a crop of the image's size at a random place;
    "flip" mirrors left and right with probability 1/2 (He et al., CVPR 2016, section 4.2).
    "resized-crop" takes a crop of 8 to 100 % of the area, of proportions between 3:4 and 4:3, their
    logarithms uniform, and scales it to the image's size by linear interpolation (Szegedy et al.,
    CVPR 2015, section 6); a side that would be longer than the image is as long.
    "color-jitter" comes first: it multiplies a pixel by a factor of brightness, its difference from
    the image's mean grey by one of contrast, and from its own grey by one of saturation, each
    uniform from 0.6 to 1.4 (Howard, arXiv:1312.5402, section 2). Colours are those that were there
    before the images were standardised, if `standard` says how they were.

    >>> x = jnp.arange(12.0).reshape(1, 1, 3, 4)
    >>> bool((augmented(x, ["flip"], jax.random.key(1)) == x[..., ::-1]).all())
    True
    """
    crop, flip = jax.random.split(key)
    if "color-jitter" in changes:
        mean, deviation = standard or Standard(jnp.zeros_like(x[0]), jnp.ones_like(x[0]))
        colours = _jittered(x * deviation + mean, jax.random.fold_in(key, 3))
        x = (colours - mean) / deviation
    if "crop" in changes:
        x = _cropped(x, crop)
    if "resized-crop" in changes:
        x = _resized(x, jax.random.fold_in(key, 2))
    if "flip" in changes:
        mirrored = jax.random.bernoulli(flip, shape=(len(x), 1, 1, 1))
        x = jnp.where(mirrored, x[..., ::-1], x)
    return x


def _jittered(x: Array, key: Key[Array, ""]) -> Array:
    """Change the colours of each image.

    The three changes are linear, and none moves the mean grey but brightness, which scales all: so
    their order, which recipes draw at random, does not matter. Nothing is clipped.
    """
    factors = jax.random.uniform(key, (3, len(x), 1, 1, 1), x.dtype, *JITTER)
    brightness, contrast, saturation = factors
    weights = jnp.asarray(GREY, x.dtype)
    grey = jnp.tensordot(x, weights, (1, 0))[:, None]
    level = grey.mean(axis=(2, 3), keepdims=True)
    coloured = saturation * x + (1 - saturation) * grey
    return brightness * (contrast * coloured + (1 - contrast) * level)


def _cropped(x: Array, key: Key[Array, ""]) -> Array:
    edges = (PADDING, PADDING)
    padded = jnp.pad(x, ((0, 0), (0, 0), edges, edges))
    corners = jax.random.randint(key, (len(x), 2), 0, 2 * PADDING + 1)

    def taken(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (0, corner[0], corner[1]), x.shape[1:])

    return jax.vmap(taken)(padded, corners)


def _resized(x: Array, key: Key[Array, ""]) -> Array:
    size = jnp.asarray(x.shape[2:], x.dtype)
    areas, proportions, places = jax.random.split(key, 3)
    area = jax.random.uniform(areas, (len(x), 1), x.dtype, *AREAS)
    low, high = map(math.log, PROPORTIONS)
    root = jnp.exp(jax.random.uniform(proportions, (len(x), 1), x.dtype, low, high) / 2)
    sides = jnp.minimum(1.0, jnp.sqrt(area) * jnp.concatenate([1 / root, root], axis=1))
    corners = jax.random.uniform(places, (len(x), 2), x.dtype) * (1 - sides) * size

    def taken(image: Array, side: Array, corner: Array) -> Array:
        return jax.image.scale_and_translate(
            image, image.shape, (1, 2), 1 / side, -corner / side, "linear", antialias=False
        )

    return jax.vmap(taken)(x, sides, corners)
