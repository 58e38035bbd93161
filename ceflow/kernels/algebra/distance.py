"""How far kernels are from each other."""

import math

import numpy as np

from ceflow.kernels.algebra.matrix import Matrix, norm, row_blocks


def relative_distance(kernel: Matrix, reference: Matrix) -> float:
    """`|K - R|/|R|` in Frobenius norm, of kernels in memory or on disk.

    Raises `ValueError` where R is 0 or of another shape.

    >>> relative_distance(2 * np.eye(3), np.eye(3))
    1.0
    """
    if kernel.shape != reference.shape:
        raise ValueError(
            f"a kernel of {kernel.shape} has no distance from one of {reference.shape}"
        )
    difference, size = 0.0, 0.0
    for rows, block in row_blocks(reference):
        difference = math.hypot(difference, norm(np.asarray(kernel[rows, :], float) - block))
        size = math.hypot(size, norm(block))
    if size == 0:
        raise ValueError("the reference kernel is 0: are all inputs 0?")
    return difference / size
