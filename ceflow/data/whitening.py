"""ZCA whitening: a symmetric linear map of the inputs that makes their second moments alike."""

from typing import TYPE_CHECKING

from ceflow.costs import EIGH_FLOPS, Demand, Work
from ceflow.data.dataset import Extent, data_error

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ceflow.data.normalising import Blocks

ADVICE = "raise data.zca, such as to 0.1"
"""What to do about second moments that cannot be inverted."""

EIGH_COPIES = 6
"""Copies of the matrix of moments in memory during its eigendecomposition. Measured."""

ROW_COPIES = 3
"""Copies of all examples in memory during that."""


def whiten(
    x: "Float[np.ndarray, 'n d']", test: "Float[np.ndarray, 't d']", regularisation: float
) -> "tuple[Float[np.ndarray, 'n d'], Float[np.ndarray, 't d']]":
    """Multiply each row of `x` and of `test` by (C + r tr(C)/d I)^(-1/2).

    C = x^T x/n are the second moments of `x`, and r is the regularisation, relative to the mean
    eigenvalue of C. No mean is subtracted. As in Shankar et al., Neural Kernels Without Tangents
    (ICML 2020), with r relative as in Lee et al., Finite Versus Infinite Neural Networks (NeurIPS
    2020). The result does not depend on the scale of the rows. With n < d, the eigenvectors of
    x x^T/n, which is smaller, are computed in place of those of C.

    Raises `SpecError` if C + r tr(C)/d I is singular to rounding.

    >>> import numpy as np
    >>> x = np.array([[2.0, 0.0], [0.0, 4.0]])
    >>> whiten(x, np.array([[2.0, 2.0]]), 0.0)[1].round(3)
    array([[1.414, 0.707]])
    """
    import numpy as np

    (count, inputs), few = x.shape, len(x) < x.shape[1]
    exponent = -np.frexp(abs(x).max(initial=0))[1]  # so that no square over- or underflows
    with np.errstate(over="ignore"):  # `prepare` reports an overflow
        x, test = np.ldexp(x, exponent), np.ldexp(test, exponent)
    moments = (x @ x.T if few else x.T @ x) / count
    added = regularisation * np.trace(moments) / inputs
    eigenvalues, vectors = np.linalg.eigh(moments)
    del moments
    _require_rank(eigenvalues, added, inputs)
    roots = np.sqrt(eigenvalues.clip(0) + added)
    inverse = (vectors / roots) @ vectors.T
    with np.errstate(over="ignore", invalid="ignore"):
        if not few:
            return x @ inverse, test @ inverse
        # f(C) = f(0) I + x^T g(x x^T/n) x/n, where f(s) = (s + a)^(-1/2), g(s) = (f(s) - f(0))/s
        least = np.sqrt(added)
        change = -(vectors / (least * roots * (least + roots) * count)) @ vectors.T
        change = (test @ x.T) @ change @ x
        test /= least
        test += change
        return inverse @ x, test


def whitener(blocks: "Blocks", regularisation: float) -> "Float[np.ndarray, 'd d']":
    """Return the matrix of `whiten`, (C + r tr(C)/d I)^(-1/2), from the training rows in blocks.

    `blocks()` reads them; they are read twice, and never all held. Raises `SpecError` as `whiten`
    does.
    """
    import numpy as np

    largest = max(abs(block).max(initial=0) for block in blocks())
    exponent = -np.frexp(largest)[1]
    moments, count = 0.0, 0
    for block in blocks():
        block = np.ldexp(block, exponent)
        moments, count = moments + block.T @ block, count + len(block)
    moments = np.asarray(moments) / count
    inputs = len(moments)
    added = regularisation * np.trace(moments) / inputs
    eigenvalues, vectors = np.linalg.eigh(moments)
    _require_rank(eigenvalues, added, inputs)
    roots = np.sqrt(eigenvalues.clip(0) + added)
    return np.ldexp((vectors / roots) @ vectors.T, exponent)


def _require_rank(eigenvalues: "np.ndarray", added: float, inputs: int) -> None:
    """Raise if the eigenvalues of moments, with a number added, are 0 to rounding."""
    import numpy as np

    rounding = inputs * np.finfo(float).eps * eigenvalues[-1]
    least = eigenvalues[0] if len(eigenvalues) == inputs else 0
    if added + least <= rounding:
        raise _singular(int((eigenvalues > rounding).sum()), inputs)


def _singular(rank: int, inputs: int) -> Exception:
    if not rank:
        message = "the training inputs are all 0, which cannot be whitened: leave data.zca out"
        return data_error("CE302", message, "zca")
    message = f"the second moments of the {inputs} inputs have rank {rank}, and cannot be inverted"
    return data_error("CE302", f"{message}: {ADVICE}", "zca")


def whitening_cost(size: Extent) -> Demand:
    """Forecast the memory and the work of whitening."""
    side, rows = min(size.train, size.inputs), size.train + size.test
    numbers = ROW_COPIES * rows * size.inputs + EIGH_COPIES * side**2
    products = 4 * side * (rows * size.inputs + side**2)
    return Demand(8.0 * numbers, Work(flops=products + EIGH_FLOPS * side**3))
