"""Infinitely wide networks with a bottleneck: the halves that they are made of."""

import math

from ceflow.spec import Bottleneck, Mlp, SpecError


def limit_of(network: Bottleneck) -> Bottleneck:
    """The same network, whatever finite widths its halves have, as one of infinite width.

    Raises `SpecError` where its kernels are not known: a decoder of several hidden layers, or with
    a bias.
    """
    halves = {
        half: getattr(network, half).model_copy(
            update={"widths": (math.inf,) * len(getattr(network, half).widths)}
        )
        for half in ("encoder", "decoder")
    }
    limit = network.model_copy(update=halves)
    if faults := limit.faults():
        raise SpecError(*faults)
    return limit


def relu(depth: int = 1, **changes: object) -> Mlp:
    """The half of a network that the paper takes: `depth` infinite ReLU layers, variances 1."""
    return mlp("relu", depth, **changes)


def mlp(activation: str, depth: int = 1, **changes: object) -> Mlp:
    """An infinitely wide half, of any activation, with all variances 1."""
    whole = {"widths": (math.inf,) * depth, "activation": activation, "weight_variance": 1.0}
    return Mlp.model_validate(whole | changes)
