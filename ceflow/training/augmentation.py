"""Random changes of the images of a batch, computed on the device."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Augmentation = Literal["crop", "flip"]

PADDING = 4
"""Zeros added on every side of an image before a crop of its own size is taken."""


def augmented(
    x: Float[Array, "b channels height width"], changes: Sequence[str], key: Key[Array, ""]
) -> Float[Array, "b channels height width"]:
    """Change each image of a batch at random.

    "crop" adds 4 zeros on every side, and takes a crop of the image's size at a random place;
    "flip" mirrors left and right with probability 1/2 (He et al., CVPR 2016, section 4.2).

    >>> x = jnp.arange(12.0).reshape(1, 1, 3, 4)
    >>> bool((augmented(x, ["flip"], jax.random.key(1)) == x[..., ::-1]).all())
    True
    """
    crop, flip = jax.random.split(key)
    if "crop" in changes:
        x = _cropped(x, crop)
    if "flip" in changes:
        mirrored = jax.random.bernoulli(flip, shape=(len(x), 1, 1, 1))
        x = jnp.where(mirrored, x[..., ::-1], x)
    return x


def _cropped(x: Array, key: Key[Array, ""]) -> Array:
    edges = (PADDING, PADDING)
    padded = jnp.pad(x, ((0, 0), (0, 0), edges, edges))
    corners = jax.random.randint(key, (len(x), 2), 0, 2 * PADDING + 1)

    def taken(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (0, corner[0], corner[1]), x.shape[1:])

    return jax.vmap(taken)(padded, corners)
