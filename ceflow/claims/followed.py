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


class Segments(eqx.Module):
    """Functions of one example in sequence: an encoder, and a decoder after each bottleneck."""

    functions: tuple[Any, ...]

    @classmethod
    def from_network(cls, network: WideNetwork) -> "Segments":
        """Return the segments of a network that takes batches."""
        return cls((network.encoder, *network.decoder.sequence))

    @property
    def encoder(self) -> Any:
        """The first function."""
        return self.functions[0]

    @property
    def decoder(self) -> Any:
        """The last function."""
        return self.functions[-1]

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        for function in self.functions:
            x = function(x)
        return x


class Followed(NamedTuple):
    """Values and Jacobians before each step and after the last."""

    values: tuple[Float[Array, "moments n d"], ...]
    """Outputs of each segment: g, and F."""
    jacobians: tuple[Float[Array, "moments n outputs d"], ...]
    """`J_t(g_t)`, of each segment but the first."""
    fixed: tuple[Float[Array, "moments n outputs d"], ...]
    """`J_t(g_0)`, at the initial points."""

    @property
    def outputs(self) -> Float[Array, "moments n outputs"]:
        """The outputs F of the network."""
        return self.values[-1]


class LimitKernels(NamedTuple):
    """Limit kernels in the evolution equations, and the learning rates."""

    theta: Float[Array, "n n"]
    ntks: tuple[Callable[[Array, Array], Array], ...]
    """K of each decoder."""
    ntk_slopes: tuple[Callable[[Array, Array], Array], ...]
    """Xi of each decoder."""
    rates: Rates

    def errors(self, now: Followed, start: Followed, chi: Array) -> list[Array]:
        """Compute the error at the outputs of each segment: chi, brought back through the Jacobians
        of the segments after it, at this moment.
        """
        found = [chi]
        for jacobian in reversed(now.jacobians):
            found.append(jnp.einsum("nod,no->nd", jacobian, found[-1]))
        return found[::-1]


class Names(NamedTuple):
    """Names of the values and Jacobians of segments."""

    values: tuple[str, ...]
    jacobians: tuple[str, ...]

    @classmethod
    def of(cls, segments: int) -> "Names":
        """Return those of the paper for two segments, otherwise numbered ones.

        >>> Names.of(2), Names.of(3)
        (Names(values=('g', 'f'), jacobians=('J',)), \
Names(values=('f1', 'f2', 'f3'), jacobians=('J2', 'J3')))
        """
        if segments == 2:
            return cls(("g", "f"), ("J",))
        numbers = range(1, segments + 1)
        return cls(tuple(f"f{n}" for n in numbers), tuple(f"J{n}" for n in numbers[1:]))


class Residuals(NamedTuple):
    """Residuals of the equations for f, g and J, by their `Names`, relative to the right sides."""

    steps: dict[str, Float[np.ndarray, " steps"]]
    """`|(psi[t+1] - psi[t])/mu - rhs| / |rhs|` of each step (BN figure 12)."""
    sums: dict[str, Float[np.ndarray, " steps"]]
    """Residuals of the integrated equations, summed over all steps up to each."""
    rounding: dict[str, float]
    """Median residual of a step due to the rounding of psi (f, g or J) alone."""
    discrete: dict[str, Float[np.ndarray, " steps"]]
    """Residuals of the outputs of segments after the first due to the finite step size, to second
    order: `|dJ dg| / |rhs|`."""
    turned: tuple[Float[np.ndarray, "n outputs d"], ...]
    """Total change of each J over all steps by eq. 13."""
    start: tuple[Float[np.ndarray, "n d"], ...]
    """Initial points, such as g_0, at which each J is evaluated."""


