"""Gaussian expectations of tanh, softplus and silu at any variance: mixtures of closed forms.

The logistic function is an infinite mixture of normal distribution functions, `1/(1 + e^-x) =
sum_i w_i Phi(x/a_i)`; ten components approximate it to 1e-9 at any x. So tanh is a mixture of error
functions, softplus of noisy ReLUs (`x Phi(x) + Phi'(x)`), and silu of gelu. Each pair of components
has a closed form.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.kernels.infinite.forms import Form, erf, gelu, rectified
from ceflow.kernels.infinite.polynomials import rounded

# fmt: off
COMPONENT_SCALES = (
    0.6765895173191971, 0.8476420568974413, 1.0477969247728003, 1.2922650563901088,
    1.5949946146335685, 1.9705834692522963, 2.434028606672869, 3.0038341482553217,
    3.713676542825128, 4.65114150336398,
)
"""Scales a_i; with the weights w_i they are a least-squares fit of the density and the distribution
times 1 + |x| on [0, 38]."""
COMPONENT_WEIGHTS = (
    0.0007679830089825937, 0.016887345642837056, 0.08963458512273342, 0.20819069737711263,
    0.27461445996747946, 0.23298307827747622, 0.12900456136174118, 0.04169394688814116,
    0.006013501415948644, 0.00020984107765938812,
)
"""Weights w_i of the components."""
# fmt: on
MIXTURE_ERROR = 1e-7
"""Bound on the error of `E[phi^2]` and `E[phi'^2]` by the missing components, relative to them."""


class Mixture(NamedTuple):
    """A mixture `phi(x) = sum_i w_i a_i^p f(x/a_i)`, with the closed form of f; p is `power`."""

    form: Form
    power: int
    unit: float
    """Factor of all scales."""
    largest: dict[str, float]
    """Variance up to which a Hermite series is more accurate, by type."""


MIXTURES = {
    "tanh": Mixture(erf, 0, 0.5**0.5, {"float32": 4.0, "float64": 4.0}),
    "softplus": Mixture(rectified, 1, 1.0, {"float32": 16.0, "float64": 16.0}),
    "silu": Mixture(gelu, 1, 1.0, {"float32": 16.0, "float64": 16.0}),
}
"""Mixtures by the names of activations."""


def mixed(mixture: Mixture) -> Form:
    """Return the form of a mixture, a sum over pairs of components.

    Both orders of a pair are added at once, so that the result is exactly symmetric.
    """

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
    """List for each pair of components both inverse scales, and the weights of value and slope."""
    a, w = mixture.unit * np.array(COMPONENT_SCALES), np.array(COMPONENT_WEIGHTS)
    i, j = np.triu_indices(len(a))
    weights = w[i] * w[j] * np.where(i == j, 0.5, 1.0) * (a[i] * a[j]) ** mixture.power
    return np.stack([1 / a[i], 1 / a[j], weights, weights / (a[i] * a[j])], axis=1)
