"""The module of every layer of the language, against loops in NumPy."""

from itertools import product
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.nets import ACTIVATIONS
from ceflow.spec import Network

Image = np.ndarray


def network(layer: Any, shape: Any, **keys: Any) -> Any:
    """The module of one layer, with all its arrays drawn anew, so that none is 0 or 1."""
    root = expand(Network(layers=[layer], inputs=shape, **keys))
    module = lower(root, jax.random.key(1))
    arrays, static = eqx.partition(module, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(arrays)
    keys_of = jax.random.split(jax.random.key(2), max(1, len(leaves)))
    drawn = [jax.random.normal(k, a.shape) for k, a in zip(keys_of, leaves, strict=False)]
    return eqx.combine(jax.tree.unflatten(structure, drawn), static)


def examples(shape: tuple[int, ...] | int, dtype: Any, count: int = 3) -> np.ndarray:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    return np.random.default_rng(3).standard_normal((count, *sizes)).astype(dtype)


def agree(module: Any, x: np.ndarray, expected: list[Any], roundings: float = 200) -> None:
    """Compare outputs of a batch; numbers of order 10, some hundred roundings in sums."""
    found = jax.vmap(module)(jnp.asarray(x))
    assert found.dtype == x.dtype
    atol = roundings * float(np.finfo(x.dtype).eps)
    np.testing.assert_allclose(found, np.stack(expected), rtol=atol, atol=atol)


def windows(x: Image, window: int, stride: int) -> tuple[tuple[int, int], Any]:
    """Height and width, and the windows with their places."""
    height, width = ((side - window) // stride + 1 for side in x.shape[1:])
    found = [
        ((i, j), x[:, i * stride : i * stride + window, j * stride : j * stride + window])
        for i, j in product(range(height), range(width))
    ]
    return (height, width), found


def around(x: Image, padding: Any, window: int, value: float = 0.0) -> Image:
    """Add what a padding says, spelled out."""
    before, after = {
        "valid": (0, 0),
        "same": ((window - 1) // 2, window - 1 - (window - 1) // 2),
        "circular": ((window - 1) // 2, window - 1 - (window - 1) // 2),
    }.get(padding, (padding, padding))
    if padding != "circular":
        wide = ((0, 0), (before, after), (before, after))
        return np.pad(x, wide, constant_values=value)
    rows = np.arange(-before, x.shape[1] + after) % x.shape[1]
    columns = np.arange(-before, x.shape[2] + after) % x.shape[2]
    return x[:, rows][:, :, columns]


def convolved(x: Image, module: Any, kernel: int, stride: int, padding: Any, groups: int) -> Image:
    """`sqrt(2/fan_in) W * x + sqrt(0.3) b`, one output at a time."""
    weight, bias = np.asarray(module.weight), np.asarray(module.bias)
    inside, outside = len(x) // groups, len(weight) // groups
    sides, cut = windows(around(x, padding, kernel), kernel, stride)
    y = np.zeros((len(weight), *sides))
    for (i, j), window in cut:
        for channel in range(len(weight)):
            group = channel // outside
            seen = window[group * inside : (group + 1) * inside]
            y[channel, i, j] = (weight[channel] * seen).sum()
    return np.sqrt(2 / (inside * kernel**2)) * y + np.sqrt(0.3) * bias[:, None, None]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"),
    [
        *((3, 1, "same", 1), (2, 1, "same", 1), (4, 3, "same", 2), (3, 2, "valid", 1)),
        *((4, 2, "valid", "depthwise"), (3, 1, "circular", "depthwise"), (4, 1, "circular", 1)),
        *((5, 3, "circular", 2), (2, 2, 1, 4), (3, 1, 4, 2), (1, 2, 0, 1)),
    ],
)
@pytest.mark.parametrize("bits", [32, 64])
def test_a_convolution_is_a_loop(kernel: int, stride: int, padding: Any, groups: Any, bits: int):
    layer = {"type": "convolution", "channels": 8, "kernel": kernel, "stride": stride}
    shape = (4, 6, 5)
    with jax.enable_x64(bits == 64):
        layer |= {"padding": padding, "groups": groups, "bias_variance": 0.3}
        module = network(layer, shape)
        x = examples(shape, f"float{bits}")
        count = 4 if groups == "depthwise" else groups
        agree(module, x, [convolved(e, module, kernel, stride, padding, count) for e in x])


@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(2, None, 0), (3, 1, 0), (3, 2, 0), (1, 2, 0)]
)
@pytest.mark.parametrize("kind", ["average", "max"])
def test_pooling_is_a_loop(kind: str, window: int, stride: int | None, padding: Any):
    shape = (2, 7, 6)
    layer = {"type": f"{kind}-pool", "window": window} | ({"stride": stride} if stride else {})
    reduce = np.mean if kind == "average" else np.max
    x = examples(shape, np.float32)
    agree(network(layer, shape), x, [pooled(e, reduce, window, stride or window) for e in x])


def pooled(x: Image, reduce: Any, window: int, stride: int) -> Image:
    sides, cut = windows(x, window, stride)
    values = [reduce(part, axis=(1, 2)) for _, part in cut]
    return np.stack(values, axis=1).reshape(len(x), *sides)


@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(3, 2, 1), (2, 1, "same"), (3, 3, "same")]
)
def test_padding_is_never_the_maximum(window: int, stride: int, padding: Any):
    shape = (2, 7, 6)
    layer = {"type": "max-pool", "window": window, "stride": stride, "padding": padding}
    x = examples(shape, np.float32) - 10  # all below the zeros of other paddings
    padded = [around(e, padding, window, -np.inf) for e in x]
    agree(network(layer, shape), x, [pooled(e, np.max, window, stride) for e in padded])


