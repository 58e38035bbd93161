"""The base class of layers with weights: it draws the weights and scales them."""

import math
from abc import abstractmethod

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key


class Weighted(eqx.Module):
    """A layer with weights and biases.

    In NTK parameterisation its arrays are standard normal, and their scale is applied in the
    forward pass; in `standard` parameterisation the initial arrays are scaled.
    """

    weight: Float[Array, "outputs ..."]
    bias: Float[Array, " outputs"] | None
    weight_variance: float = eqx.field(static=True)
    bias_variance: float = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    standard: bool = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        weight_variance: float,
        bias_variance: float,
        groups: int,
        standard: bool,
        key: Key[Array, ""],
    ):
        weight_key, bias_key = jax.random.split(key)
        self.weight = jax.random.normal(weight_key, shape)
        self.bias = jax.random.normal(bias_key, shape[:1]) if bias_variance else None
        self.weight_variance = weight_variance
        self.bias_variance = bias_variance
        self.groups = groups
        self.standard = standard
        self.weight, self.bias = self.initial()

    @property
    @abstractmethod
    def fan_in(self) -> int:
        """Number of inputs that each output depends on."""

    def factors(self) -> tuple[float, float]:
        """Return the factors of weights and biases: sqrt(c/fan_in), sqrt(b), or 1 if `standard`."""
        if self.standard:
            return 1.0, 1.0
        return math.sqrt(self.weight_variance / self.fan_in), math.sqrt(self.bias_variance)

    def initial(self) -> tuple[Array, Array | None]:
        """Scale standard normal weights and biases to the layer's initial ones.

        In `standard` parameterisation they have variances c/fan_in and b/fan_in.
        """
        if not self.standard:
            return self.weight, self.bias
        weight = math.sqrt(self.weight_variance / self.fan_in) * self.weight
        if self.bias is None:
            return weight, None
        return weight, math.sqrt(self.bias_variance / self.fan_in) * self.bias
