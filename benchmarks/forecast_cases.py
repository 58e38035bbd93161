"""Small and medium documents whose forecasts are compared with what they take."""

from typing import Any

Tree = dict[str, Any]


def _flow(data: Tree, model: Tree, precision: str = "float64", **stage: Any) -> Tree:
    flow = {"type": "flow", "time": 1.0, **stage}
    return {"precision": precision, "data": data, "model": model, "stages": {"flow": flow}}


def _digits(train: int, test: int = 0) -> Tree:
    return {"source": "digits", "train": train, "test": test}


def _mnist(train: int, test: int = 0, **keys: Any) -> Tree:
    return {"source": "idx", "train": train, "test": test, **keys}


def _gaussian(train: int, inputs: int = 4) -> Tree:
    return {"source": "gaussian", "inputs": inputs, "train": train}


def _mlp(activation: str, *widths: float) -> Tree:
    return {"type": "mlp", "widths": list(widths), "activation": activation}


def _ensemble(members: int, activation: str, *widths: int) -> Tree:
    return {
        "type": "ensemble",
        "multiplicity": members,
        "member": {"widths": list(widths), "activation": activation},
    }


def _bottleneck(size: float, depth: int = 1, activation: str = "relu") -> Tree:
    part = {"activation": activation}
    return {
        "type": "bottleneck",
        "size": size,
        "encoder": part | {"widths": ["inf"] * depth},
        "decoder": part | {"widths": ["inf"]},
    }


DRIFT = {"record": ["drift"], "points": 1}
INF = float("inf")

FLOWS: dict[str, Tree] = {
    "tiny relu": _flow(_gaussian(10), _mlp("relu", 8)),
    "relu, 20": _flow(_digits(20), _mlp("relu", 64, 64)),
    "relu, 100": _flow(_digits(100), _mlp("relu", 64, 64)),
    "relu, 100, mean": _flow(_digits(100, 50), _mlp("relu", 64, 64), reduction="mean", time=10.0),
    "tanh, 100": _flow(_digits(100), _mlp("tanh", 64, 64)),
    "erf, 100": _flow(_digits(100), _mlp("erf", 64, 64)),
    "erf, deep": _flow(_mnist(20), _mlp("erf", 64, 64, 64, 64), "float32"),
    "relu, mnist": _flow(_mnist(100), _mlp("relu", 128, 128), "float32"),
    "tanh, mnist": _flow(_mnist(200), _mlp("tanh", 256, 256), "float32", time=0.3),
    "tanh, members": _flow(_digits(50), _ensemble(16, "tanh", 16, 16)),
    "erf, replicas": _flow(
        _gaussian(4), _ensemble(8, "erf", 16, 16), "float32", time=2.0, replicas=100, **DRIFT
    ),
    "relu, replicas": _flow(_gaussian(8), _mlp("relu", 32, 32), replicas=20, **DRIFT),
    "linearised relu": _flow(_digits(50), _mlp("relu", 64, 64), engine="linearised"),
    "linearised erf": _flow(_digits(100), _ensemble(4, "erf", 32, 32), engine="linearised"),
    "kernel, infinite": _flow(_digits(200, 100), _mlp("relu", INF, INF), engine="kernel"),
    "kernel, finite": _flow(_digits(50), _mlp("erf", 64, 64), engine="kernel"),
    "closed, infinite": _flow(_digits(200, 100), _mlp("relu", INF, INF)),
    "closed, large": _flow(_digits(1000, 500), _mlp("erf", INF, INF), time=INF),
    "closed, finite": _flow(_digits(50), _mlp("relu", 64, 64), engine="closed-form"),
    "features relu": _flow(_gaussian(10), _bottleneck(2), width=1000),
    "features tanh": _flow(_digits(50), _bottleneck(5, 1, "tanh"), width=2000),
    "features erf, deep": _flow(
        _mnist(50, scale=0.1), _bottleneck(5, 2, "erf"), "float32", width=2000
    ),
    "features relu, wide": _flow(_gaussian(50, 20), _bottleneck(5), "float32"),
}