@pytest.mark.parametrize("shape", [(3, 4, 2), 6])
@pytest.mark.parametrize("axes", ["all", "channels"])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm_is_its_formula(shape: Any, axes: str, affine: bool, x64: None):
    layer = {"type": "layer-norm", "axes": axes, "affine": affine, "epsilon": 0.1}
    module, x = network(layer, shape), examples(shape, float)
    over = None if axes == "all" or x.ndim == 2 else 0

    def normed(e: np.ndarray) -> np.ndarray:
        mean, variance = e.mean(axis=over, keepdims=True), e.var(axis=over, keepdims=True)
        y = (e - mean) / np.sqrt(variance + 0.1)
        if not affine:
            return y
        weight, bias = (np.asarray(a).reshape(-1, *[1] * (e.ndim - 1)) for a in
                        (module.weight, module.bias))  # fmt: skip
        return weight * y + bias

    assert (module.weight is None) is not affine
    agree(module, x, [normed(e) for e in x])


@pytest.mark.parametrize(("heads", "head_width"), [(1, None), (2, None), (3, 5)])
@pytest.mark.parametrize("parameterisation", ["ntk", "standard"])
def test_attention_is_a_loop_over_heads_and_positions(
    heads: int, head_width: int | None, parameterisation: str, x64: None
):
    layer = {"type": "attention", "heads": heads, "head_width": head_width, "bias_variance": 0.3}
    shape = (4, 2, 3)
    module, x = network(layer, shape, parameterisation=parameterisation), examples(shape, float)
    width = head_width or 4 // heads

    def linear(part: Any, tokens: np.ndarray) -> np.ndarray:
        """Tokens are rows."""
        weight = np.asarray(part.weight)[:, :, 0, 0]
        scale = (1.0, 1.0)
        if parameterisation == "ntk":
            scale = np.sqrt(2 / weight.shape[1]), np.sqrt(0.3)
        return scale[0] * tokens @ weight.T + scale[1] * np.asarray(part.bias)

    def attended(e: np.ndarray) -> np.ndarray:
        tokens = e.reshape(4, 6).T
        q, k, v = (linear(p, tokens) for p in (module.queries, module.keys, module.values))
        found = np.zeros((6, heads * width))
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            for token in range(6):
                scores = [q[token, part] @ k[other, part] / np.sqrt(width) for other in range(6)]
                weights = np.exp(scores) / np.exp(scores).sum()
                found[token, part] = sum(
                    w * row for w, row in zip(weights, v[:, part], strict=True)
                )
        return linear(module.output, found).T.reshape(shape)

    agree(module, x, [attended(e) for e in x])


