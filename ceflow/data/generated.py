"""Generated data: Gaussian vectors, points on a circle, samples of a deep Gaussian process."""

from pathlib import Path
from typing import TYPE_CHECKING

from ceflow._machine import LAPACK_ROWS
from ceflow.costs import Demand, Work, in_turn
from ceflow.data.dataset import Dataset, Examples, Extent
from ceflow.data.normalising import standard
from ceflow.seeding import Seed
from ceflow.spec import Circle, DeepGp, Gaussian

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def drawn_extent(spec: Gaussian | DeepGp, folder: Path) -> Extent:
    return Extent(spec.inputs, spec.outputs, spec.train, spec.test)


def gaussian(spec: Gaussian, folder: Path, seed: Seed) -> Dataset:
    def part(name: str, count: int) -> Examples:
        random = seed.fold(name).numpy()
        x = random.standard_normal((count, spec.inputs))
        return Examples(x, random.standard_normal((count, spec.outputs)))

    return Dataset(part("train", spec.train), part("test", spec.test))


def circle_extent(spec: Circle, folder: Path) -> Extent:
    return Extent(2, spec.outputs, spec.points, 0)


def circle(spec: Circle, folder: Path, seed: Seed) -> Dataset:
    import numpy as np

    angle = np.linspace(-np.pi, np.pi, spec.points)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # `load` scales them
    y = seed.numpy().standard_normal((spec.points, spec.outputs))
    return Dataset(Examples(x, y), Examples(x[:0], y[:0]))


JITTER = 1e-9
"""Number added to the variances, which are 1, so that the Cholesky factorisation succeeds."""


COVARIANCE_BYTES = 300
"""Bytes of traffic that take as long as computing one entry of a covariance. Measured: 290 to 400
for 1,000 to 12,000 rows."""


def deep_gp_cost(spec: DeepGp, rows: int) -> Demand:
    """Forecast the covariance of n rows and its Cholesky factor in each layer.

    LAPACK reaches half the speed of products of large matrices.
    """
    factor = Work(flops=2 * rows**3 / 3, traffic=COVARIANCE_BYTES * rows**2)
    return in_turn([Demand(3 * 8 * rows**2, factor)] * spec.layers)


def deep_gp(spec: DeepGp, folder: Path, seed: Seed) -> Dataset:
    """Draw Gaussian inputs, and targets from a deep Gaussian process, from separate seeds.

    The targets are standardised to mean 0 and variance 1 over the training examples. Otherwise
    95 % of the mean square of a function drawn with length 2 would be its mean, which is learned in
    a hundred steps.
    """
    x = seed.fold("inputs").numpy().standard_normal((spec.train + spec.test, spec.inputs))
    shape = {"hidden": spec.hidden, "layers": spec.layers, "length": spec.length}
    y = deep_gaussian_process(x, spec.outputs, seed.fold("targets"), **shape)
    train, test = slice(spec.train), slice(spec.train, None)
    y = standard(y, y[train])
    return Dataset(Examples(x[train], y[train]), Examples(x[test], y[test]))


def deep_gaussian_process(
    x: "Float[np.ndarray, 'n d']",
    outputs: int,
    seed: Seed,
    *,
    hidden: int = 20,
    layers: int = 2,
    length: float = 2.0,
) -> "Float[np.ndarray, 'n outputs']":
    """Draw a random function from a deep Gaussian process, and return its values at inputs x.

    The process is a composition of `layers` Gaussian processes with covariance
    `exp(-|x - x'|^2/(2 length^2 d))`, d the dimension of x; each but the last has `hidden` output
    functions. The paper does not state the covariance; a larger length gives a smoother function.
    Over draws, a target has mean 0 and variance 1; over the inputs of one draw, approximately so.
    Computes in float64, with n^3/3 operations per layer.

    Training and test targets must come from the same draw: pass all inputs at once.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> deep_gaussian_process(x, 2, Seed(0)).shape
    (50, 2)
    """
    import numpy as np

    if layers < 1 or hidden < 1 or outputs < 1 or not length > 0:
        raise ValueError(
            "a deep Gaussian process needs at least 1 layer, 1 hidden function and 1 output, and a"
            " length above 0"
        )
    values = np.asarray(x, float)
    for layer in range(layers):
        random = seed.fold(layer).numpy()
        width = outputs if layer == layers - 1 else hidden
        normals = random.standard_normal((len(values), width))
        values = _correlated(_covariance(values, length), normals)
    return values


def _correlated(
    covariance: "Float[np.ndarray, 'n n']", normals: "Float[np.ndarray, 'n functions']"
) -> "Float[np.ndarray, 'n functions']":
    """Multiply by the lower Cholesky factor of a covariance, which is overwritten.

    The factor is computed by block columns (right-looking), each diagonal block in one piece.
    """
    import numpy as np
    from scipy.linalg import solve_triangular

    starts = range(0, len(covariance), LAPACK_ROWS)
    values = np.zeros_like(normals)
    for start in starts:
        here, below = slice(start, start + LAPACK_ROWS), slice(start + LAPACK_ROWS, None)
        factor = np.linalg.cholesky(covariance[here, here])
        values[here] += factor @ normals[here]
        panel = solve_triangular(factor, covariance[below, here].T, lower=True).T
        values[below] += panel @ normals[here]
        for other in starts[start // LAPACK_ROWS + 1 :]:
            rows = slice(other - start - LAPACK_ROWS, other - start)
            covariance[other:, other : other + LAPACK_ROWS] -= panel[rows.start :] @ panel[rows].T
    return values


def _covariance(x: "Float[np.ndarray, 'n d']", length: float) -> "Float[np.ndarray, 'n n']":
    """Compute `exp(-|x - x'|^2/(2 length^2 d))`, plus the jitter on the diagonal.

    Inputs far apart or a short length give the identity, without overflow.
    """
    import numpy as np

    scale = 2.0 ** np.frexp(np.abs(x).max())[1]  # a power of 2, so that nothing is rounded
    x, numbers = x / scale, x.shape[1]
    squares = np.square(x).sum(1)
    apart = squares[:, None] + squares
    rounding = 2 * numbers * np.finfo(float).eps * apart
    apart -= (2 * x) @ x.T
    apart[apart <= rounding] = 0  # rounding apart, the points are the same
    with np.errstate(over="ignore"):
        np.multiply(apart, (scale / length) ** 2, out=apart, where=apart > 0)
    covariance = np.exp(apart / (-2 * numbers), out=apart)
    covariance.flat[:: len(x) + 1] += JITTER
    return covariance
