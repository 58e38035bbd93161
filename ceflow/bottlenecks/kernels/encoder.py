"""Theta, the NTK of the encoder, and the NTK of the whole where the bottleneck is infinite."""

import equinox as eqx
from jaxtyping import Array, Float

from ceflow.compiler import nodes
from ceflow.compiler.models import expand
from ceflow.kernels.infinite.moments import Moments, from_angle
from ceflow.kernels.infinite.recursion import through_layers
from ceflow.nets import floats
from ceflow.spec import Bottleneck, Mlp

Pairs = Float[Array, "..."]


class EncoderKernel(eqx.Module):
    """`Theta` of pairs of inputs: the NTK of an infinitely wide MLP of any depth (BN eq. 45, of one
    layer of ReLU).

    From `|x|^2/d_0` of both and the angle between them, arrays that broadcast.
    """

    encoder: nodes.Node = eqx.field(static=True)

    def __init__(self, network: Bottleneck):
        self.encoder = _root(network.encoder)

    def __call__(self, q1: Pairs, q2: Pairs, angle: Pairs) -> Pairs:
        return through_layers(self.encoder, _moments(q1, q2, angle)).ntk


class ComposedKernel(EncoderKernel):
    """`a E[phi' phi'] Theta + b K`: the NTK of encoder and decoder, as the bottleneck's size too
    goes to infinity and its values become Gaussian.

    `a` and `b`, the `shares`, weigh the learning rates of encoder and decoder.
    """

    decoder: nodes.Node = eqx.field(static=True)
    shares: tuple[float, float] = eqx.field(static=True)

    def __init__(self, network: Bottleneck, shares: tuple[float, float] = (1.0, 1.0)):
        super().__init__(network)
        self.decoder, self.shares = _root(network.decoder), shares

    def __call__(self, q1: Pairs, q2: Pairs, angle: Pairs) -> Pairs:
        of_encoder, of_decoder = self.parts(_moments(q1, q2, angle))
        return self.shares[0] * of_encoder + self.shares[1] * of_decoder

    def parts(self, moments: Moments) -> tuple[Pairs, Pairs]:
        """Compute what the weights of the encoder contribute, and what those of the decoder do."""
        middle = through_layers(self.encoder, moments)
        decoder = through_layers(self.decoder, middle.moments).ntk
        both = nodes.Chain((self.encoder, self.decoder))
        return through_layers(both, moments).ntk - decoder, decoder


def _moments(*of_inputs: Pairs) -> Moments:
    return from_angle(*map(floats, of_inputs))


def _root(model: Mlp) -> nodes.Node:
    """Expand a half to its layers. At infinite width, sizes of input and output do not matter."""
    return expand(model.sized(inputs=1, outputs=1))
