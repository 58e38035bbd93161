"""Theta, the NTK of the encoder, and the NTK of a whole network with an infinite bottleneck."""

import equinox as eqx
from jaxtyping import Array, Float

from ceflow.compiler import nodes
from ceflow.compiler.models import expand
from ceflow.kernels.infinite.moments import Moments, from_angle
from ceflow.kernels.infinite.recursion import through_layers
from ceflow.nets import floats
from ceflow.spec import Bottleneck, Mlp, Network

Pairs = Float[Array, "..."]


class EncoderKernel(eqx.Module):
    """Theta, the NTK of an infinitely wide encoder of dense layers (BN eq. 45, for one ReLU layer).

    It is a function of `q1 = |x|^2/d_0`, `q2 = |x'|^2/d_0` and the angle between x and x', arrays
    that broadcast.
    """

    encoder: nodes.Node = eqx.field(static=True)

    def __init__(self, network: Bottleneck):
        self.encoder = root_of(network.encoder)

    def __call__(self, q1: Pairs, q2: Pairs, angle: Pairs) -> Pairs:
        return through_layers(self.encoder, _moments(q1, q2, angle)).ntk


class ComposedKernel(EncoderKernel):
    """The NTK of a whole network with an infinite bottleneck, `a c v E[phi' phi'] Theta + b K`.

    The values in the bottleneck are then Gaussian. c and v are the decoder's `weight_variance` and
    `last_variance`; a and b are the `rate_factors`, which multiply
    the learning rates of encoder and decoder.
    """

    decoder: nodes.Node = eqx.field(static=True)
    rate_factors: tuple[float, float] = eqx.field(static=True)

    def __init__(self, network: Bottleneck, rate_factors: tuple[float, float] = (1.0, 1.0)):
        super().__init__(network)
        self.decoder, self.rate_factors = root_of(network.decoder), rate_factors

    def __call__(self, q1: Pairs, q2: Pairs, angle: Pairs) -> Pairs:
        of_encoder, of_decoder = self.parts(_moments(q1, q2, angle))
        return self.rate_factors[0] * of_encoder + self.rate_factors[1] * of_decoder

    def parts(self, moments: Moments) -> tuple[Pairs, Pairs]:
        """Compute the NTK's contributions from the encoder's and from the decoder's weights."""
        middle = through_layers(self.encoder, moments)
        decoder = through_layers(self.decoder, middle.moments).ntk
        both = nodes.Chain((self.encoder, self.decoder))
        return through_layers(both, moments).ntk - decoder, decoder


def _moments(*of_inputs: Pairs) -> Moments:
    return from_angle(*map(floats, of_inputs))


def root_of(model: Mlp | Network) -> nodes.Node:
    """Expand an encoder or decoder to layers; at infinite width, input and output sizes are
    irrelevant.
    """
    return expand(model.sized(inputs=1, outputs=1))
