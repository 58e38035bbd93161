"""Moments of one NTK entry of a ReLU or linear MLP or block, in closed form, without sampling."""

import math
import sys
from functools import lru_cache, singledispatch
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ceflow.spec import Block, Member, Mlp
from ceflow.variance.block_moments import block_moments
from ceflow.variance.inputs import mean_square, patch_positions


class Moments(NamedTuple):
    """First and second moment of K."""

    mean: float
    second: float

    @property
    def ratio(self) -> float:
        """`E[K^2]/E[K]^2`, which is about `exp(alpha S)` (CE eq. 9)."""
        return self.second / self.mean**2


def exact_moments(model: Member, x: Float[np.ndarray, "..."] | None = None) -> Moments:
    """Compute E[K] and E[K^2] of one diagonal NTK entry, over the weights, at one input x.

    K is `K^aa(x, x)` for one output a. For an MLP, x is a vector; the distribution of K depends
    only on |x|^2, which is the number of inputs by default. Conditioned on the forward pass, K
    is given by a product of independent random 3x3 matrices (spec/semantics.md):

        M_l = (c/n_{l-1}) [[X, 0, 0], [I, Y, 0], [I, Y, X]],   K = last entry of M_1 ... M_H s

    with k ~ Binomial(n_l, 1/2) active units (all of them for a linear network), X ~ chi2(k),
    Y ~ chi2(k - 1), I = 1{k > 0}, s = (xi^2, 1, 1)/n_H and xi ~ N(0, 1). So E[K] is a product of
    E[M_l], and E[K^2] of E[M_l kron M_l]; both are polynomials in n_l and 2^-n_l.

    For a block, x is the patch (channels, 3, 3) that one output position depends on; by default,
    its positions are orthogonal, with squared length `channels`. See `block_moments`.

    Raises `ValueError` for a bias, an infinite width, another activation, a block of several groups
    or with a projection, or an x of the wrong shape, not finite, or 0. Raises `MomentsOverflow`, a
    `ValueError`, if the moments over- or underflow float64.

    >>> from ceflow.spec import Block, Mlp
    >>> moments = exact_moments(Mlp(widths=[2, 3]))
    >>> round(moments.mean, 9), round(moments.second, 9)
    (3.0, 52.0)
    >>> round(exact_moments(Block(widths=[10, 10])).mean, 9)
    3.0
    """
    require_closed_form(model)
    with np.errstate(all="ignore"):  # `_held` checks the result
        found = _moments(model, x)
    return _held(Moments(*map(float, found)))


@singledispatch
def _moments(model: Member, x: Float[np.ndarray, "..."] | None) -> tuple[float, float]:
    """Compute E[K] and E[K^2], by the kind of member."""
    raise TypeError(f"no moments are registered for the model {type(model).__name__}")


@_moments.register
def _(model: Block, x: Float[np.ndarray, "..."] | None) -> tuple[float, float]:
    return block_moments(model, patch_positions(model, x))


@_moments.register
def _(model: Mlp, x: Float[np.ndarray, "..."] | None) -> tuple[float, float]:
    scale = mean_square(model, x)
    mean, second = _mlp_moments(model)
    return scale * mean, scale * (scale * second)


class MomentsOverflow(ValueError):
    """The moments over- or underflow float64."""


def _held(moments: Moments) -> Moments:
    """Return the moments unchanged; raise `MomentsOverflow` if they over- or underflow float64."""
    if not all(sys.float_info.min <= moment < math.inf for moment in moments):
        raise MomentsOverflow(
            "the moments of K over- or underflow float64: bring x to the scale of 1"
            " (normalise, scale), or take fewer layers or other weight variances"
        )
    return moments


def _mlp_moments(model: Mlp) -> tuple[float, float]:
    scales = layer_scales(model)
    top = scales[-1]
    first = top * np.ones(3)
    second = top**2 * np.array([[3.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]).ravel()
    for width, scale in zip(reversed(model.widths), reversed(scales[:-1]), strict=True):
        mean, square = _layer_moments(int(width), model.activation)
        first = scale * mean @ first
        second = scale**2 * square @ second
    return float(first[2]), float(second[8])


def require_closed_form(model: Member) -> None:
    """Raise `ValueError` if the distribution of K has no closed form for this model."""
    if not model.is_finite:
        raise ValueError("at infinite width the NTK has no variance")
    if model.member != model:
        raise ValueError("the closed form is for one group without projection: use block.member")
    if not model.has_closed_moments:
        what = "with biases" if model.bias_variance else f"for the activation {model.activation}"
        raise ValueError(f"no closed form {what}: use monte-carlo")


def layer_scales(model: Mlp) -> list[float]:
    """Compute the factor in front of each weight layer's squared signal: c/fan-in.

    The first is c, as K is taken at |x|^2 = inputs, and so does not depend on the number of inputs.
    """
    inner = [model.weight_variance / width for width in model.widths[:-1]]
    return [model.weight_variance, *inner, model.last_variance / model.widths[-1]]


@lru_cache(maxsize=4096)  # a search asks for the same widths in many networks
def _layer_moments(width: int, activation: str) -> tuple[np.ndarray, np.ndarray]:
    """Compute E[M] and E[M kron M], without the scale.

    Row 3 of M is row 2 plus X in the last column: M = X (e1 e1' + e3 e3') + I b e1' + Y b e2' with
    b = e2 + e3. The moments of X and Y given k are those of chi2; k is then averaged out.
    """
    n = width
    if activation == "linear":
        k, kk, dead = n, n * n, 0.0
    else:
        k, kk, dead = n / 2, n * (n + 1) / 4, math.ldexp(1.0, -n) if n < 1000 else 0.0
    below = k - 1 + dead  # E[max(k - 1, 0)]
    moments = {
        "X": k,
        "I": 1 - dead,
        "Y": below,
        "XX": kk + 2 * k,
        "II": 1 - dead,
        "YY": kk - 1 + dead,  # (k - 1)(k + 1)
        "XI": k,
        "XY": kk - k,
        "IY": below,
    }
    parts = {
        "X": np.diag([1.0, 0.0, 1.0]),
        "I": np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 0]]),
        "Y": np.array([[0.0, 0, 0], [0, 1, 0], [0, 1, 0]]),
    }
    mean = sum((moments[a] * parts[a] for a in parts), np.zeros((3, 3)))
    square = np.zeros((9, 9))
    for a, one in parts.items():
        for b, two in parts.items():
            moment = moments[a + b] if a + b in moments else moments[b + a]
            square += moment * np.kron(one, two)
    return mean, square
