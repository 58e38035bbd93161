"""The neural mean kernel (NMK): the mean of the empirical NTK over initialisations."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from ceflow._numbers import require_count
from ceflow.kernels.draws.average import KernelAverage
from ceflow.seeding import Seed, partitionable
from ceflow.spec import FEWEST_KERNEL_DRAWS


class MeanKernel(NamedTuple):
    """A mean kernel over draws, with the standard error of each entry.

    `error` is the relative standard error of the whole kernel, `sqrt(sum stderr_ij^2) / |mean|` in
    Frobenius norm.
    """

    mean: Float[np.ndarray, "..."]
    stderr: Float[np.ndarray, "..."]
    error: float
    draws: int


def mean_kernel(
    draw: Callable[[Array], Float[Array, "..."]],
    seed: Seed | int = 0,
    *,
    draws: int = 10_000,
    error: float | None = None,
) -> MeanKernel:
    """Estimate the mean kernel `E[K]` over random weights (CE eq. 5), with its standard errors.

    `draw` returns the kernel of one random network, given a JAX key. It is called up to `draws`
    times: pass a jitted function. With `error`, drawing ends as soon as the relative standard error
    of the mean is at most `error`, after at least 16 draws; the result's `error` is the one that
    was reached. Draw i uses the key of `seed` folded with i, so more draws extend fewer.

    Raises `ValueError` for fewer than two draws, an error that is not above 0, or a kernel that is
    not finite.

    >>> import jax
    >>> from ceflow.kernels import conditional_ntk
    >>> from ceflow.spec import Mlp
    >>> x = np.array([[1.0, 1.0]])     # |x|^2 = d: the mean is H + 1 = 3 at any width
    >>> draw = lambda key: conditional_ntk(Mlp(widths=[64] * 2), x, key=key)
    >>> found = mean_kernel(draw, error=0.03)
    >>> bool(abs(found.mean[0, 0] - 3) < 4 * found.stderr[0, 0]), found.error <= 0.03
    (True, True)
    """
    require_count("draws", draws, 2)  # one has no standard error
    if error is not None and not error > 0:
        raise ValueError(f"error must be above 0, not {error}")
    average = KernelAverage()
    for kernel in _drawn(draw, seed, draws):
        average.add(kernel)
        if (
            error is not None
            and average.count >= FEWEST_KERNEL_DRAWS
            and _is_enough(average, error)
        ):
            break
    relative = average.error if average.mean.any() else math.nan
    return MeanKernel(average.mean, average.stderr, relative, average.count)


def _is_enough(average: KernelAverage, error: float) -> bool:
    """Return whether there are draws enough for a relative error of the mean of at most `error`.

    False for a mean of 0.
    """
    enough = average.count >= FEWEST_KERNEL_DRAWS and bool(average.mean.any())
    return enough and average.error <= error


def _drawn(
    draw: Callable[[Array], Array], seed: Seed | int, draws: int
) -> Iterator[Float[np.ndarray, "..."]]:
    stream = seed if isinstance(seed, Seed) else Seed(seed)
    for index in range(draws):
        with partitionable():
            kernel = np.asarray(draw(stream.fold(index).jax()))
        yield kernel
