"""An infinitely wide network with a bottleneck: what it is."""

import math
from dataclasses import dataclass

from ceflow.spec import Mlp


@dataclass(frozen=True)
class Bottleneck:
    """`F = f o g` (BN section 2): an encoder `g` of any depth onto `size` units, linear at its end,
    and a decoder `f(x) = sqrt(b/n) v phi(sqrt(c/size) u x)` of one hidden layer (BN eq. 1).

    All hidden widths are infinite, whatever widths the two models say; their variances hold, and
    are 1 in the paper. `size` may be infinite.

    >>> from ceflow.bottlenecks import Bottleneck, relu
    >>> Bottleneck(relu(), relu(), 10).decoder_scale   # c/d
    0.1
    """

    encoder: Mlp
    decoder: Mlp
    size: float

    def __post_init__(self):
        if not (self.size == math.inf or (self.size >= 1 and self.size == int(self.size))):
            raise ValueError(f"a bottleneck has 1 unit or more, or inf, not {self.size}")
        if len(self.decoder.widths) != 1 or self.decoder.bias_variance:
            raise ValueError(
                "the decoder of a bottleneck has one hidden layer and no bias: its kernels are"
                f" known for no other; this one has {len(self.decoder.widths)} hidden layers"
                f" and a bias_variance of {self.decoder.bias_variance:g}"
            )

    @property
    def finite(self) -> bool:
        """Whether there is a bottleneck at all."""
        return self.size != math.inf

    @property
    def decoder_scale(self) -> float:
        """What stands before `x.x'` in the decoder's first covariance: c/size."""
        return self.decoder.weight_variance / self.size


def relu(depth: int = 1, **changes: object) -> Mlp:
    """The half of a network that the paper takes: `depth` infinite ReLU layers, variances 1."""
    return mlp("relu", depth, **changes)


def mlp(activation: str, depth: int = 1, **changes: object) -> Mlp:
    """An infinitely wide half, of any activation, with all variances 1."""
    whole = {"widths": (math.inf,) * depth, "activation": activation, "weight_variance": 1.0}
    return Mlp.model_validate(whole | changes)
