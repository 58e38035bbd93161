"""A finite network followed through gradient descent, and what the evolution equations say of it
(BN eq. 12 to 14, appendix E)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.bottlenecks import Rates, WideNetwork


class Halves(eqx.Module):
    """Encoder and decoder, each of one example."""

    encoder: Any
    decoder: Any

    @classmethod
    def from_network(cls, network: WideNetwork) -> "Halves":
        """Take the halves of a network of batches."""
        return cls(network.encoder, network.decoder)

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return self.decoder(self.encoder(x))


class Followed(NamedTuple):
    """The values before each step and after the last."""

    outputs: Float[Array, "steps n outputs"]
    points: Float[Array, "steps n d"]
    jacobians: Float[Array, "steps n outputs d"]
    """`J_t(g_t)`."""
    fixed: Float[Array, "steps n outputs d"]
    """`J_t(g_0)`: of points that do not move."""


class LimitKernels(NamedTuple):
    """The kernels that are said to drive, and the learning rates."""

    theta: Float[Array, "n n"]
    ntk: Callable[[Array, Array], Array]
    ntk_slope: Callable[[Array, Array], Array]
    rates: Rates


class Residuals(NamedTuple):
    """Relative to the right sides of the equations of f, g and J, by their names."""

    steps: dict[str, Float[np.ndarray, " steps"]]
    """`|(psi[t+1] - psi[t])/mu - rhs| / |rhs|` of each step (BN figure 12)."""
    sums: dict[str, Float[np.ndarray, " steps"]]
    """The same of all the steps up to each: of the equations integrated."""
    rounding: dict[str, float]
    """What rounding psi alone makes of a step's, in the median."""
    discrete: Float[np.ndarray, " steps"]
    """What a step that is not infinitely small makes of f's: second order, `|dJ dg| / |rhs|`."""
    turned: Float[np.ndarray, "n outputs d"]
    """What eq. 13 says that J changes by in all steps."""
    start: Float[np.ndarray, "n d"]
    """g_0, where J is looked at."""


@eqx.filter_jit
def follow(
    network: Halves,
    x: Float[Array, "n inputs"],
    y: Float[Array, "n outputs"],
    rates: Rates,
    steps: int,
) -> Followed:
    """Follow full-batch descent on `L = 1/2 |F - y|^2`, a sum."""
    weights, rest = eqx.partition(network, eqx.is_inexact_array)
    start = jax.vmap(network.encoder)(x)

    def loss(weights: Any) -> Array:
        return 0.5 * jnp.square(jax.vmap(eqx.combine(weights, rest))(x) - y).sum()

    def values_at(weights: Any) -> Followed:
        whole = eqx.combine(weights, rest)
        points = jax.vmap(whole.encoder)(x)
        slope = jax.vmap(jax.jacrev(whole.decoder))
        return Followed(jax.vmap(whole.decoder)(points), points, slope(points), slope(start))

    def step(weights: Any, _: None) -> tuple[Any, Followed]:
        slopes = jax.grad(loss)(weights)
        parts = ("encoder", "decoder")
        moved = [
            jax.tree.map(
                lambda w, s, rate=rate: w - rate * s, getattr(weights, part), getattr(slopes, part)
            )
            for part, rate in zip(parts, rates, strict=True)
        ]
        return Halves(*moved), values_at(weights)

    last, before = jax.lax.scan(step, weights, length=steps)
    return jax.tree.map(lambda all, end: jnp.concatenate([all, end[None]]), before, values_at(last))


@eqx.filter_jit
def right_sides(
    limit: LimitKernels, followed: Followed, y: Array
) -> tuple[Array, Array, Array, Array]:
    """Compute the right sides of BN eq. 14, 12 and 13 times the rates, and `dJ dg`, of each step.

    The latter is the second-order part of what f changes by, which a derivative leaves out."""
    fixed = followed.points[0]

    def one(now: Followed) -> tuple[Array, Array, Array, Array]:
        chi, g = now.outputs - y, now.points
        moved = -limit.rates.encoder * limit.theta @ jnp.einsum("nod,no->nd", now.jacobians, chi)
        carried = jnp.einsum("nod,nd->no", now.jacobians, moved)
        learned = -limit.rates.decoder * limit.ntk(g, g) @ chi
        turned, here = (
            -limit.rates.decoder * jnp.einsum("mo,nmd->nod", chi, limit.ntk_slope(x, g))
            for x in (fixed, g)
        )
        return learned + carried, moved, turned, jnp.einsum("nod,nd->no", here, moved)

    return jax.lax.map(one, jax.tree.map(lambda all: all[:-1], followed))


def residuals(limit: LimitKernels, followed: Followed, y: Array) -> Residuals:
    """Compute the residuals of each step, and of all up to it."""
    *rights, second = (np.asarray(each, float) for each in right_sides(limit, followed, y))
    recorded = (followed.outputs, followed.points, followed.fixed)
    steps, sums, rounding = {}, {}, {}
    eps = float(jnp.finfo(followed.outputs.dtype).eps)
    for name, right, values in zip("fgJ", rights, recorded, strict=True):
        psi = np.asarray(values, float)
        steps[name] = relative(np.diff(psi, axis=0), right)
        sums[name] = relative(psi[1:] - psi[0], np.cumsum(right, axis=0))
        rounding[name] = eps * float(np.median(norms(psi[1:]) / norms(right)))
    discrete, start = norms(second) / norms(rights[0]), np.asarray(followed.points[0], float)
    return Residuals(steps, sums, rounding, discrete, rights[2].sum(0), start)


def relative(value: np.ndarray, expected: np.ndarray) -> Float[np.ndarray, " steps"]:
    """Measure how far the one is from the other, in Frobenius norm, along the first axis."""
    return norms(value - expected) / norms(expected)


def norms(each: np.ndarray) -> Float[np.ndarray, " steps"]:
    """Compute Frobenius norms along the first axis."""
    return np.linalg.norm(each.reshape(len(each), -1), axis=1)