TRAININGS: dict[str, Tree] = {}
for depth in (1, 2, 3, 4):
    for width in (2000, 5000):
        data, model = _gaussian(100, 20), _bottleneck(5, depth)
        few = {"width": width, "points": 2}
        TRAININGS[f"flow, depth {depth}, width {width}"] = _flow(
            data, model, "float32", time=0.1, solver="tsit5", **few
        )
        train = {"type": "train", "steps": 50, "batch": 20, **few}
        TRAININGS[f"train, depth {depth}, width {width}"] = {
            "precision": "float32", "data": data, "model": model, "stages": {"train": train}
        }  # fmt: skip


def _decoder(activation: str, depth: int, bias: float = 0.0) -> Tree:
    model = _bottleneck(10, 1, activation)
    model["decoder"] |= {"widths": ["inf"] * depth, "bias_variance": bias}
    return model


def _chain(count: int) -> Tree:
    return {
        "type": "chain",
        "sizes": [10] * (count - 1),
        "segments": [{"widths": ["inf"]} for _ in range(count)],
    }


def _narrow(model: Tree, **stage: Any) -> Tree:
    train = {"type": "train", "batch": 20, "width": 1000, "points": 2, **stage}
    train["learning_rate"] = {"relative": 0.03}
    data = _gaussian(100, 20)
    return {"precision": "float32", "data": data, "model": model, "stages": {"train": train}}


BOTTLENECKS: dict[str, Tree] = {}
for name, model in {
    "relu": _decoder("relu", 1),
    "relu, biases": _decoder("relu", 1, 0.1),
    "relu, 2 layers": _decoder("relu", 2),
    "erf": _decoder("erf", 1),
    "erf, 2 layers": _decoder("erf", 2),
    "erf, 3 layers": _decoder("erf", 3),
    "chain of 3": _chain(3),
}.items():
    BOTTLENECKS[f"history, {name}"] = _narrow(model, engine="history", steps=300)
    BOTTLENECKS[f"features, {name}"] = _narrow(model, steps=2000)
    BOTTLENECKS[f"flow, {name}"] = _flow(
        _gaussian(100, 20), model, "float32", width=1000, time=0.3, points=5
    )

RECIPE: Tree = {
    "type": "train", "epochs": 5, "batch": 50, "loss": "cross-entropy", "reduction": "mean",
    "optimizer": "adam", "learning_rate": 0.003, "points": 5,
}  # fmt: skip


def _descent(model: Tree, precision: str = "float32", **stage: Any) -> Tree:
    train = RECIPE | stage
    data = _digits(1500, 297)
    return {"precision": precision, "data": data, "model": model, "stages": {"train": train}}


DESCENTS: dict[str, Tree] = {
    "descent, mlp": _descent(_mlp("relu", 64, 64)),
    "descent, mlp, tanh": _descent(_mlp("tanh", 64, 64), "float64", record=["drift"]),
    "descent, ensemble": _descent(_ensemble(12, "relu", 48, 48, 48, 48, 48), epochs=20),
    "descent, 3 replicas": _descent(
        _ensemble(12, "relu", 48, 48, 48, 48, 48), epochs=20, replicas=3
    ),
    "descent, 30 replicas": _descent(
        _ensemble(12, "relu", 48, 48, 48, 48, 48), epochs=3, replicas=30
    ),
    "descent, resnext": _descent(
        {"type": "resnext", "blocks": [1, 1, 1], "cardinality": 4, "base_width": 4},
        epochs=1,
        points=1,
    ),
}


def _timed(model: Tree) -> Tree:
    search = {"type": "search", "alpha": 3.1, "cost": "latency"}
    return {"model": model, "stages": {"best": search}}


def _resnext(stem: str, *blocks: int) -> Tree:
    return {"type": "resnext", "stem": stem, "blocks": list(blocks), "base_width": 64}


SEARCHES: dict[str, Tree] = {
    "latency, mlp": _timed(_mlp("relu", 500, 500, 500) | {"inputs": 784, "outputs": 10}),
    "latency, block": _timed({"type": "block", "widths": [64, 64]}),
    "latency, cifar": _timed(_resnext("cifar", 1, 1, 1)),
    "latency, imagenet": _timed(_resnext("imagenet", 1, 1, 1, 1)),
    "latency, resnext-29": _timed(_resnext("cifar", 3, 3, 3)),
}


def _nngp(data: Tree, model: Tree, method: str = "empirical", **stage: Any) -> Tree:
    kernel = {"type": "kernel", "kind": "nngp", "method": method, **stage}
    return {"precision": "float32", "data": data, "model": model, "stages": {"k": kernel}}


