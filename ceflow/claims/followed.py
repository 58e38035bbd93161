"""Values of a finite network during gradient descent, and residuals of the evolution equations.

See BN eq. 12 to 14 and appendix E.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from ceflow.bottlenecks import Rates, WideNetwork


class Halves(eqx.Module):
    """Encoder and decoder, each a function of one example."""

    encoder: Any
    decoder: Any

    @classmethod
    def from_network(cls, network: WideNetwork) -> "Halves":
        """Return the halves of a network that takes batches."""
        return cls(network.encoder, network.decoder)

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return self.decoder(self.encoder(x))


class Followed(NamedTuple):
    """Values of F, g and J before each step and after the last."""

    outputs: Float[Array, "moments n outputs"]
    points: Float[Array, "moments n d"]
    jacobians: Float[Array, "moments n outputs d"]
    """`J_t(g_t)`."""
    fixed: Float[Array, "moments n outputs d"]
    """`J_t(g_0)`, at the initial points."""


class LimitKernels(NamedTuple):
    """Limit kernels in the evolution equations, and the learning rates."""

    theta: Float[Array, "n n"]
    ntk: Callable[[Array, Array], Array]
    ntk_slope: Callable[[Array, Array], Array]
    rates: Rates


class Residuals(NamedTuple):
    """Residuals of the equations for f, g and J, by these names, relative to the right sides."""

    steps: dict[str, Float[np.ndarray, " steps"]]
    """`|(psi[t+1] - psi[t])/mu - rhs| / |rhs|` of each step (BN figure 12)."""
    sums: dict[str, Float[np.ndarray, " steps"]]
    """Residuals of the integrated equations, summed over all steps up to each."""
    rounding: dict[str, float]
    """Median residual of a step due to the rounding of psi (f, g or J) alone."""
    discrete: Float[np.ndarray, " steps"]
    """Residual of f due to the finite step size, to second order: `|dJ dg| / |rhs|`."""
    turned: Float[np.ndarray, "n outputs d"]
    """Total change of J over all steps by eq. 13."""
    start: Float[np.ndarray, "n d"]
    """Initial points g_0, at which J is evaluated."""


@eqx.filter_jit
def follow(
    network: Halves,
    x: Float[Array, "n inputs"],
    y: Float[Array, "n outputs"],
    rates: Rates,
    steps: int,
) -> Followed:
    """Train a network by full-batch gradient descent, and return its values at each step.

    The loss is `L = 1/2 |F - y|^2`, a sum over examples.
    """
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
    """Compute the right sides of BN eq. 14, 12 and 13 times the rates, and `dJ dg`, at each step.

    `dJ dg` is the second-order part of the change of f, which the equations leave out.
    """
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
    """Compute the residuals of each step, and of the sum over all steps up to each; NaN or infinite
    where nothing moves, or beyond the largest numbers.
    """
    *rights, second = (np.asarray(each, float) for each in right_sides(limit, followed, y))
    recorded = (followed.outputs, followed.points, followed.fixed)
    steps, sums, rounding = {}, {}, {}
    eps = float(jnp.finfo(followed.outputs.dtype).eps)
    for name, right, values in zip("fgJ", rights, recorded, strict=True):
        psi = np.asarray(values, float)
        steps[name] = relative(np.diff(psi, axis=0), right)
        sums[name] = relative(psi[1:] - psi[0], np.cumsum(right, axis=0))
        rounding[name] = eps * float(np.median(ratio(norms(psi[1:]), norms(right))))
    discrete, start = ratio(norms(second), norms(rights[0])), np.asarray(followed.points[0], float)
    return Residuals(steps, sums, rounding, discrete, rights[2].sum(0), start)


def relative(value: np.ndarray, expected: np.ndarray) -> Float[np.ndarray, " steps"]:
    """Compute the relative error |value - expected|/|expected|, one per entry of the first axis."""
    return ratio(norms(value - expected), norms(expected))


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> np.ndarray:
    """Divide; the quotient is infinite or NaN where the denominator is 0."""
    with np.errstate(all="ignore"):  # a verdict that is not finite is undecided, and says so
        return np.divide(numerator, denominator)


def norms(each: np.ndarray) -> Float[np.ndarray, " steps"]:
    """Compute the Frobenius norm of each entry of the first axis, whose squares may overflow.

    >>> print(norms(np.array([[3e200, 4e200], [0, 0]])))
    [5.e+200 0.e+000]
    """
    rows = each.reshape(len(each), -1)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return scale[:, 0] * np.linalg.norm(rows / scale, axis=1)
