"""Infinite-width kernels beside neural-tangents, in turns, and where the time goes.

Set CEFLOW_PEER_NEURAL_TANGENTS to the python of an environment with neural-tangents in it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from benchmarks.peer import Peer
from benchmarks.timing import in_turns, median, seconds
from ceflow.kernels import analytic, block_kernel
from ceflow.kernels.infinite.angles import angles, rows
from ceflow.kernels.infinite.pairwise import pairwise
from ceflow.spec import Mlp

DEPTH, INPUTS, N = 4, 784, 4000


def main() -> None:
    """Print seconds and the ratio, and the seconds of the parts."""
    model = Mlp(widths=(512,) * DEPTH)
    x = jax.random.normal(jax.random.key(0), (N, INPUTS))
    ntk = block_kernel(model, "ntk")
    label = f"  analytic NTK, {DEPTH} ReLU layers, {INPUTS} inputs, N = {N}"
    arguments = map(str, (DEPTH, INPUTS, N))
    peer = Peer.find("CEFLOW_PEER_NEURAL_TANGENTS", "neural_tangents_analytic.py", *arguments)
    if peer is None:
        print(f"{label}: {taken(ntk, x):.3f} s")
    else:
        ours = lambda: seconds(lambda: jax.block_until_ready(ntk(x)))  # noqa: E731
        mine, theirs, ratio = in_turns(ours, peer)
        print(f"{label}: {mine:.3f} s, neural-tangents {theirs:.3f} s, ratio {ratio:.2f}")
        peer.close()
    for name, part in PARTS.items():
        print(f"  of that {name}: {taken(jax.jit(part), x):.3f} s")
    print(f"  both kernels: {taken(lambda x: analytic(model, x)[:2], x):.3f} s")
    for name in ("erf", "gelu", "tanh"):
        kernel = block_kernel(Mlp(widths=(512,) * DEPTH, activation=name), "ntk")
        print(f"  {name}: {taken(kernel, x):.3f} s")


def taken(work: Callable[[Array], object], x: Array) -> float:
    """The median seconds of a call."""
    return median(lambda: jax.block_until_ready(work(x)), 5)


PARTS = {
    "the mirrored halves, nothing in them": lambda x: pairwise(
        lambda one, two, _: (one.square[:, None] + two.square,), rows, x, None, 512
    ),
    "one Gram product": lambda x: pairwise(
        lambda one, two, _: (jnp.matmul(one.head, two.head.T),), rows, x, None, 512
    ),
    "the angles": lambda x: pairwise(
        lambda one, two, same: (angles(one, two, same),), rows, x, None, 512
    ),
}
"""Parts of the work, each with the loop and the mirror around it."""
