"""Training under a constant kernel in closed form, and the resulting Gaussian process."""

import math
from typing import Any, NamedTuple, get_args

import numpy as np
import scipy.linalg
from jaxtyping import ArrayLike, Float

from ceflow._words import one_of
from ceflow.kernels import Kernels
from ceflow.kernels.algebra.matrix import Matrix, as_kernel, as_matrix, epsilon, numbers, rows_of
from ceflow.spec.stages.descent import Reduction, weight_of

Kernel = Float[ArrayLike, "m n ..."]
Rows = Float[ArrayLike, "n outputs"]
Outputs = Float[np.ndarray, "n outputs"]


class ConstantKernel:
    """Gradient flow on `L = 1/2 |F - y|^2` under a constant kernel K, by `exp(-K t)`; t is mu t.

    `kernel` is (n, n) or (n, n, outputs, outputs). Computations are in float64. Eigenvalues up to
    `n eps lambda_max`, the rounding of the kernel's entries, count as 0: outputs do not move along
    their eigenvectors. With `reduction = "mean"` the loss is divided by n, so the flow takes n
    times as long; with "mean-all" by n times `outputs`, which a kernel with axes of them tells.

    Raises `ValueError` if the kernel is not that of one batch of examples (finite, symmetric, its
    eigenvalues not negative beyond rounding), for an unknown reduction, for a "mean-all" over an
    unknown number of outputs, and for outputs and targets that do not have a row for each example.

    >>> frozen = ConstantKernel(np.diag([1.0, 0.0]))
    >>> frozen.train(np.log(2), np.zeros((2, 1)), np.ones((2, 1))).T
    array([[0.5, 0. ]])
    """

    def __init__(self, kernel: Matrix, reduction: Reduction = "sum", outputs: int | None = None):
        one_of("reduction", reduction, get_args(Reduction))
        kernel = as_matrix(kernel)
        self.rows = tuple(kernel.shape[::2])
        """Number of examples, and of outputs if the kernel has axes of them."""
        matrix = numbers(as_kernel(_flat(kernel)))
        eigenvalues, self.vectors = scipy.linalg.eigh(matrix, driver="evr", check_finite=False)
        largest = np.abs(eigenvalues).max()
        if eigenvalues[0] < -math.sqrt(epsilon(kernel)) * largest:
            raise ValueError(
                f"the kernel has the eigenvalue {eigenvalues[0]:.3g}; it must be positive"
                " semidefinite"
            )
        null = eigenvalues <= len(matrix) * epsilon(kernel) * largest
        self.eigenvalues = np.where(null, 0, eigenvalues)
        outputs = self.rows[1] if len(self.rows) > 1 else outputs
        if reduction == "mean-all" and outputs is None:
            raise ValueError("mean-all averages over outputs: say how many there are")
        self.weight = weight_of(reduction, len(kernel), outputs or 1)

    def decay(self, t: float, v: np.ndarray) -> np.ndarray:
        """Compute `exp(-K t) v`; at t = inf, this is the projection on the null space."""
        return self._function(self.decays(t), v)

    def response(self, t: float, v: np.ndarray) -> np.ndarray:
        """Compute `K^+ (1 - exp(-K t)) v`, with the pseudo-inverse.

        Outside the null space, this is the integral of `exp(-K s) v` over s from 0 to t.
        """
        return self._function(self.responses(t), v)

    def decays(self, t: float) -> Float[np.ndarray, " k"]:
        """Compute the eigenvalues of `exp(-K t)`, in the order of `eigenvalues`."""
        exponents = np.zeros_like(self.eigenvalues)
        moving = self.eigenvalues > 0
        exponents[moving] = -self.eigenvalues[moving] * _time(t) * self.weight
        return np.exp(exponents)

    def responses(self, t: float) -> Float[np.ndarray, " k"]:
        """Compute the eigenvalues of `K^+ (1 - exp(-K t))`, in the order of `eigenvalues`."""
        moving = self.eigenvalues > 0
        values = self.eigenvalues[moving]
        factors = np.zeros_like(self.eigenvalues)
        factors[moving] = -np.expm1(-values * _time(t) * self.weight) / values
        return factors

    def train(self, t: float, initial: Rows, targets: Rows) -> Outputs:
        """Compute outputs on training points, `F(t) = y + exp(-K t)(F_0 - y)`; t may be inf."""
        initial, targets = self._checked(initial, targets)
        return targets + self.decay(t, initial - targets)

    def test(
        self, t: float, cross: Kernel, start: Rows, initial: Rows, targets: Rows
    ) -> Float[np.ndarray, "m outputs"]:
        """Compute `F*(t) = F*_0 + K* K^+ (1 - exp(-K t))(y - F_0)`.

        `start` is F*_0 on test points, `initial` is F_0 on training points, and `cross` is K*. At
        t = inf this is kernel regression.
        """
        initial, targets = self._checked(initial, targets)
        cross, start = np.asarray(cross, float), rows_of(start, "outputs")
        if cross.shape[1::2] != self.rows or start.shape != (len(cross), *targets.shape[1:]):
            raise ValueError(
                f"outputs of shape {start.shape} do not go with a kernel of test and training"
                f" points of shape {cross.shape}"
            )
        rows, moved = _flat(cross), self.response(t, targets - initial)
        return start + (rows @ moved.reshape(rows.shape[1], -1)).reshape(start.shape)

    def _checked(self, initial: Rows, targets: Rows) -> tuple[Outputs, Outputs]:
        initial, targets = rows_of(initial, "outputs"), rows_of(targets, "targets")
        if initial.shape != targets.shape:
            raise ValueError(f"outputs are {initial.shape}, and targets {targets.shape}")
        return initial, targets

    def _function(self, factors: np.ndarray, v: np.ndarray) -> np.ndarray:
        if np.shape(v)[: len(self.rows)] != self.rows:
            raise ValueError(
                f"an array of shape {np.shape(v)} does not go with a kernel of {self.rows[0]}"
                " training points"
            )
        columns = np.asarray(v, float).reshape(len(factors), -1)
        result = self.vectors @ (factors[:, None] * (self.vectors.T @ columns))
        return result.reshape(np.shape(v))


