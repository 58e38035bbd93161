"""Functions of angles as polynomials, a hundred times faster than XLA's sine and arcsine.

Each function is a Chebyshev series on its interval, truncated at the precision of the argument;
`tests/kernels/test_polynomials.py` generates the coefficients with 60 digits. Results are accurate
to rounding near 0 and pi too.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

# fmt: off
SINE = (
    0.8125044225220635, -0.1816031552372502, 0.005804709274598634, -8.695431177934076e-05,
    7.543701480888515e-07, -4.267129665055961e-09, 1.698042294548817e-11, -5.012057888996187e-14,
    1.1410102668001068e-16, -2.0643750442478313e-19,
)
"""Chebyshev coefficients of `sin(x)/x` as a function of x^2 on [0, pi^2/4]."""
ARCSINE = (
    1.0512319587661358, 0.054946487221245836, 0.00408063039254497, 0.00040789006854604433,
    4.698536743220369e-05, 5.880975813970806e-06, 7.773231246277763e-07, 1.067742334008204e-07,
    1.509239953602281e-08, 2.1809724080055385e-09, 3.207598426278962e-10, 4.7855369646781057e-11,
    7.225128736291057e-12, 1.1018334742255882e-12, 1.6947632539204024e-13, 2.6261558667352667e-14,
    4.095829981330977e-15, 6.42447931089824e-16, 1.0128142198336699e-16, 1.6039221898019845e-17,
)
"""Chebyshev coefficients of `arcsin(sqrt(s))/sqrt(s)` on [0, 1/2]."""
RELU_ANGLE = (
    0.7687659836107316, -0.25479899527900796, -0.021756804980641267, 0.004526669431269041,
    0.0031183203949846044, 0.0003227717418354947, -0.00012880924074692917, -5.481924508950112e-05,
    5.951011629735292e-07, 4.676490643994844e-06, 8.462107416075243e-07, -3.084300109963362e-07,
    -1.4640335112796753e-07, 2.6752047060767242e-09, 1.6436968806602103e-08, 3.144205406312245e-09,
    -1.144964311600754e-09, -5.919832926600209e-10, 3.551356480976091e-12, 6.773277175657994e-11,
    1.3922773828287017e-11, -4.858228910891273e-12, -2.65017810267496e-12, 3.318117199619922e-15,
    3.1279509704973816e-13, 6.669245040027275e-14, -2.2879367257479362e-14,
    -1.2898979760060676e-14, -3.716019762572405e-17, 1.5460468644029647e-15,
    3.3904207015074215e-16, -1.1413800810619625e-16, -6.603897945667582e-17,
    -4.0909912472693683e-19, 7.998306898045764e-18, 1.7919696701644444e-18,
)
"""Chebyshev coefficients of `t'/t` on [0, pi], t' the angle after ReLU."""
# fmt: on


def half_angle_squares(
    t: Float[Array, "..."],
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Compute `sin^2(t/2)` and `cos^2(t/2)` of t in [0, pi], both with small relative error."""
    return _sine(t / 2) ** 2, _sine((math.pi - t) / 2) ** 2


def cosine(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute the cosine of t in [0, pi] from `1 - 2 sin^2(t/2)`; it is exactly 1 at 0."""
    obtuse = t > math.pi / 2
    positive = 1 - rounded(2 * _sine(jnp.where(obtuse, math.pi - t, t) / 2) ** 2)
    return jnp.where(obtuse, -positive, positive)


def angle_of(s: Float[Array, "..."], k: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute the angle t with `s = sin^2(t/2)` and `k = cos^2(t/2)`, from the smaller of both.

    For t between pi/4 and 3 pi/4 it is `pi/2 - arcsin(k - s)`, which is more accurate there. The
    gradient is 0 at exactly 0 and pi, where s or k is 0.
    """
    small, cosine = jnp.minimum(s, k), k - s
    middle = cosine**2 < 0.5
    root = jnp.where(middle, cosine, 2 * safe_sqrt(jnp.where(middle, 0.0, small)))
    arc = root * _series(ARCSINE, 4 * jnp.where(middle, cosine**2, small) - 1)
    return jnp.where(middle, math.pi / 2 - arc, jnp.where(s < k, arc, math.pi - arc))


def angle_between(sine: Float[Array, "..."], cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute the angle in [0, pi] from its sine and cosine; near 0 its relative error is small."""
    middle = cosine**2 < 0.5
    least = jnp.where(middle, cosine, sine)
    arc = least * _series(ARCSINE, 4 * least**2 - 1)
    return jnp.where(middle, math.pi / 2 - arc, jnp.where(cosine > 0, arc, math.pi - arc))


def arcsine(sine: Float[Array, "..."], cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute the angle in [-pi/2, pi/2] from its sine and cosine, by the smaller of both."""
    size = jnp.abs(sine)
    steep = size > cosine
    least = jnp.where(steep, cosine, size)
    arc = rounded(least * _series(ARCSINE, 4 * least**2 - 1))
    arc = jnp.where(steep, math.pi / 2 - arc, arc)
    return jnp.where(sine < 0, -arc, arc)


def relu_angle(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute the angle t' after ReLU: `cos t' = (sin t + (pi - t) cos t)/pi`.

    The result is t times a polynomial, which is accurate near t = 0, with derivative 1 there.
    """
    return t * _series(RELU_ANGLE, 2 / math.pi * t - 1)


def rounded(product: Float[Array, "..."]) -> Float[Array, "..."]:
    """Prevent the compiler from fusing a product with an addition.

    Whether compilers fuse depends on the surrounding code, so the same entry could differ in the
    last bit between blocks. They do not fuse across a maximum.
    """
    return lax.max(product, jnp.finfo(product.dtype).min)


def safe_sqrt(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute the square root, with gradient 0 at 0; negative numbers from rounding count as 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)


def _sine(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return x * _series(SINE, 8 / math.pi**2 * x**2 - 1)


def _series(table: Sequence[float], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Sum the Chebyshev series at y in [-1, 1], by Horner's rule."""
    # Terms below a sixteenth of an ulp do not change the sum.
    kept = [c for c in table if abs(c) > float(jnp.finfo(y.dtype).eps) / 16]
    coefficients = np.polynomial.chebyshev.cheb2poly(table[: table.index(kept[-1]) + 1])
    total = jnp.full_like(y, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * y + float(coefficient)
    return total
