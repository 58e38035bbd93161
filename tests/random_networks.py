"""Random small documents of networks of layers, one a seed, with stages that take them.

python tests/random_networks.py 17 2        # prints the second document of seed 17
"""

import json
import random
import sys
from typing import Any

from ceflow.spec import Network, SpecError
from ceflow.spec.models.layers import Shape, through

Tree = dict[str, Any]

ACTIVATIONS = ("relu", "relu", "erf", "tanh", "gelu", "abs", "softplus")
WIDTHS = (1, 2, 3, 4, 6)


def network_of(seed: int, attempt: int = 0) -> Tree:
    """A document of a network, sound or not; the same for the same numbers."""
    r = random.Random(f"network {seed} {attempt}")
    image = r.random() < 0.7
    inputs = (r.choice([1, 2, 3]), r.choice([1, 2, 3, 4]), r.choice([2, 3])) if image else 3
    infinite = r.random() < 0.4
    layers, _ = _layers(r, inputs, 2, r.randint(1, 4), infinite)
    model: Tree = {"type": "network", "layers": [*layers, *_end(r, layers, inputs)]}
    if image or r.random() < 0.3:
        model["inputs"] = list(inputs) if isinstance(inputs, tuple) else inputs
    if r.random() < 0.3:
        model["bias_variance"] = r.choice([0.1, 1.0])
    if r.random() < 0.2:
        model["weight_variance"] = r.choice([0.5, 1.0, 3.0])
    if r.random() < 0.15 and not infinite:
        model["parameterisation"] = "standard"
    units = inputs if isinstance(inputs, int) else inputs[0] * inputs[1] * inputs[2]
    data = {"source": "gaussian", "inputs": units, "outputs": r.choice([1, 1, 2])}
    data |= {"train": r.choice([2, 3, 5]), "test": r.choice([0, 1, 2])}
    tree: Tree = {"seed": r.randint(0, 9), "precision": r.choice(["float32", "float64"])}
    return tree | {"data": data, "model": model, "stages": _stages(r, infinite)}


def _layers(
    r: random.Random, shape: Shape, depth: int, count: int, infinite: bool
) -> tuple[list[Any], Shape]:
    """Layers that fit a shape, one after another, and the shape after them."""
    found: list[Any] = []
    for _ in range(count):
        for _ in range(20):
            layer = _layer(r, shape, depth, infinite)
            if (after := _after(layer, shape)) is not None:
                found, shape = [*found, layer], after
                break
    return found or ["linear"], shape


def _after(layer: Any, shape: Shape) -> Shape | None:
    """The shape after a layer; None if it does not fit."""
    try:
        return through(Network(layers=[layer]).layers, shape)
    except SpecError:
        return None


def _layer(r: random.Random, shape: Shape, depth: int, infinite: bool) -> Any:
    width = "inf" if infinite else r.choice(WIDTHS)
    of_images = ["convolution", "convolution", "average-pool", "max-pool", "attention", "depthwise"]
    of_images += ["position-embedding", *(["token-mixing"] * bool(depth))]
    kinds = [*(of_images if isinstance(shape, tuple) else ["dense", "dense"])]
    kinds += ["activation", "activation", "norm", "global-average", "flatten", "dropout"]
    kinds += ["scale", *(["residual", "ensemble", "sequence"] * bool(depth))]
    kind = r.choice(kinds)
    if kind == "activation":
        return r.choice(ACTIVATIONS)
    if kind in ("global-average", "flatten", "dropout"):
        return kind
    if kind == "norm":
        return r.choice(
            [
                "batch-norm",
                "layer-norm",
                {"type": "layer-norm", "axes": "channels", "affine": r.random() < 0.5},
            ]
        )
    found: Tree = {"type": kind}
    match kind:
        case "dense":
            found["units"] = width
        case "convolution":
            found |= {"channels": width, "kernel": r.choice([1, 2, 3])}
            found |= {"stride": r.choice([1, 1, 2]), "groups": r.choice([1, 1, 1, 2])}
            found["padding"] = r.choice(["same", "same", "valid", "circular", 1])
        case "depthwise":
            found |= {"type": "convolution", "groups": "depthwise"}
            found["kernel"] = r.choice([1, 2, 3])
        case "average-pool" | "max-pool":
            found |= {"window": r.choice([1, 2, 3])} | r.choice([{}, {"stride": 1}])
        case "attention":
            found |= {"heads": r.choice([1, 2]), "head_width": r.choice([1, 3])}
        case "scale":
            found["initial"] = r.choice([0.1, 1.0, 3.0])
        case "position-embedding":
            found["variance"] = r.choice([0.1, 1.0])
        case "token-mixing":
            found["layers"] = [r.choice(ACTIVATIONS)]
            if isinstance(shape, tuple):
                positions = shape[1] * shape[2]
                found["layers"] += [{"type": "convolution", "channels": positions, "kernel": 1}]
        case "sequence":
            found["layers"], _ = _layers(r, shape, depth - 1, r.randint(1, 2), infinite)
        case "residual":
            found["body"], after = _layers(r, shape, depth - 1, r.randint(1, 3), infinite)
            if after != shape or r.random() < 0.3:
                found["shortcut"], _ = _layers(r, shape, 0, r.randint(1, 2), infinite)
        case "ensemble":
            found["multiplicity"] = r.choice([1, 2, 3])
            found["layers"], _ = _layers(r, shape, depth - 1, r.randint(1, 3), infinite)
    if r.random() < 0.15:
        found["repeat"] = 2
    return found


def _end(r: random.Random, layers: list[Any], inputs: Shape) -> list[Any]:
    """Layers that make a vector of as many outputs as there are targets; now and then none."""
    if r.random() < 0.05:
        return []
    image = isinstance(through(Network(layers=layers).layers, inputs), tuple)
    if image and r.random() < 0.3:
        return [{"type": "convolution", "kernel": 1}, "global-average"]
    return [*([r.choice(["global-average", "flatten"])] if image else []), "dense"]


def _stages(r: random.Random, infinite: bool) -> Tree:
    kernels = [{"type": "kernel", "method": "empirical", "kind": "ntk"}]
    mean = {"type": "kernel", "method": "mean", "draws": 3}
    kernels += [mean | {"kind": kind} for kind in ("ntk", "nngp")]
    kernels += [{"type": "kernel", "method": "empirical", "kind": "nngp", "outputs": "mean"}]
    flows = [{"type": "flow", "engine": e} for e in ("parameters", "linearised", "closed-form")]
    limits = [{"type": "kernel", "method": "analytic", "kind": k} for k in ("ntk", "nngp")]
    if infinite:
        kernels, flows = limits, [{"type": "flow", "engine": e} for e in ("kernel", "closed-form")]
    stages: Tree = {"k": r.choice([*kernels, *limits]), "f": r.choice(flows)}
    if r.random() < 0.5:
        stages["k"] |= {"spectrum": True, "alignment": r.random() < 0.5}
    if r.random() < 0.3:
        stages["k"] |= {"ridge": 0.1}
    stages["f"] |= {"time": r.choice([0.1, 1.0]), "points": 3}
    if stages["f"]["engine"] != "closed-form":
        stages["f"]["steps"] = 300  # so that one that needs many ends soon, in a sentence
    if stages["f"]["engine"] == "kernel":
        stages["f"]["kernel"] = "k"
    return stages


if __name__ == "__main__":
    print(json.dumps(network_of(*map(int, sys.argv[1:])), indent=2))