def _flat(kernel: Any) -> Any:
    """Flatten a kernel with axes of outputs to one matrix over examples and outputs."""
    if len(kernel.shape) != 4:
        return kernel
    m, n, outputs, others = kernel.shape
    return kernel.transpose(0, 2, 1, 3).reshape(m * outputs, n * others)


def _time(t: float) -> float:
    if not t >= 0:
        raise ValueError(f"a time mu t is 0 or more, not {t}")
    return t


class TrainedGaussian(NamedTuple):
    """Mean and covariance of the outputs at m points; each output has the same covariance."""

    mean: Float[np.ndarray, "m outputs"]
    covariance: Float[np.ndarray, "m m"]


def trained_gaussian(
    frozen: ConstantKernel,
    targets: Rows,
    t: float,
    train: Kernels,
    cross: Kernels,
    test: Kernels,
) -> TrainedGaussian:
    """Compute the distribution over initial weights of an infinitely wide network's outputs.

    t is mu t. With NTK `Theta`, NNGP `S` and `A = Theta* Theta^+ (1 - exp(-Theta t))`, the outputs
    at test points are `F*_0 + A (y - F_0)`, where (F_0, F*_0) is Gaussian with covariance S. So
    their mean is `A y` and their covariance `S** - A S_X* - S_*X A^T + A S_XX A^T` (Lee et al.,
    NeurIPS 2019, eq. 14 and 15). At t = 0 this is the NNGP. At t = inf, if NTK = NNGP, it is the
    posterior without noise.

    `frozen` is `ConstantKernel(train.ntk)`, whose eigendecomposition is reused for all times.
    `train`, `cross` and `test` are the kernels of (x, x), (x*, x) and (x*, x*) from
    `ceflow.kernels.analytic`; only `cross` needs both NNGP and NTK, the others only the NNGP.

    >>> from ceflow.kernels import Kernels
    >>> one, half = Kernels(np.eye(1), np.eye(1)), Kernels(0.5 * np.eye(1), 0.5 * np.eye(1))
    >>> frozen = ConstantKernel(one.ntk)
    >>> law = trained_gaussian(frozen, np.ones((1, 1)), np.inf, one, half, one)
    >>> law.mean, law.covariance
    (array([[0.5]]), array([[0.75]]))
    """
    prior, between, own = (np.asarray(part.nngp, float) for part in (train, cross, test))
    response = frozen.response(t, np.asarray(cross.ntk, float).T).T
    linear = response @ between.T
    covariance = own - linear - linear.T + response @ prior @ response.T
    return TrainedGaussian(response @ np.asarray(targets, float), covariance)


class TrainedStddev:
    """Standard deviations of a trained infinitely wide network's outputs over its initial weights.

    They are the roots of the diagonal of `trained_gaussian`'s covariance at test points, and at
    training points of `exp(-Theta t) S exp(-Theta t)` (Lee et al., NeurIPS 2019, eq. 15). Each
    output has the same. The kernels are brought to the eigenvectors of Theta once; a time then
    takes one product of matrices. Rounding leaves about `sqrt(eps)` of the standard deviation at
    the start, below which numbers at test points are not known.

    Arguments are those of `trained_gaussian`; `variances` is the diagonal of the NNGP at test
    points.

    >>> from ceflow.kernels import Kernels
    >>> one, half = Kernels(np.eye(1), np.eye(1)), Kernels(0.5 * np.eye(1), 0.5 * np.eye(1))
    >>> stddev = TrainedStddev(ConstantKernel(one.ntk), one, half, np.ones(1))
    >>> stddev(0.0)
    (array([1.]), array([1.]))
    >>> stddev(np.inf)
    (array([0.]), array([0.8660254]))
    """

    def __init__(
        self,
        frozen: ConstantKernel,
        train: Kernels,
        cross: Kernels,
        variances: Float[np.ndarray, " m"],
    ):
        self._frozen, vectors = frozen, frozen.vectors
        self._prior = vectors.T @ np.asarray(train.nngp, float) @ vectors
        self._between = np.asarray(cross.nngp, float) @ vectors
        self._rows = np.asarray(cross.ntk, float) @ vectors
        self._variances = np.asarray(variances, float)

    def __call__(self, t: float) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
        """Compute the standard deviations at training points and at test points; t is mu t."""
        train = self._quadratic(self._frozen.vectors * self._frozen.decays(t))
        response = self._rows * self._frozen.responses(t)
        moved = self._quadratic(response) - 2 * (response * self._between).sum(axis=1)
        return np.sqrt(train.clip(0)), np.sqrt((self._variances + moved).clip(0))

    def _quadratic(self, rows: Float[np.ndarray, "k n"]) -> Float[np.ndarray, " k"]:
        """Compute `r S r^T` for each row r, given in the eigenvectors of Theta."""
        return ((rows @ self._prior) * rows).sum(axis=1)
