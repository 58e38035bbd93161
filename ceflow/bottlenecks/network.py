"""Building the encoder and decoder of infinitely wide networks with a bottleneck."""

import math
from typing import TypeVar

from ceflow.spec import Mlp, SpecError
from ceflow.spec.models.segmented import Segmented

NarrowT = TypeVar("NarrowT", bound=Segmented)


def limit_of(network: NarrowT) -> NarrowT:
    """Return a network with its encoder and decoders made infinitely wide.

    Raises `SpecError` if the kernels of the result are unknown, as for a decoder of convolutions.
    """
    limit = network.limit
    if faults := limit.faults():
        raise SpecError(*faults)
    return limit


def relu(depth: int = 1, **changes: object) -> Mlp:
    """Build the paper's encoder or decoder: `depth` infinite ReLU layers, all variances 1."""
    return mlp("relu", depth, **changes)


def mlp(activation: str, depth: int = 1, **changes: object) -> Mlp:
    """Build an infinitely wide encoder or decoder with any activation, all variances 1."""
    whole = {"widths": (math.inf,) * depth, "activation": activation, "weight_variance": 1.0}
    return Mlp.model_validate(whole | changes)
