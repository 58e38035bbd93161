"""Flow in function space, at a constant kernel."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.dynamics.losses import Loss

State = tuple[Float[Array, "n outputs"], Float[Array, "m outputs"]]
"""Outputs on training and on test points."""


class KernelFlow(eqx.Module):
    """`dF/dt = -K chi(F)` on training points and `dF*/dt = -K* chi(F)` on test points; t is mu t.

    The dynamics of infinitely wide networks (CE section 2), and of linearised ones in function
    space. `kernel` is (n, n), the same for each output, or (n, n, outputs, outputs); `cross` the
    same with a row for each test point, (0, n) where there are none. The state is `(F, F*)`.

    >>> from ceflow.dynamics import SquaredError, integrate
    >>> flow = KernelFlow(jnp.eye(2), jnp.ones((1, 2)), jnp.ones((2, 1)), SquaredError())
    >>> train, test = integrate(flow, (jnp.zeros((2, 1)), jnp.zeros((1, 1))), [0.0, 30.0]).state
    >>> train.round(3).T, test.round(3)
    (Array([[1., 1.]], dtype=float32), Array([[2.]], dtype=float32))
    """

    kernel: Float[Array, "n n ..."]
    cross: Float[Array, "m n ..."]
    targets: Float[Array, "n outputs"]
    loss: Loss

    def __call__(self, t: Any, state: State) -> State:
        chi = self.loss.chi(state[0], self.targets)
        return -product(self.kernel, chi), -product(self.cross, chi)


def product(kernel: Float[Array, "m n ..."], v: Float[Array, "n outputs"]) -> Array:
    """Compute `K v`, of a kernel with or without axes of outputs."""
    return kernel @ v if kernel.ndim == 2 else jnp.einsum("mnab,nb->ma", kernel, v)
