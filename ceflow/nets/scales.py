"""Where the scale of a layer is: in front of its weights, or in them."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Array

    from ceflow.nets.convolution import Convolution
    from ceflow.nets.dense import Dense


def factors(layer: "Dense | Convolution") -> tuple[float, float]:
    """Give the factors of weights and biases: sqrt(c/fan_in) and sqrt(b), or 1."""
    if layer.standard:
        return 1.0, 1.0
    return math.sqrt(layer.weight_variance / layer.fan_in), math.sqrt(layer.bias_variance)


def initial(layer: "Dense | Convolution") -> "tuple[Array, Array | None]":
    """Scale standard normal weights and biases of a layer to what it starts with.

    In `standard` parameterisation those have the variances c/fan_in and b/fan_in.
    """
    if not layer.standard:
        return layer.weight, layer.bias
    both = (layer.weight_variance, layer.weight), (layer.bias_variance, layer.bias)
    weight, bias = (
        None if array is None else math.sqrt(variance / layer.fan_in) * array
        for variance, array in both
    )
    assert weight is not None
    return weight, bias
