"""Data that are drawn or computed: Gaussian vectors, a circle, draws of a deep Gaussian process."""

from pathlib import Path
from typing import TYPE_CHECKING

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
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # to be scaled as all inputs are
    y = seed.numpy().standard_normal((spec.points, spec.outputs))
    return Dataset(Examples(x, y), Examples(x[:0], y[:0]))


JITTER = 1e-9
"""Added to variances of 1, for the Cholesky factor."""


def covariance_size(rows: int) -> float:
    """Count the bytes of the covariance of all targets, and of its factor."""
    return 3 * 8 * rows**2


def deep_gp(spec: DeepGp, folder: Path, seed: Seed) -> Dataset:
    """Draw the inputs, then the targets: so the inputs do not depend on the function.

    Targets are given mean 0 and variance 1 over the training examples: a function drawn with
    length 2 is its own mean for 95 % of its variance, and that is learned in a hundred steps.
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
    """Draw a function from a deep Gaussian process, at these inputs.

    `layers` Gaussian processes, each of the last one's values, with `hidden` functions in each but
    the last and the covariance `exp(-|x - x'|^2/(2 length^2 d))`, d the numbers in x. The paper
    does not say which; the longer, the smoother. Over draws a target has mean 0 and variance 1,
    over the inputs of one draw about so. In float64; n^3/3 multiply-adds a layer.

    Training and test targets come from one draw: give all inputs at once.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> deep_gaussian_process(x, 2, Seed(0)).shape
    (50, 2)
    """
    import numpy as np

    if layers < 1 or hidden < 1 or outputs < 1 or not length > 0:
        raise ValueError(
            "a deep Gaussian process has 1 layer, function and output or more, and a length above 0"
        )
    values = np.asarray(x, float)
    for layer in range(layers):
        random = seed.fold(layer).numpy()
        width = outputs if layer == layers - 1 else hidden
        factor = np.linalg.cholesky(_covariance(values, length))
        values = factor @ random.standard_normal((len(values), width))
    return values


def _covariance(x: "Float[np.ndarray, 'n d']", length: float) -> "Float[np.ndarray, 'n n']":
    """Compute it of any inputs and length: far apart, or at a short length, it is the identity."""
    import numpy as np

    scale = 2.0 ** np.frexp(np.abs(x).max())[1]  # a power of 2, so that nothing is rounded
    x, numbers = x / scale, x.shape[1]
    squares = np.square(x).sum(1)
    apart = squares[:, None] + squares
    rounding = 2 * numbers * np.finfo(float).eps * apart
    apart -= (2 * x) @ x.T
    apart[apart <= rounding] = 0  # the same point, at however short a length
    with np.errstate(over="ignore"):
        np.multiply(apart, (scale / length) ** 2, out=apart, where=apart > 0)
    covariance = np.exp(apart / (-2 * numbers), out=apart)
    covariance.flat[:: len(x) + 1] += JITTER
    return covariance
