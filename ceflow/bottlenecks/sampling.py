"""Standard normal weights of a wide layer, with independent, orthogonal or quasi-random rows."""

import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow._words import one_of
from ceflow.seeding import Seed, partitionable

Features = Literal["iid", "orthogonal", "quasi-random"]

SOBOL_DIMENSIONS = 21201
"""Largest dimension of SciPy's Sobol' sequences."""


@partitionable()
def normal_rows(features: Features, n: int, d: int, seed: Seed) -> Float[Array, "n d"]:
    """Draw n rows, each distributed as N(0, I_d).

    Means over the rows approximate Gaussian expectations. With independent rows ("iid"), the error
    is of order `n^-1/2`. "orthogonal" rows are orthogonal in groups of d, with independent lengths,
    and give a smaller error of the same order. "quasi-random" rows, from a scrambled Sobol'
    sequence, are much better if d is small.

    Raises `ValueError` for another name, n or d below 1, or quasi-random rows with d above 21,201.

    >>> rows = normal_rows("orthogonal", 3, 3, Seed(0))
    >>> bool((abs(rows @ rows.T - jnp.diag((rows**2).sum(1))) < 1e-5).all())
    True
    """
    one_of("features", features, get_args(Features))
    if n < 1 or d < 1:
        raise ValueError(f"a layer needs at least 1 unit and 1 input, not {n} and {d}")
    if features == "iid":
        return jax.random.normal(seed.jax(), (n, d))
    if features == "orthogonal":
        return _orthogonal(n, d, seed)
    return _quasi_random(n, d, seed)


def _orthogonal(n: int, d: int, seed: Seed) -> Float[Array, "n d"]:
    """Draw rows of random rotations, scaled to the lengths of independent normal rows."""
    blocks = math.ceil(n / d)
    normal = jax.random.normal(seed.fold("rotations").jax(), (blocks, d, d))
    # Two batches of LAPACK calls at once can wait for each other forever: see `conditional`.
    q, r = jax.block_until_ready(jnp.linalg.qr(normal))
    rotations = q * jnp.sign(jnp.diagonal(r, axis1=1, axis2=2))[:, None]
    lengths = jnp.linalg.norm(jax.random.normal(seed.fold("lengths").jax(), (n, d)), axis=1)
    return lengths[:, None] * rotations.reshape(-1, d)[:n]


def _quasi_random(n: int, d: int, seed: Seed) -> Float[Array, "n d"]:
    from scipy.special import ndtri
    from scipy.stats.qmc import Sobol

    if d > SOBOL_DIMENSIONS:
        raise ValueError(
            f"quasi-random features have at most {SOBOL_DIMENSIONS} inputs, not {d}; take"
            " orthogonal ones"
        )
    uniform = Sobol(d, rng=seed.numpy()).random_base2(math.ceil(math.log2(n)))[:n]
    tiny = float(np.finfo(float).tiny)
    return jnp.asarray(ndtri(uniform.clip(tiny, 1 - 2.0**-53)), jnp.zeros(()).dtype)
