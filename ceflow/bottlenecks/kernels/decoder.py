"""Kernels of the decoder, and their derivatives with respect to points in the bottleneck."""

import math
from collections.abc import Callable

import equinox as eqx
from jaxtyping import Array, ArrayLike, Float

from ceflow.bottlenecks.kernels import deep, kinked, smooth
from ceflow.bottlenecks.kernels.kinked import Pairs, pairs
from ceflow.bottlenecks.network import limit_of
from ceflow.kernels import block_kernel
from ceflow.nets import examples
from ceflow.spec import Bottleneck
from ceflow.spec.models import SLOPES


class DecoderKernels:
    """Kernels of `f(x) = sqrt(b/n) v phi(sqrt(c/d) u x)` as n goes to infinity, for one output.

    The methods take points x (n1, d) and x' (n2, d) of the bottleneck as rows. relu, leaky-relu,
    abs and linear use closed forms, which are accurate at equal, opposite and zero points; the
    derivative of a kink is 0. Other activations use the kernels of infinite width, and their
    derivatives, and so do decoders of several hidden layers or with biases, for K and Xi. Memory
    holds n1 n2 d numbers for derivatives, and n1 n2 d^2 for mixed ones.

    Raises `SpecError` for a decoder without known kernels, and `ValueError` for an infinite
    bottleneck, points that are not d finite numbers each, or derivatives of Sigma that are known
    for one hidden layer without biases only.

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
        return block_kernel(self.network.wide_decoder, "nngp")(*self._points(one, two))

    def ntk(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2"]:
        """Compute `K(x, x') = Sigma + (b c/d) x.x' E[phi' phi']` (BN eq. 45, for ReLU)."""
        return block_kernel(self.network.wide_decoder, "ntk")(*self._points(one, two))

    def nngp_slope(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2 d"]:
        """Compute `dSigma/dx'`, the covariance of `f(x)` and `J(x')` (BN eq. 10)."""
        self._require_plain()
        return _scaled(
            kinked.nngp_slope, smooth.nngp_slope, 1, self.network, *self._points(one, two)
        )

    def nngp_mixed(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2 d d"]:
        """Compute `d2 Sigma/(dx dx')`, the covariance of `J(x)` and `J(x')` (BN eq. 11)."""
        self._require_plain()
        return _scaled(
            kinked.nngp_mixed, smooth.nngp_mixed, 2, self.network, *self._points(one, two)
        )

    def ntk_slope(self, one: ArrayLike, two: ArrayLike) -> Float[Array, "n1 n2 d"]:
        """Compute `Xi = dK/dx` (BN theorem 3.2, eq. 46)."""
        if not self.network.has_plain_decoder:
            return _deep_slope(self.network, *self._points(one, two))
        return _scaled(kinked.ntk_slope, smooth.ntk_slope, 1, self.network, *self._points(one, two))

    def _require_plain(self) -> None:
        if not self.network.has_plain_decoder:
            raise ValueError(
                "derivatives of Sigma are known for decoders of one hidden layer without biases"
            )

    def _points(self, one: ArrayLike, two: ArrayLike) -> tuple[Array, Array]:
        """Check both batches; if they are the same object, return the same array twice."""
        first, second = (
            examples(name, x, (int(self.network.size),)) for name, x in (("one", one), ("two", two))
        )
        return first, first if two is one else second


_deep_slope = eqx.filter_jit(deep.ntk_slope)


@eqx.filter_jit
def _scaled(
    closed: Callable[[Pairs, float], Array],
    differentiated: Callable[[Array, Array, str], Array],
    order: int,
    network: Bottleneck,
    one: Array,
    two: Array,
) -> Array:
    """Compute a derivative of a kernel of `f(x) = sqrt b f1(sqrt(c/d) x)`, f1 without scales.

    `order` is the order of the derivative, and `closed` or `differentiated` compute it for f1.
    """
    decoder, scale = network.wide_decoder, network.decoder_scale
    if decoder.activation in SLOPES:
        # The kernel has degree 2, so scales factor out, and the difference x' - x stays exact.
        found = closed(pairs(one, two), SLOPES[decoder.activation])
        return decoder.last_variance * scale * found
    root = scale**0.5
    found = differentiated(root * one, root * two, decoder.activation)
    return decoder.last_variance * scale ** (order / 2) * found