def _of_images(name: str, size: int, train: int) -> Tree:
    """The NTK of a network of `benchmarks.peers.ceflow_images`."""
    convolution = [{"type": "convolution", "channels": INF}, "relu"]
    pool: list[Any] = [{"type": "average-pool", "window": 2}]
    layers = {
        "flat": [*convolution, *convolution, *convolution, "flatten"],
        "pooled": [*convolution, *pool, *convolution, "global-average"],
        "myrtle": [*2 * convolution, *2 * (pool + convolution), *3 * pool, "flatten"],
    }[name]
    model = {"type": "network", "inputs": [3, size, size], "layers": [*layers, "dense"]}
    tree = _nngp(_gaussian(train, 3 * size**2), model, "analytic")
    return {**tree, "stages": {"k": {"type": "kernel"}}}


SMALL_RESNEXT: Tree = {"type": "resnext", "blocks": [1, 1], "cardinality": 4, "base_width": 8}

KERNELS: dict[str, Tree] = {
    "nngp": _nngp(_mnist(2000), _mlp("relu", 256, 256)),
    "nngp, wide": _nngp(_digits(1000), _mlp("relu", 4096, 4096)),
    "nngp, full": _nngp(_digits(300), _mlp("relu", 64, 64), outputs="full"),
    "nngp, tiles": _nngp(_mnist(6000), _mlp("relu", 256, 256), tile=1024),
    "nngp, mean": _nngp(_digits(200), _mlp("relu", 64, 64), "mean", draws=1000),
    "nngp, error": _nngp(_digits(200), _mlp("erf", 128), "mean", error=0.02),
    "nngp, error, ensemble": _nngp(_digits(100), _ensemble(4, "relu", 16, 16), "mean", error=0.03),
    "nngp, conditional": _nngp(_digits(200), _mlp("relu", 2048, 2048), "mean", draws=100),
    "nngp, resnext": _nngp(_digits(200), SMALL_RESNEXT),
    "ntk of images": _of_images("flat", 16, 64),
    "ntk of images, pooled": _of_images("pooled", 16, 16),
    "ntk of images, pooled, small": _of_images("pooled", 8, 24),
    "ntk of images, myrtle": _of_images("myrtle", 32, 2),
    "ntk of images, myrtle, more": _of_images("myrtle", 32, 8),
    "nngp, resnext, mean": _nngp(_digits(50), SMALL_RESNEXT, "mean", draws=20),
}


def _external(name: str, data: Tree, model: Tree, **stages: Tree) -> Tree:
    model = {"type": "external", "name": name, **model}
    return {"precision": "float32", "data": data, "model": model, "stages": stages}


KERNEL: Tree = {"type": "kernel", "method": "empirical"}
MEAN: Tree = {"type": "kernel", "method": "mean", "draws": 20}
VARIANCE: Tree = {"type": "variance", "draws": 1000}
SMALL_IMAGES = _gaussian(40, 3 * 8 * 8) | {"outputs": 10}

EXTERNALS: dict[str, Tree] = {
    "module, mlp": _external("mlp", _mnist(200), {}, kernel=KERNEL),
    "module, mlp, mean": _external("mlp", _mnist(100), {}, kernel=MEAN),
    "module, mlp, variance": _external("wide", _digits(20), {"width": 32}, alpha=VARIANCE),
    "module, convolutions": _external(
        "convolutions", SMALL_IMAGES, {"inputs": [3, 8, 8]}, kernel=KERNEL
    ),
    "module, convolutions, mean": _external(
        "convolutions", SMALL_IMAGES, {"inputs": [3, 8, 8]}, kernel=MEAN
    ),
    "module, convolutions, variance": _external(
        "channels", SMALL_IMAGES, {"inputs": [3, 8, 8], "width": 8}, alpha=VARIANCE
    ),
}
"""Their names are bound to the functions of `benchmarks.external_modules`."""

CASES = {
    "flows": FLOWS,
    "trainings": TRAININGS,
    "bottlenecks": BOTTLENECKS,
    "descents": DESCENTS,
    "searches": SEARCHES,
    "kernels": KERNELS,
    "externals": EXTERNALS,
}
