"""Theta of an encoder whose kernel is no function of norms and angles, such as one of images."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.bottlenecks.kernels.encoder import root_of
from ceflow.bottlenecks.kernels.rows import KeptRows
from ceflow.kernels import block_kernel
from ceflow.kernels.infinite.moments import from_covariance
from ceflow.kernels.infinite.recursion import through_layers
from ceflow.spec import Bottleneck


@dataclass(frozen=True)
class WholeKernel:
    """Theta between the training examples and others, computed at once and kept in memory.

    With an infinite bottleneck it is the NTK of the whole network, whose parts from the weights of
    encoder and decoder are multiplied by the `rate_factors`.
    """

    network: Bottleneck
    inputs: Float[Array, "m ..."]
    train: int
    rate_factors: tuple[float, float] = (1.0, 1.0)

    def rows(self, memory: int) -> KeptRows:
        """Compute Theta between the training examples and all examples, whatever `memory` is."""
        x, others = self.inputs[: self.train], self.inputs[self.train :]
        own = self._between(x, None)
        return KeptRows(jnp.hstack([own, self._between(x, others)]) if len(others) else own)

    def with_others(self, others: Float[Array, "k ..."]) -> Float[Array, "n k"]:
        """Compute the kernel between the training examples and other examples."""
        return self._between(self.inputs[: self.train], others)

    def _between(self, x1: Array, x2: Array | None) -> Array:
        if self.network.size < math.inf:
            return block_kernel(self.network.encoder, "ntk")(x1, x2)
        encoder, decoder = self.rate_factors
        whole = encoder * block_kernel(self.network, "ntk")(x1, x2)
        if encoder == decoder:
            return whole
        return whole + (decoder - encoder) * self._of_decoder(x1, x2)

    def _of_decoder(self, x1: Array, x2: Array | None) -> Array:
        """Compute the part of the NTK from the decoder's weights: that of the decoder on Gaussian
        inputs with the NNGP of the encoder as their covariance.
        """
        nngp = block_kernel(self.network.encoder, "nngp")
        q1, q2 = self._variances(x1), self._variances(x1 if x2 is None else x2)
        moments = from_covariance(q1[:, None], q2[None], nngp(x1, x2))
        return through_layers(root_of(self.network.decoder), moments).ntk

    def _variances(self, x: Array) -> Float[Array, " n"]:
        nngp = block_kernel(self.network.encoder, "nngp")
        return jnp.concatenate([nngp(each[None]).reshape(1) for each in x])
