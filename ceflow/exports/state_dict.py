"""Export of weights by the names of PyTorch, for timm's and torchvision's ResNets.

Loads JAX.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ceflow.compiler import Plan
from ceflow.exports.counterparts import counterpart, named
from ceflow.exports.weights import parts
from ceflow.nets import BatchNorm
from ceflow.nets.weighted import Weighted


def safetensors_bytes(arrays: dict[str, np.ndarray], about: dict[str, str]) -> bytes:
    """Write arrays in the format of safetensors, with a table of strings about them.

    Raises `ImportError` without safetensors.
    """
    from safetensors.numpy import save  # pyright: ignore[reportMissingImports]

    return save(arrays, about)


def state_dict(plan: Plan, module: Any) -> dict[str, np.ndarray]:
    """Return the weights of a plan's module by the names of timm.

    Factors of NTK parameterisation are multiplied in, so that timm's network computes the same.
    Raises `SpecError` for a network that timm's ResNet cannot build.
    """
    names = [name for name, _ in named(counterpart(plan, "safetensors")) if name]
    layers = parts(module, Weighted, BatchNorm)
    arrays: dict[str, np.ndarray] = {}
    for name, layer in zip(names, layers, strict=True):
        for key, array in _arrays(layer, module):
            arrays[f"{name}.{key}"] = np.asarray(array, order="C")
    return arrays


def _arrays(layer: Any, module: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(layer, BatchNorm):
        mean, variance = module.state.get(layer.statistics)
        yield "weight", np.asarray(layer.weight)
        yield "bias", np.asarray(layer.bias)
        yield "running_mean", np.asarray(mean)
        yield "running_var", np.asarray(variance)
        yield "num_batches_tracked", np.zeros((), np.int64)  # which only torch's own mean uses
        return
    weight, bias = layer.factors()
    yield "weight", weight * np.asarray(layer.weight)
    if layer.bias is not None:
        yield "bias", bias * np.asarray(layer.bias)
    elif layer.weight.ndim == 2:  # timm's last layer has biases
        yield "bias", np.zeros(len(layer.weight), layer.weight.dtype)
