"""neural-tangents' empirical NTK of three 3x3 convolutions, pooled, and a dense layer; the
environment of neural_tangents_empirical.py. Arguments: channels, size, implementation, N."""

import sys
import time

import jax
import neural_tangents as nt
from neural_tangents import stax

channels, size, implementation, n = map(int, sys.argv[1:])
key = jax.random.PRNGKey(0)
layers = [
    layer for _ in range(3) for layer in (stax.Conv(channels, (3, 3), padding="SAME"), stax.Relu())
]
init, apply, _ = stax.serial(*layers, stax.GlobalAvgPool(), stax.Dense(10))
_, parameters = init(key, (1, size, size, 3))
x = jax.random.normal(key, (n, size, size, 3))
compute = nt.empirical_ntk_fn(apply, trace_axes=(), vmap_axes=0, implementation=implementation)
kernel = jax.jit(compute)
jax.block_until_ready(kernel(x, None, parameters))
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    jax.block_until_ready(kernel(x, None, parameters))
    print(time.perf_counter() - start, flush=True)
