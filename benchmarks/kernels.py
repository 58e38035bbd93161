"""The empirical NTK beside neural-tangents', in turns: MLPs, convolutions, an ensemble.

Set CEFLOW_PEER_NEURAL_TANGENTS to the python of an environment with neural-tangents in it.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from benchmarks.peer import Peer
from benchmarks.timing import in_turns, median, seconds
from ceflow.compiler import compile
from ceflow.kernels import empirical_ntk
from ceflow.spec import Document, Ensemble, Mlp

MLPS = ((512, 4, 10, 64), (512, 4, 10, 512), (256, 3, 1, 64))
CHANNELS, SIZE, BEST_OF_PEER = 64, 32, 1
"""The peer's Jacobian contraction, which is faster than its structured method on convolutions."""


def main() -> None:
    """Print seconds, ratios and memory, one line a setting."""
    for width, depth, outputs, n in MLPS:
        model = Mlp(widths=(width,) * depth, inputs=784, outputs=outputs)
        module = compile(Document(model=model)).module(jax.random.key(0))
        label = f"MLP {depth}x{width}, {outputs} outputs, N = {n}"
        report(label, module, (n, 784), "neural_tangents_empirical.py", width, depth, outputs, n)
    label = f"convolutions 3x3 of {CHANNELS} channels, {SIZE}x{SIZE}, N = 64"
    settings = (CHANNELS, SIZE, BEST_OF_PEER, 64)
    shape = (64, 3, SIZE, SIZE)
    report(label, convolutions(), shape, "neural_tangents_convolution.py", *settings)
    member = Mlp(widths=(19,) * 4, inputs=784, outputs=1)
    ensemble = compile(Document(model=Ensemble(multiplicity=364, member=member)))
    report("364 members of width 19, N = 128", ensemble.module(jax.random.key(0)), (128, 784))


def convolutions() -> eqx.Module:
    """Three layers with ReLU, the mean over positions, and a dense layer."""
    *keys, last = jax.random.split(jax.random.key(0), 4)
    layers: list[Callable[..., Any]] = []
    for key, channels in zip(keys, (3, CHANNELS, CHANNELS), strict=True):
        layers += [
            eqx.nn.Conv2d(channels, CHANNELS, 3, padding=1, use_bias=False, key=key),
            eqx.nn.Lambda(jax.nn.relu),
        ]
    pool = eqx.nn.Lambda(lambda x: x.mean(axis=(1, 2)))
    return eqx.nn.Sequential([*layers, pool, eqx.nn.Linear(CHANNELS, 10, use_bias=False, key=last)])


def report(
    label: str, module: Any, shape: tuple[int, ...], script: str = "", *settings: int
) -> None:
    """Time and memory of the kernel of normal inputs, and the peer's time if it has a script."""
    x = jax.random.normal(jax.random.key(1), shape)

    def ours() -> float:
        return seconds(lambda: jax.block_until_ready(empirical_ntk(module, x)))

    label = f"  empirical NTK, {label}: {memory(module, x)}"
    peer = script and Peer.find("CEFLOW_PEER_NEURAL_TANGENTS", script, *map(str, settings))
    if not peer:
        print(f"{label}, {median(ours, 5):.4f} s")
        return
    mine, theirs, ratio = in_turns(ours, peer, 7)
    print(f"{label}, {mine:.4f} s, neural-tangents {theirs:.4f} s, ratio {ratio:.2f}")
    peer.close()


def memory(module: Any, x: jax.Array) -> str:
    """What the compiled program keeps beside its result, by XLA's account."""
    compute: Any = eqx.filter_jit(empirical_ntk)
    sizes = compute.lower(module, x).compile().compiled.memory_analysis()
    result, temporaries = sizes.output_size_in_bytes, sizes.temp_size_in_bytes
    return f"result {result / 1e6:.1f} MB, temporaries {temporaries / 1e6:.1f} MB"