@eqx.filter_jit
def follow(
    network: Segments,
    x: Float[Array, "n inputs"],
    y: Float[Array, "n outputs"],
    rates: Rates,
    steps: int,
) -> Followed:
    """Train a network by full-batch gradient descent, and return its values at each step.

    The loss is `L = 1/2 |F - y|^2`, a sum over examples.
    """
    weights, rest = eqx.partition(network, eqx.is_inexact_array)

    def values_of(whole: Segments) -> list[Array]:
        found = [x]
        for function in whole.functions:
            found.append(jax.vmap(function)(found[-1]))
        return found[1:]

    start = values_of(network)

    def loss(weights: Any) -> Array:
        return 0.5 * jnp.square(jax.vmap(eqx.combine(weights, rest))(x) - y).sum()

    def values_at(weights: Any) -> Followed:
        whole = eqx.combine(weights, rest)
        values = values_of(whole)
        slopes = [jax.vmap(jax.jacrev(each)) for each in whole.functions[1:]]
        here, fixed = (
            tuple(slope(z) for slope, z in zip(slopes, points, strict=False))
            for points in (values, start)
        )
        return Followed(tuple(values), here, fixed)

    def step(weights: Any, _: None) -> tuple[Any, Followed]:
        slopes = jax.grad(loss)(weights)
        each = (rates.encoder, *[rates.decoder] * (len(network.functions) - 1))
        moved = [
            jax.tree.map(lambda w, s, rate=rate: w - rate * s, weight, slope)
            for weight, slope, rate in zip(weights.functions, slopes.functions, each, strict=True)
        ]
        return Segments(tuple(moved)), values_at(weights)

    last, before = jax.lax.scan(step, weights, length=steps)
    return jax.tree.map(lambda all, end: jnp.concatenate([all, end[None]]), before, values_at(last))


class Rights(NamedTuple):
    """Right sides times the rates at each step, of all segments, and of their Jacobians at fixed
    points; and `dJ dg`, the second-order part of the change of f, which the equations leave out.
    """

    values: list[Array]
    jacobians: list[Array]
    second: list[Array]


@eqx.filter_jit
def right_sides(limit: LimitKernels, followed: Followed, y: Array) -> Rights:
    """Compute the right sides of BN eq. 14, 12 and 13, for each segment."""
    start = jax.tree.map(lambda all: all[0], followed)

    def one(now: Followed) -> Rights:
        first, *errors = limit.errors(now, start, now.outputs - y)
        found = Rights([-limit.rates.encoder * limit.theta @ first], [], [])
        fixed = start.values[:-1]
        kernels = zip(
            limit.ntks, limit.ntk_slopes, fixed, now.values[:-1], now.jacobians, errors, strict=True
        )
        for ntk, ntk_slope, start_z, z, jacobian, error in kernels:
            moved = found.values[-1]
            carried = jnp.einsum("nod,nd->no", jacobian, moved)
            learned = -limit.rates.decoder * ntk(z, z) @ error
            turned, here = (
                -limit.rates.decoder * jnp.einsum("mo,nmd->nod", error, ntk_slope(point, z))
                for point in (start_z, z)
            )
            second = jnp.einsum("nod,nd->no", here, moved)
            if found.second:
                second = second + jnp.einsum("nod,nd->no", jacobian, found.second[-1])
            found.values.append(learned + carried)
            found.jacobians.append(turned)
            found.second.append(second)
        return found

    return jax.lax.map(one, jax.tree.map(lambda all: all[:-1], followed))


def residuals(limit: LimitKernels, followed: Followed, y: Array) -> Residuals:
    """Compute the residuals of each step, and of the sum over all steps up to each; NaN or infinite
    where nothing moves, or beyond the largest numbers.
    """
    rights = jax.tree.map(lambda each: np.asarray(each, float), right_sides(limit, followed, y))
    names = Names.of(len(followed.values))
    of_values = zip(names.values, rights.values, followed.values, strict=True)
    each = [
        *reversed([*of_values]),
        *zip(names.jacobians, rights.jacobians, followed.fixed, strict=True),
    ]
    steps, sums, rounding = {}, {}, {}
    eps = float(jnp.finfo(followed.outputs.dtype).eps)
    for name, right, values in each:
        psi = np.asarray(values, float)
        steps[name] = relative(np.diff(psi, axis=0), right)
        sums[name] = relative(psi[1:] - psi[0], np.cumsum(right, axis=0))
        rounding[name] = eps * float(np.median(ratio(norms(psi[1:]), norms(right))))
    seconds = zip(names.values[1:], rights.second, rights.values[1:], strict=True)
    discrete = {name: ratio(norms(second), norms(right)) for name, second, right in seconds}
    turned = tuple(right.sum(0) for right in rights.jacobians)
    start = tuple(np.asarray(values[0], float) for values in followed.values[:-1])
    return Residuals(steps, sums, rounding, discrete, turned, start)


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
