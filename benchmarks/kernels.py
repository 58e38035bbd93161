"""The empirical NTK of an MLP beside neural-tangents' structured method, in turns.

Set CEFLOW_PEER_NEURAL_TANGENTS to the python of an environment with neural-tangents in it.
"""

import jax

from benchmarks.peer import Peer
from benchmarks.timing import in_turns, median, seconds
from ceflow.compiler import compile
from ceflow.kernels import empirical_ntk
from ceflow.spec import Document, Mlp

SETTINGS = ((512, 4, 10, 64), (256, 3, 1, 64))


def main() -> None:
    """Print seconds and ratios, one line a setting."""
    for width, depth, outputs, n in SETTINGS:
        model = Mlp(widths=(width,) * depth, inputs=784, outputs=outputs)
        module = compile(Document(model=model)).module(jax.random.key(0))
        x = jax.random.normal(jax.random.key(1), (n, 784))

        def ours(module=module, x=x) -> float:
            return seconds(lambda: jax.block_until_ready(empirical_ntk(module, x)))

        label = f"  empirical NTK, MLP {depth}x{width}, {outputs} outputs, N = {n}"
        settings = map(str, (width, depth, outputs, n))
        peer = Peer.find("CEFLOW_PEER_NEURAL_TANGENTS", "neural_tangents_empirical.py", *settings)
        if peer is None:
            print(f"{label}: {median(ours):.4f} s")
            continue
        mine, theirs, ratio = in_turns(ours, peer)
        print(f"{label}: {mine:.4f} s, neural-tangents {theirs:.4f} s, ratio {ratio:.2f}")
        peer.close()
