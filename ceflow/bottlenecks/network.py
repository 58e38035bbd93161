"""Infinitely wide networks with a bottleneck: the halves that they are made of."""

import math

from ceflow.spec import Bottleneck, Mlp, SpecError


def limit_of(network: Bottleneck) -> Bottleneck:
    """Widen a network, whatever finite widths its halves have, to one of infinite width.

    Raises `SpecError` where its kernels are not known: a decoder of several hidden layers, or with
    a bias.
    """
    halves = {
        half: getattr(network, half).replaced(
            {"widths": (math.inf,) * len(getattr(network, half).widths)}
        )
        for half in ("encoder", "decoder")
    }
    limit = network.replaced(halves)
    if faults := limit.faults():
        raise SpecError(*faults)
    return limit


def relu(depth: int = 1, **changes: object) -> Mlp:
    """Build the half that the paper takes: `depth` infinite ReLU layers, all variances 1."""
    return mlp("relu", depth, **changes)


def mlp(activation: str, depth: int = 1, **changes: object) -> Mlp:
    """Build an infinitely wide half, of any activation, with all variances 1."""
    whole = {"widths": (math.inf,) * depth, "activation": activation, "weight_variance": 1.0}
    return Mlp.model_validate(whole | changes)
