"""How far kernels are from each other."""

import math

from ceflow.kernels.algebra.matrix import Matrix, as_matrix, norm, numbers, row_blocks


def relative_distance(kernel: Matrix, reference: Matrix) -> float:
    """Compute `|K - R|/|R|` in Frobenius norm, of kernels in memory or on disk.

    In float64, whatever their types. Raises `ValueError` where R is 0 or of another shape, or one
    of them is not finite.

    >>> import numpy as np
    >>> relative_distance(2 * np.eye(3), np.eye(3))
    1.0
    """
    kernel, reference = as_matrix(kernel), as_matrix(reference)
    if kernel.shape != reference.shape:
        raise ValueError(
            f"a kernel of {kernel.shape} has no distance from one of {reference.shape}"
        )
    difference, size = 0.0, 0.0
    for rows, _ in row_blocks(reference):
        ours, theirs = (numbers(each, rows, slice(None)) for each in (kernel, reference))
        difference = math.hypot(difference, norm(ours - theirs))
        size = math.hypot(size, norm(theirs))
    if size == 0:
        raise ValueError("the reference kernel is 0: are all inputs 0?")
    return difference / size
