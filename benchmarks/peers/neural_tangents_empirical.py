"""neural-tangents' structured empirical NTK of an MLP; jax==0.4.25 jaxlib==0.4.25 numpy<2
scipy<1.12 neural-tangents. Arguments: width, depth, outputs, N. See benchmarks/peer.py."""

import sys
import time

import jax
import neural_tangents as nt
from neural_tangents import stax

width, depth, outputs, n = map(int, sys.argv[1:])
key = jax.random.PRNGKey(0)
layers = [layer for _ in range(depth) for layer in (stax.Dense(width), stax.Relu())]
init, apply, _ = stax.serial(*layers, stax.Dense(outputs))
_, parameters = init(key, (1, 784))
x = jax.random.normal(key, (n, 784))
kernel = jax.jit(nt.empirical_ntk_fn(apply, trace_axes=(), vmap_axes=0, implementation=3))
jax.block_until_ready(kernel(x, None, parameters))
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    jax.block_until_ready(kernel(x, None, parameters))
    print(time.perf_counter() - start, flush=True)
