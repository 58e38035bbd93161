"""Exact moments, the samplers that draw no weights, and drawing all weights beside them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import in_turns, median, seconds
from ceflow.spec import Block, Mlp
from ceflow.variance import draw_inputs, exact_moments, sample_ntk

WIDTH, CHUNK = 128, 8
"""Of the block: its width, and the networks that the peer draws at once: few are fastest."""


def main() -> None:
    """Print the time of the closed forms, and draws a second (NumPy draws on one core)."""
    mlp, block = Mlp(widths=(500,) * 5), Block(widths=(WIDTH, WIDTH))
    print(f"  exact moments, 5x500: {1e3 * median(lambda: exact_moments(mlp)):.3f} ms")
    print(f"  exact moments, block of {WIDTH}: {1e3 * median(lambda: exact_moments(block)):.3f} ms")
    draws, random = 200_000, np.random.default_rng(0)
    for width in (20, 500, 100_000):
        model = Mlp(widths=(width,) * 5)
        took = median(lambda model=model: sample_ntk(model, draws, random))
        print(f"  sampler, 5x{width}: {draws / took:,.0f} draws a second")
    for precision in ("float32", "float64"):
        with jax.enable_x64(precision == "float64"):
            beside_all_weights(block, precision)


def beside_all_weights(block: Block, precision: str) -> None:
    """The block's sampler, which is float64, and `vmap(grad)` over the weights, in turns."""
    random, draws = np.random.default_rng(0), 2000
    x = draw_inputs(block.inputs, "iid", random)[0]
    peer = all_weights(block, x)
    drawn = np.asarray(peer(jax.random.key(0)), float)  # compiles; and draws from the same law
    assert abs(drawn.mean() - exact_moments(block, x).mean) < 6 * drawn.std() / CHUNK**0.5
    ours, theirs, ratio = in_turns(
        lambda: seconds(lambda: sample_ntk(block, draws, random, x)) / draws,
        lambda: seconds(lambda: jax.block_until_ready(peer(jax.random.key(1)))) / CHUNK,
        9,
    )
    print(
        f"  block of {WIDTH}: sampler {1 / ours:,.0f} draws a second, vmap(grad) over all weights"
        f" in {precision} {1 / theirs:,.0f}, ratio {1 / ratio:.0f}"
    )


def all_weights(block: Block, x: np.ndarray) -> Callable[[jax.Array], jax.Array]:
    """Draws of K from keys: all weights of the block drawn, and the gradient by them squared."""
    (n, last), c, channels = block.widths, block.weight_variance, block.channels
    positions = jnp.asarray(x.reshape(channels, 9))

    def output(weights: tuple[jax.Array, ...]) -> jax.Array:
        first, second, third = weights
        h = jax.nn.relu((c / channels) ** 0.5 * first @ positions)
        h = jax.nn.relu((c / (9 * n)) ** 0.5 * second @ h.ravel())
        return (block.last_variance / last) ** 0.5 * third @ h

    def draw(key: jax.Array) -> jax.Array:
        shapes = (n, channels), (last, 9 * n), (last,)
        keys = jax.random.split(key, 3)
        weights = tuple(jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))
        return sum((g**2).sum() for g in jax.grad(output)(weights))  # type: ignore[return-value]

    return jax.jit(lambda key: jax.vmap(draw)(jax.random.split(key, CHUNK)))
