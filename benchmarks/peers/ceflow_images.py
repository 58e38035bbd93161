"""ceflow's analytic NTK of the networks of neural_tangents_images.py, in the project's environment.
Arguments: network, size, N. The first line is the seconds of the first call."""

import sys
import time

import jax

from ceflow.compiler import nodes
from ceflow.kernels import block_kernel

INF = float("inf")
NETWORKS = {
    "flat": ("conv", "conv", "conv", "flatten"),
    "pooled": ("conv", "pool", "conv", "average"),
    "myrtle": ("conv", "conv", "pool", "conv", "pool", "conv", "pool", "pool", "pool", "flatten"),
}


def layers(name: str, shape: nodes.Shape) -> list[nodes.Node]:
    """The nodes of one name above."""
    match name:
        case "conv":
            convolution = nodes.Convolution(shape, INF, 3, 1, 1, 2.0, 0.0)
            return [convolution, nodes.Activation("relu", convolution.outputs)]
        case "pool":
            return [nodes.AveragePool(shape, 2)]
        case "average":
            return [nodes.AveragePool(shape)]
        case _:
            return [nodes.Flatten(shape)]


def network(name: str, size: int) -> nodes.Node:
    """The network of a name, with a dense layer at its end."""
    chain: list[nodes.Node] = []
    for layer in NETWORKS[name]:
        chain += layers(layer, chain[-1].outputs if chain else (3, size, size))
    return nodes.Chain((*chain, nodes.Dense(chain[-1].outputs, 1, 1.0, 0.0)))


def timed() -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(kernel(x))
    return time.perf_counter() - start


if __name__ == "__main__":
    size, n = map(int, sys.argv[2:])
    kernel = block_kernel(network(sys.argv[1], size), "ntk")
    x = jax.random.normal(jax.random.key(0), (n, 3, size, size))  # starts JAX, as the peer's does
    print(timed(), flush=True)
    for _ in sys.stdin:
        print(timed(), flush=True)
