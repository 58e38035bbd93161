"""How far decoders of finite width are from Gaussian where they start."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from ceflow.nets import ACTIVATIONS
from ceflow.spec import Mlp

NODES = 64
"""Of the quadrature: an even number, so that none is at a kink."""


def unit_excess(model: Mlp, points: Float[ArrayLike, "m d"]) -> Float[np.ndarray, "m k"]:
    """Compute the excess kurtosis of what one hidden unit gives f(x) and each component of J(x).

    Of `v r` with standard normal v it is `3 E[r^4]/E[r^2]^2 - 3`; r is phi(s) of f and phi'(s) u_b
    of J, with `s = sqrt(c/d) u.x` (BN eq. 1 and 15). Units are independent, so that of n it is 1/n
    of this. Along x the weights u are the variable of a quadrature, across it they are Gaussian.

    >>> unit_excess(Mlp(activation="relu", widths=[1]), jnp.ones((1, 2))).round(4).tolist()
    [[15.0, 15.0, 15.0]]
    """
    x = np.asarray(points, float)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    t, weights = np.polynomial.hermite_e.hermegauss(NODES)
    s = jnp.asarray((model.weight_variance / x.shape[1]) ** 0.5 * length * t)
    phi = ACTIVATIONS[model.activation]
    f, slope = (np.asarray(e, float)[:, :, None] for e in jax.jvp(phi, (s,), (jnp.ones_like(s),)))
    along = (x / length)[:, None]
    mean, rest = along * t[:, None], 1 - along**2
    second = np.concatenate([f**2, slope**2 * (mean**2 + rest)], axis=2)
    fourth = slope**4 * (mean**4 + 6 * mean**2 * rest + 3 * rest**2)
    fourth = np.concatenate([f**4, fourth], axis=2)
    low, high = (np.einsum("mkd,k->md", e, weights / weights.sum()) for e in (second, fourth))
    return 3 * high / low**2 - 3
