"""Dual activations: moments of two Gaussians after the activation of an infinitely wide layer.

Activations with a kink at 0 map angles to angles. They never compute a cosine, which near 0 and pi
holds only half of the angle's digits. Smooth activations map covariances to covariances, and use
the sine of the angle where a difference would cancel. The angle after them has only half of its
digits near 0 and pi, but smooth functions of the covariance need no more.
"""

import math
from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.infinite.errors import Facts, after_bend, after_kink
from ceflow.kernels.infinite.forms import Form, cos, erf, gelu, sin
from ceflow.kernels.infinite.mixtures import MIXTURE_ERROR, MIXTURES, Mixture, mixed
from ceflow.kernels.infinite.moments import (
    Bounds,
    Dual,
    Expectations,
    Moments,
    from_angle,
    from_covariance,
    is_alone,
    size,
)
from ceflow.kernels.infinite.polynomials import (
    angle_of,
    half_angle_squares,
    relu_angle,
    rounded,
)
from ceflow.kernels.infinite.quadrature import by_quadrature, expansion
from ceflow.nets import ACTIVATIONS
from ceflow.spec.models import SLOPES
from ceflow.spec.models.activations import ADDED, WITHOUT_DUAL, ActivationSpec
from ceflow.spec.models.model import NO_DUAL

Function = Callable[[Array], Array]
Halves = tuple[Array, Array]


def dual(activation: str | Function, moments: Moments) -> Dual:
    """Compute the dual of an activation by its name in specs, or of any elementwise function.

    Raises `ValueError` for an activation of a plugin that has kinks and no dual.
    """
    name = _name(activation)
    if name in DUALS:
        found = DUALS[name](moments)
    elif name in MIXTURES:
        found = _smooth_dual(*by_mixture(name, moments))
    elif name in WITHOUT_DUAL:
        raise ValueError(NO_DUAL.format(name) + ": draw networks (empirical_ntk)")
    elif name in ADDED and ADDED[name].has_dual:
        found = _smooth_dual(*by_plugin(ADDED[name], moments))
    else:
        found = _smooth_dual(*by_quadrature(_function(activation), moments))
    if moments.reach is None:
        return found
    return found._replace(moments=found.moments._replace(reach=_reach(activation, moments.reach)))


def _name(activation: str | Function) -> str:
    return activation if isinstance(activation, str) else ""


def _function(activation: str | Function) -> Function:
    return ACTIVATIONS[activation] if isinstance(activation, str) else activation


def kinked(slope_below: float, moments: Moments) -> Dual:
    """Compute the dual of `phi(x) = x` above 0 and `a x` below 0.

    Such activations are ReLU, leaky ReLU, the absolute value and the identity. The slope a is
    `slope_below`, and t and t' are the angles before and after the activation.

    `E[phi phi] = (1 + a^2)/2 sqrt(q1 q2) cos t'`, and `cos t' = w cos t + (1 - w) cos t'_relu` with
    `w = 2a/(1 + a^2)`; `E[phi' phi'] = (1 + a^2)/2 (1 - (1 - w) t/pi)`.
    """
    gain = (1 + slope_below**2) / 2
    w, t = slope_below / gain, moments.angle
    q1, q2 = gain * moments.q1, gain * moments.q2
    after = from_angle(q1, q2, _kinked_angle(w, t))
    errors, slope_error = after_kink(gain, 1 - w, moments)
    return Dual(
        after._replace(errors=errors), gain * (1 - rounded((1 - w) / jnp.pi * t)), slope_error
    )


def _kinked_angle(w: float, t: Float[Array, "..."]) -> Float[Array, "..."]:
    if w == 1:
        return t
    if w == 0:
        return relu_angle(t)
    if w == -1:
        t = jnp.minimum(t, jnp.pi - t)  # opposite inputs have equal outputs
    (s, k), (s_relu, k_relu) = half_angle_squares(t), half_angle_squares(relu_angle(t))
    return angle_of(*(rounded(w * a) + rounded((1 - w) * b) for a, b in ((s, s_relu), (k, k_relu))))


