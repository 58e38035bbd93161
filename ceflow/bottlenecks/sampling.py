"""Standard normal weights of a wide layer: independent rows, orthogonal ones, quasi-random ones."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.seeding import Seed, partitionable

Features = Literal["iid", "orthogonal", "quasi-random"]

SOBOL = 21201
"""Dimensions for which SciPy has direction numbers."""


@partitionable()
def normal_rows(features: Features, n: int, d: int, seed: Seed) -> Float[Array, "n d"]:
    """Draw n rows, each of them N(0, I_d).

    Means over n such rows approximate Gaussian expectations: with independent rows ("iid") to
    `n^-1/2`; "orthogonal" rows, d at a time with independent lengths, do the same with less noise;
    "quasi-random" ones, from a scrambled Sobol' sequence, do much better where d is small.

    Raises `ValueError` for a name that is none of these, n or d below 1, and quasi-random rows of
    more than 21,201 numbers.

    >>> rows = normal_rows("orthogonal", 3, 3, Seed(0))
    >>> bool((abs(rows @ rows.T - jnp.diag((rows**2).sum(1))) < 1e-5).all())
    True
    """
    if n < 1 or d < 1:
        raise ValueError(f"a layer has 1 unit and 1 input or more, not {n} and {d}")
    if features == "iid":
        return jax.random.normal(seed.jax(), (n, d))
    if features == "orthogonal":
        return _orthogonal(n, d, seed)
    if features == "quasi-random":
        return _quasi_random(n, d, seed)
    raise ValueError(f"features are iid, orthogonal or quasi-random, not {features!r}")


def _orthogonal(n: int, d: int, seed: Seed) -> Float[Array, "n d"]:
    """Draw rows of random rotations, each times the length of a row of its own."""
    blocks = math.ceil(n / d)
    normal = jax.random.normal(seed.fold("rotations").jax(), (blocks, d, d))
    q, r = jnp.linalg.qr(normal)
    rotations = q * jnp.sign(jnp.diagonal(r, axis1=1, axis2=2))[:, None]
    lengths = jnp.linalg.norm(jax.random.normal(seed.fold("lengths").jax(), (n, d)), axis=1)
    return lengths[:, None] * rotations.reshape(-1, d)[:n]


def _quasi_random(n: int, d: int, seed: Seed) -> Float[Array, "n d"]:
    from scipy.special import ndtri
    from scipy.stats.qmc import Sobol

    if d > SOBOL:
        raise ValueError(
            f"quasi-random features have at most {SOBOL} inputs, not {d}; take orthogonal ones"
        )
    uniform = Sobol(d, rng=seed.numpy()).random_base2(math.ceil(math.log2(n)))[:n]
    tiny = float(np.finfo(float).tiny)
    return jnp.asarray(ndtri(uniform.clip(tiny, 1 - 2.0**-53)), jnp.zeros(()).dtype)
