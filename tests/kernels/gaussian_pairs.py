"""Gaussian expectations of two variables by dense quadrature: panels of Gauss's rule, in NumPy."""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
NODES, WEIGHTS = np.polynomial.legendre.leggauss(14)
DEVIATIONS = np.arange(-12.0, 13.0, 2.0)
"""Ends of panels of a Gaussian: beyond the last there are exp(-12^2/2) of it."""
NEAR = np.array([0, 1.5, 3, 5, 8, 12, 17, 24, 40])
NEAR = np.concatenate([-NEAR[:0:-1], NEAR])
"""Ends of panels where an activation turns from one asymptote to the other."""


def expectation(f: Callable[[Array], Array], q1: float, q2: float, c: float, one: bool) -> float:
    """`E[f(u) f(v)]` of variances q1, q2 and covariance c; `one` says that v is u."""
    u, weight = _rule(np.zeros(1), np.sqrt(q1), NEAR)
    if one:
        return float((weight * f(u) ** 2).sum())
    slope, rest = c / q1, np.sqrt(max(q2 - c * c / q1, 0.0))
    turning = NEAR * max(1.0, rest) / abs(slope)
    u, weight = _rule(np.zeros(1), np.sqrt(q1), np.concatenate([NEAR, turning]))
    u, weight = u[0], weight[0]
    if rest == 0:  # to rounding, v is a multiple of u
        return float((weight * f(u) * f(slope * u)).sum())
    v, inner = _rule(slope * u, rest, NEAR)
    return float(weight @ (f(u) * (inner * f(v)).sum(axis=1)))


def _rule(mean: Array, deviation: float, ends: Array) -> tuple[Array, Array]:
    """Nodes and weights of expectations over Gaussians, a row for each mean."""
    own = mean[:, None] + deviation * DEVIATIONS
    both = np.concatenate([own, np.broadcast_to(ends, (len(mean), len(ends)))], axis=1)
    both = np.sort(np.clip(both, own[:, :1], own[:, -1:]), axis=1)
    middle, half = (both[:, 1:] + both[:, :-1]) / 2, np.diff(both, axis=1) / 2
    nodes = (middle[..., None] + half[..., None] * NODES).reshape(len(mean), -1)
    z = (nodes - mean[:, None]) / deviation
    density = np.exp(-(z**2) / 2) / (deviation * np.sqrt(2 * np.pi))
    return nodes, (half[..., None] * WEIGHTS).reshape(len(mean), -1) * density


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


SMOOTH: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(np.minimum(abs(x), 300)) ** 2),
    "softplus": (lambda x: np.logaddexp(0, x), sigmoid),
    "silu": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
    ),
}


def kernels(name: str, x: Array, depth: int, c: float, b: float) -> tuple[Array, Array]:
    """NNGP and NTK of rows, by the recursion of covariances (the last variance is 1)."""
    f, slope = SMOOTH[name]
    s, t = x @ x.T / x.shape[1], np.zeros((len(x), len(x)))
    for layer in range(depth + 1):
        s = (1.0 if layer == depth else c) * s + b
        t = s + (1.0 if layer == depth else c) * t
        if layer < depth:
            s, t = _through(f, s), t * _through(slope, s)
    return s, t


def _through(f: Callable[[Array], Array], s: Array) -> Array:
    found = np.empty_like(s)
    for i in range(len(s)):
        for j in range(i + 1):
            found[i, j] = found[j, i] = expectation(f, s[i, i], s[j, j], s[i, j], i == j)
    return found