def by_covariance(activation: str | Function, q1: Array, q2: Array, c: Array) -> Expectations:
    """Compute expectations of a smooth activation as differentiable functions.

    Their arguments are the variances q1, q2 and the covariance c.
    """
    product = size(q1, q2)
    half = c / jnp.where(product > 0, 2 * product, 1.0)
    halves, moments = (0.5 - half, 0.5 + half), Moments(q1, q2, c, c)
    name = _name(activation)
    if name in MIXTURES:
        return by_mixture(name, moments, halves)[0]
    if name in ROOTLESS_FORMS:
        return _by_form(ROOTLESS_FORMS[name], FACTS[name], moments, halves)[0]
    return by_quadrature(_function(activation), moments)[0]


def by_mixture(
    name: str, moments: Moments, halves: Halves | None = None
) -> tuple[Expectations, Bounds | None]:
    """Compute expectations of tanh, softplus or silu, by series or by a mixture for large q.

    The mixture is used where q is too large for the series. `halves` is as in `_by_form`.
    """
    mixture = MIXTURES[name]
    largest = mixture.largest[moments.q1.dtype.name]
    q1, q2 = moments.q1, moments.q2
    large = jnp.maximum(q1, q2) > largest
    asked = jnp.any(large) if moments.reach is None else moments.reach > largest
    series, bounds = by_quadrature(ACTIVATIONS[name], moments, FACTS[name])
    form = partial(_asked_mixture, mixture, asked)
    others, others_bounds = _by_form(form, FACTS[name], moments, halves)
    chosen = zip((q1 > largest, q2 > largest, large, large), others, series, strict=True)
    found = Expectations(*(jnp.where(*each) for each in chosen))
    if bounds is None:
        return found, None
    both = jax.tree.map(partial(jnp.where, q1 > largest), others_bounds, bounds)
    return found, both


def by_plugin(added: ActivationSpec, moments: Moments) -> tuple[Expectations, Bounds | None]:
    """Compute expectations by the dual that a plugin gives, with estimates of their errors.

    Of a smooth activation, the relative distance of the dual from the quadrature, of a Gaussian
    with itself, counts as an error. A kink has no finite bend: its bounds are by angles.
    """

    def form(q1: Array, q2: Array, covariance: Array) -> tuple[Array, Array]:
        largest = size(q1, q2)
        value, slope = added.dual(q1, q2, jnp.clip(covariance, -largest, largest))
        return value, slope

    q, q2, _, covariance, errors, _ = moments
    own, own_slope = form(q, q, q)
    if is_alone(moments):
        found = Expectations(own, own, own, own_slope)
    else:
        found = Expectations(own, form(q2, q2, q2)[0], *form(q, q2, covariance))
    if errors is None:
        return found, None
    expected, facts = expansion(added.function, q)
    if added.kinked:
        facts = facts._replace(bend=STEEP, twist=STEEP, variation=_variation(added))
    else:
        pairs = (own, expected.value.square), (own_slope, expected.slope.square)
        apart = (jnp.abs(a - b) / jnp.where(b > 0, b, 1.0) for a, b in pairs)
        facts = facts._replace(own=jnp.maximum(*apart))
    growth = expected.turn / jnp.where(q > 0, q, 1.0)
    return found, after_bend(facts, moments, own, own_slope, growth)


@cache
def _variation(added: ActivationSpec) -> float:
    """Compute the total variation of the derivative, from its values on a grid."""
    with jax.ensure_compile_time_eval():
        slopes = jax.vmap(jax.grad(added.function))(jnp.linspace(-REACH, REACH, GRID))
        return float(jnp.abs(jnp.diff(slopes)).sum())


