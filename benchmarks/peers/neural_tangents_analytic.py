"""neural-tangents' analytic NTK of a ReLU MLP; jax==0.4.25 jaxlib==0.4.25 numpy<2 scipy<1.12
neural-tangents. Arguments: depth, inputs, N. See benchmarks/peer.py."""

import functools
import sys
import time

import jax
from neural_tangents import stax

depth, inputs, n = map(int, sys.argv[1:])
layers = [layer for _ in range(depth) for layer in (stax.Dense(512), stax.Relu())]
kernel = jax.jit(functools.partial(stax.serial(*layers, stax.Dense(1))[2], get="ntk"))
x = jax.random.normal(jax.random.PRNGKey(0), (n, inputs))
jax.block_until_ready(kernel(x, None))
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    jax.block_until_ready(kernel(x, None))
    print(time.perf_counter() - start, flush=True)
