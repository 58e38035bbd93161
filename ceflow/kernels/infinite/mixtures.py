"""Gaussian expectations of tanh, softplus and silu at any variance: mixtures of closed forms.

The logistic function is a mixture of normal distribution functions, `1/(1 + e^-x) = sum_i w_i
Phi(x/a_i)`, of infinitely many; ten leave 1e-9 at any x. So tanh is a mixture of error functions,
softplus of normal ones (`x Phi(x) + Phi'(x)`) and silu of gelu, and each pair of components has a
closed form.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.kernels.infinite.forms import Form, erf, gelu, rectified
from ceflow.kernels.infinite.polynomials import rounded

# fmt: off
SCALES = (
    0.6765895173191971, 0.8476420568974413, 1.0477969247728003, 1.2922650563901088,
    1.5949946146335685, 1.9705834692522963, 2.434028606672869, 3.0038341482553217,
    3.713676542825128, 4.65114150336398,
)
"""The a_i, and the w_i: least squares of density and distribution times 1 + |x|, on [0, 38]."""
WEIGHTS = (
    0.0007679830089825937, 0.016887345642837056, 0.08963458512273342, 0.20819069737711263,
    0.27461445996747946, 0.23298307827747622, 0.12900456136174118, 0.04169394688814116,
    0.006013501415948644, 0.00020984107765938812,
)
# fmt: on
ERROR = 1e-7
"""Relative to `E[phi^2]` and `E[phi'^2]`, of what the other components would add to either."""


class Mixture(NamedTuple):
    """`phi(x) = sum_i w_i a_i^p f(x/a_i)`, from the closed form of f."""

    form: Form
    power: int
    unit: float
    """A factor on the scales."""
    largest: dict[str, float]
    """In each precision, the q up to which a series does better."""


MIXTURES = {
    "tanh": Mixture(erf, 0, 0.5**0.5, {"float32": 4.0, "float64": 4.0}),
    "softplus": Mixture(rectified, 1, 1.0, {"float32": 16.0, "float64": 16.0}),
    "silu": Mixture(gelu, 1, 1.0, {"float32": 16.0, "float64": 16.0}),
}


def mixed(mixture: Mixture) -> Form:
    """Sum over pairs of components, both orders of a pair at once: the same bits for (v, u)."""

    def form(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
        def both(a: Array, b: Array) -> tuple[Array, Array]:
            there, back = (
                mixture.form(rounded(q1 * one**2), rounded(q2 * two**2), c * (a * b), s, k)
                for one, two in ((a, b), (b, a))
            )
            return there[0] + back[0], there[1] + back[1]

        def step(total: tuple[Array, Array], pair: Array) -> tuple[tuple[Array, Array], None]:
            a, b, of_value, of_slope = pair
            value, slope = jax.checkpoint(both)(a, b)
            added = total[0] + rounded(of_value * value), total[1] + rounded(of_slope * slope)
            return added, None

        empty = jnp.zeros(jnp.broadcast_shapes(q1.shape, q2.shape, c.shape), c.dtype)
        return jax.lax.scan(step, (empty, empty), jnp.asarray(_pairs(mixture), c.dtype))[0]

    return form


def _pairs(mixture: Mixture) -> Float[np.ndarray, "pairs 4"]:
    """Give inverse scales of two components, and their weights in the value and in the slope."""
    a, w = mixture.unit * np.array(SCALES), np.array(WEIGHTS)
    i, j = np.triu_indices(len(a))
    weights = w[i] * w[j] * np.where(i == j, 0.5, 1.0) * (a[i] * a[j]) ** mixture.power
    return np.stack([1 / a[i], 1 / a[j], weights, weights / (a[i] * a[j])], axis=1)