def _asked_mixture(mixture: Mixture, asked: Array, *at: Array) -> tuple[Array, Array]:
    """Compute the mixture's closed form if any pair needs it (`asked`), and zeros otherwise."""
    empty = jnp.zeros(jnp.broadcast_shapes(*(each.shape for each in at)), at[2].dtype)
    return jax.lax.cond(asked, mixed(mixture), lambda *_: (empty, empty), *at)


def _by_form(
    form: Form, facts: Facts, moments: Moments, halves: Halves | None = None
) -> tuple[Expectations, Bounds | None]:
    """Compute expectations by a closed form, over both Gaussians and over each with itself.

    `halves` are the squares of the sine and cosine of half the angle, computed from the angle by
    default.
    """
    q1, q2, t, c, *_ = moments

    def own(q: Array) -> tuple[Array, Array]:
        return form(q, q, q, jnp.zeros_like(q), jnp.ones_like(q))

    def between() -> Expectations:
        value, slope = form(q1, q2, c, *(halves or half_angle_squares(t)))
        return Expectations(own(q1)[0], own(q2)[0], value, slope)

    if moments.errors is None:
        return between(), None
    (value, slope), (growth, _) = jax.jvp(own, (q1,), (jnp.ones_like(q1),))
    found = Expectations(value, value, value, slope) if is_alone(moments) else between()
    swing = facts.swing + (jnp.sqrt(q1) if math.isinf(facts.variation) else 0.0)
    return found, after_bend(facts._replace(swing=swing), moments, value, slope, growth)


def _smooth_dual(found: Expectations, bounds: Bounds | None) -> Dual:
    errors, slope_error = (None, 0.0) if bounds is None else bounds
    after = from_covariance(found.own1, found.own2, found.value)
    return Dual(after._replace(errors=errors), found.slope, slope_error)


def _reach(activation: str | Function, reach: Float[Array, ""]) -> Float[Array, ""]:
    """Bound `E[phi^2]` for variances up to `reach`; infinity if no bound for phi is known."""
    name = _name(activation)
    if name in BOUNDED_BY_1:
        return jnp.ones_like(reach)
    if name in SLOPES or name in BOUNDED_BY_X:
        return reach
    return 2 * reach + 1 if name == "softplus" else jnp.full_like(reach, jnp.inf)


REACH, GRID = 32.0, 2**14 + 1
"""Reach and number of the points between which changes of a derivative are added up."""

STEEP = 1e15
"""Bend and twist of a kink, whose square is a number in float32."""

FACTS = {
    "erf": Facts(0.97, 2.26, 2.26),
    "gelu": Facts(0.8, 0.78, 1.52),
    "sin": Facts(1.0, 1.0),
    "cos": Facts(1.0, 1.0),
    "tanh": Facts(0.77, 2.0, 2.0, own=MIXTURE_ERROR),
    "softplus": Facts(0.25, 0.097, 1.0, own=MIXTURE_ERROR),
    "silu": Facts(0.5, 0.31, 1.4, own=MIXTURE_ERROR),
}
"""Properties of smooth activations that bound errors, by name."""

ROOTLESS_FORMS: dict[str, Form] = {"erf": erf, "gelu": gelu}
"""Closed forms without a root of q, which would have no derivative at 0."""

BOUNDED_BY_1 = {"erf", "sin", "cos", "tanh"}
"""Activations with |phi(x)| of at most 1."""

BOUNDED_BY_X = {"gelu", "silu"}
"""Smooth activations with |phi(x)| of at most |x|; piecewise linear activations have this, too."""


def _closed(name: str, form: Form) -> Callable[[Moments], Dual]:
    return lambda moments: _smooth_dual(*_by_form(form, FACTS[name], moments))


DUALS: dict[str, Callable[[Moments], Dual]] = {
    **{name: partial(kinked, below) for name, below in SLOPES.items()},
    "erf": _closed("erf", erf),
    "gelu": _closed("gelu", gelu),
    "sin": _closed("sin", sin),
    "cos": _closed("cos", cos),
}
"""Functions that compute the dual of each activation with a closed form, by name."""
