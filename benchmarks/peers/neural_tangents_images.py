"""neural-tangents' analytic NTK of convolutional networks; the environment of
neural_tangents_analytic.py. Arguments: network (a key of NETWORKS), size, N. The first line is the
seconds of the first call, which compiles."""

import functools
import sys
import time

import jax
from neural_tangents import stax

conv = [stax.Conv(64, (3, 3), padding="SAME"), stax.Relu()]
pool = [stax.AvgPool((2, 2), strides=(2, 2))]
NETWORKS = {
    "flat": [*conv, *conv, *conv, stax.Flatten()],
    "pooled": [*conv, *pool, *conv, stax.GlobalAvgPool()],
    "myrtle": [*conv, *conv, *pool, *conv, *pool, *conv, *pool, *pool, *pool, stax.Flatten()],
}


def timed() -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(kernel(x, None))
    return time.perf_counter() - start


size, n = map(int, sys.argv[2:])
kernel = jax.jit(
    functools.partial(stax.serial(*NETWORKS[sys.argv[1]], stax.Dense(1))[2], get="ntk")
)
x = jax.random.normal(jax.random.PRNGKey(0), (n, size, size, 3))
print(timed(), flush=True)
for _ in sys.stdin:
    print(timed(), flush=True)
