"""Kernels of the decoder, and their derivatives by the bottleneck's values."""

import math
from typing import Any

import equinox as eqx
from jaxtyping import Array, ArrayLike, Float

from ceflow.bottlenecks.kernels import kinked, smooth
from ceflow.bottlenecks.kernels.pairs import pairs
from ceflow.bottlenecks.network import limit_of
from ceflow.kernels import block_kernel
from ceflow.nets import floats
from ceflow.spec import Bottleneck


class DecoderKernels:
    """Kernels of `f(x) = sqrt(b/n) v phi(sqrt(c/d) u x)` as n goes to infinity, for one output.

    Of rows x (n1, d) and x' (n2, d), which are points of the bottleneck. In closed form for relu,
    leaky-relu, abs and linear, which are safe at equal, opposite and zero points, where a kink has
    derivative 0; by quadrature for the others. Memory for derivatives is n1 n2 d numbers, and
    n1 n2 d^2 for mixed ones.

    Raises `SpecError` for a decoder of several hidden layers or with a bias, and `ValueError` for
    an infinite bottleneck.

    >>> import jax.numpy as jnp
    >>> from ceflow.spec import Bottleneck
    >>> from ceflow.bottlenecks import relu
    >>> kernels = DecoderKernels(Bottleneck(size=2, encoder=relu(), decoder=relu()))
    >>> x = jnp.array([[1.0, 1.0]])
    >>> kernels.ntk(x, x).round(4), kernels.ntk_slope(x, x)[0, 0].round(4)   # (BN eq. 46)
    (Array([[1.]], dtype=float32), Array([0.5, 0.5], dtype=float32))
    """

    def __init__(self, network: Bottleneck):
        if network.size == math.inf:
            raise ValueError("an infinite bottleneck has no points, and its decoder no kernels")
        self.network = limit_of(network)

    def nngp(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2"]:
        """Compute Sigma, the covariance of `f(x)` and `f(x')` (BN eq. 4)."""
        return block_kernel(self.network.decoder, "nngp")(one, two)

    def ntk(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2"]:
        """Compute `K(x, x') = Sigma + (b c/d) x.x' E[phi' phi']` (BN eq. 45, of ReLU)."""
        return block_kernel(self.network.decoder, "ntk")(one, two)

    def nngp_slope(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2 d"]:
        """Compute `dSigma/dx'`, the covariance of `f(x)` and `J(x')` (BN eq. 10)."""
        return _scaled("nngp_slope", self.network, one, two)

    def nngp_mixed(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2 d d"]:
        """Compute `d2 Sigma/(dx dx')`, the covariance of `J(x)` and `J(x')` (BN eq. 11)."""
        return _scaled("nngp_mixed", self.network, one, two)

    def ntk_slope(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2 d"]:
        """Compute `Xi = dK/dx` (BN theorem 3.2, eq. 46)."""
        return _scaled("ntk_slope", self.network, one, two)


@eqx.filter_jit
def _scaled(name: str, network: Bottleneck, one: Any, two: Any) -> Array:
    """Scale the kernels to `f(x) = sqrt b f1(sqrt(c/d) x)`, f1 the one without scales."""
    one, two = map(floats, (one, two))
    decoder, scale = network.decoder, network.decoder_scale
    root = scale**0.5
    if decoder.activation in kinked.SLOPES:
        # Of degree 2 in x and x': a root each is a factor, and the difference x' - x stays exact.
        a = kinked.SLOPES[decoder.activation]
        return decoder.last_variance * scale * getattr(kinked, name)(pairs(one, two), a)
    power = scale if name == "nngp_mixed" else root
    found = getattr(smooth, name)(root * one, root * two, decoder.activation)
    return decoder.last_variance * power * found
