"""Closed forms of the decoder's derivatives, for activations with a kink at 0 or none.

With slope a below 0, `phi(x) = a x + (1 - a) relu(x)`, and each kernel is `a` times that of the
identity plus `(1 - a)^2` times that of ReLU. All are for `f(x) = v phi(u x)/sqrt n`.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.bottlenecks.kernels.pairs import Pairs


def mixture(slope_below: float) -> tuple[float, float]:
    """Weigh the identity's and ReLU's kernels in those of the activation.

    >>> mixture(0.0), mixture(1.0)
    ((0.0, 1.0), (1.0, 0.0))
    """
    return slope_below, (1 - slope_below) ** 2


def nngp_slope(pairs: Pairs, a: float) -> Float[Array, "n1 n2 d"]:
    """Compute `dSigma/dx'`: of ReLU `|x| sin t/(2 pi) x'/|x'| + (pi - t)/(2 pi) x`."""
    linear, relu = mixture(a)
    end = pairs.cosine[..., None] * pairs.ahead + pairs.sine[..., None] * pairs.aside
    along = (pairs.size1 * pairs.sine)[..., None] * end / (2 * math.pi)
    return linear * pairs.one + relu * (along + _slope(pairs)[..., None] * pairs.one)


def nngp_mixed(pairs: Pairs, a: float) -> Float[Array, "n1 n2 d d"]:
    """Compute `d2 Sigma/(dx dx')`: of ReLU, with e = ahead and p = aside,

    `(pi - t)/(2 pi) I + sin t/(2 pi) (cos t (e e' - p p') + sin t (e p' + p e'))`.
    """
    linear, relu = mixture(a)
    e, p = jnp.broadcast_to(pairs.ahead, pairs.aside.shape), pairs.aside
    c, s = pairs.cosine[..., None, None], pairs.sine[..., None, None]
    turned = c * (_outer(e, e) - _outer(p, p)) + s * (_outer(e, p) + _outer(p, e))
    unit = jnp.eye(e.shape[-1], dtype=e.dtype)
    own = _slope(pairs)[..., None, None] * unit
    return linear * unit + relu * (own + s * turned / (2 * math.pi))


def ntk_slope(pairs: Pairs, a: float) -> Float[Array, "n1 n2 d"]:
    """Compute `Xi = dK/dx` (BN eq. 46).

    Of ReLU it is `(pi - t)/pi x' + |x'|/(2 pi) (cos t p + sin t e)`."""
    linear, relu = mixture(a)
    turned = pairs.cosine[..., None] * pairs.aside + pairs.sine[..., None] * pairs.ahead
    turned = pairs.size2[..., None] * turned / (2 * math.pi)
    return 2 * linear * pairs.two + relu * (2 * _slope(pairs)[..., None] * pairs.two + turned)


def _slope(pairs: Pairs) -> Float[Array, "n1 n2"]:
    """Compute `E[phi' phi']` of ReLU, whose derivative at 0 is 0."""
    return jnp.where(pairs.alive, (math.pi - pairs.angle) / (2 * math.pi), 0.0)


def _outer(x: Float[Array, "... d"], y: Float[Array, "... d"]) -> Float[Array, "... d d"]:
    return x[..., :, None] * y[..., None, :]