def test_batch_norm_of_vectors_takes_its_initial_statistics(x64: None):
    x = examples(5, float)
    layers: Any = ["batch-norm"]
    lowered = lower(expand(Network(layers=layers, inputs=5)), jax.random.key(0))
    agree(lowered, x, [e / np.sqrt(1 + 1e-5) for e in x])


@pytest.mark.parametrize("shape", [(2, 3, 4), 5])
def test_an_ensemble_is_the_sum_of_its_members_over_the_root_of_their_number(shape: Any):
    part = "dense" if shape == 5 else "convolution"
    member = {"type": part, "units" if shape == 5 else "channels": 3}
    layer = {"type": "ensemble", "multiplicity": 4, "layers": [member, "erf"]}
    module, x = network(layer, shape), examples(shape, np.float32)
    weights = jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))[0]
    assert weights.shape[0] == 4
    alone = network(member, shape)
    members = [eqx.tree_at(lambda one: one.weight, alone, weight) for weight in weights]
    apart = [sum(jax.scipy.special.erf(one(e)) for one in members) / 2 for e in jnp.asarray(x)]
    agree(module, x, apart)


def test_layers_without_weights_are_their_formulas(x64: None):
    shape = (2, 3, 4)
    x = examples(shape, float)
    agree(network("global-average", shape), x, [e.mean(axis=(1, 2)) for e in x])
    agree(network("flatten", shape), x, [e.ravel() for e in x])
    agree(network("flatten", 4), x[0, 0], list(x[0, 0]))
    agree(network({"type": "dropout", "rate": 0.9}, shape), x, list(x))  # outside training
    for name, function in ACTIVATIONS.items():
        agree(network(name, shape), x, [np.asarray(function(e)) for e in jnp.asarray(x)])
    doubled = {"type": "residual", "body": ["linear"]}
    agree(network(doubled, shape), x, [2 * e for e in x])
    again = {**doubled, "repeat": 3, "shortcut": ["abs"]}
    agree(network(again, shape), x, [4 * (np.abs(e) + e) for e in x])


@pytest.mark.parametrize("kind", ["dense", "convolution", "attention"])
@pytest.mark.parametrize("parameterisation", ["ntk", "standard"])
def test_initial_weights_have_their_variance(kind: str, parameterisation: str):
    shape = 40 if kind == "dense" else (40, 1, 1)
    sizes = {
        "dense": {"units": 60},
        "convolution": {"channels": 60},
        "attention": {"head_width": 60},
    }
    layer = {"type": kind, **sizes[kind], "weight_variance": 3.0, "bias_variance": 0.2}
    keys: Any = {"layers": [layer], "parameterisation": parameterisation}
    module: Any = lower(expand(Network(inputs=shape, **keys)), jax.random.key(0))
    for part in [module] if kind != "attention" else [module.queries, module.output]:
        fan_in = np.prod(part.weight.shape[1:])
        for array, variance in ((part.weight, 3.0), (part.bias, 0.2)):
            scale = variance / fan_in if parameterisation == "standard" else 1.0
            # a mean of `size` squares: five standard errors, 1e-6 by chance
            allowed = 5 * np.sqrt(2 / array.size)
            assert abs(float((array**2).mean()) / scale - 1) < max(allowed, 1e-3)
