"""Exact draws of an NTK entry without drawing weights: O(layers) random numbers, at any width."""

import numpy as np
from jaxtyping import Float

from ceflow.spec import Mlp
from ceflow.variance.exact import layer_scales, require_closed_form


def sample_ntk(model: Mlp, draws: int, random: np.random.Generator) -> Float[np.ndarray, " draws"]:
    """Independent draws of `K^aa(x, x)` at |x|^2 = inputs, for a ReLU or linear MLP without bias.

    The recursion of `exact_moments`, with its k, X, Y and xi drawn: the law of K is exact, and a
    draw costs three random numbers a layer. Raises `ValueError` where the recursion does not hold.

    >>> from ceflow.spec import Mlp
    >>> k = sample_ntk(Mlp(widths=[500] * 5), 1_000_000, np.random.default_rng(0))
    >>> round(float(k.mean()), 2)   # E[K] = H + 1
    6.0
    """
    require_closed_form(model)
    scales = layer_scales(model)
    output = scales[-1] * random.standard_normal(draws) ** 2
    term = np.full(draws, scales[-1])
    total = term
    for width, scale in zip(reversed(model.widths), reversed(scales[:-1]), strict=True):
        active = _active_units(model, int(width), draws, random)
        x = 2 * random.standard_gamma(active / 2)
        y = 2 * random.standard_gamma(np.maximum(active - 1, 0) / 2)
        term = scale * ((active > 0) * output + y * term)
        total = term + scale * x * total
        output = scale * x * output
    return total


def _active_units(
    model: Mlp, width: int, draws: int, random: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    if model.activation == "linear":
        return np.full(draws, float(width))
    return random.binomial(width, 0.5, draws).astype(float)
