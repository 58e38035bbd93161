"""Gradient flow of a linearised network, and of functions under a constant kernel."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ceflow.dynamics.losses import Loss
from ceflow.kernels.empirical.networks import examples_for, widened


class Linearised(eqx.Module):
    """A network's outputs on given examples, linearised in its parameters.

    They are `F(delta) = F_0 + J delta` with `delta = Theta - Theta_0`. J is never formed. The
    residuals of one forward pass are kept; a product with J takes a forward-mode pass, and a
    product with its transpose a backward pass.
    """

    initial: Float[Array, "n outputs"]
    product: Any  # delta -> J delta
    structure: PyTree = eqx.field(static=True)

    def __init__(self, module: eqx.Module, x: Float[Array, "n ..."]):
        module = widened(module)
        parameters, rest = eqx.partition(module, eqx.is_inexact_array)
        x = examples_for(module, None, x)

        def outputs(parameters: PyTree) -> Array:
            apply: Any = eqx.combine(parameters, rest)
            return jax.vmap(apply)(x)

        self.initial, self.product = jax.linearize(outputs, parameters)
        self.structure = jax.tree.map(_shape, parameters)

    def __call__(self, delta: PyTree) -> Float[Array, "n outputs"]:
        """Compute the outputs F(delta)."""
        return self.initial + self.product(delta)

    def transposed(self, v: Float[Array, "n outputs"]) -> PyTree:
        """Compute `J^T v`."""
        (back,) = jax.linear_transpose(self.product, self.structure)(v)
        return back

    def start(self) -> PyTree:
        """Return the initial state, delta = 0."""
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.structure)


def _shape(leaf: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


class LinearisedFlow(eqx.Module):
    """Gradient flow of a linearised network, `d delta/dt = -J^T chi(F_0 + J delta)`; t is mu t.

    The NTK stays as it is at t = 0, as in the limit of infinite width (Lee et al., NeurIPS 2019,
    section 2.2). The state is delta, which starts at `model.start()`; the outputs are
    `model(delta)`.

    >>> from ceflow.nets import Dense
    >>> from ceflow.dynamics import SquaredError, integrate
    >>> model = Linearised(Dense(2, 1, key=jax.random.key(0)), jnp.eye(2))
    >>> flow = LinearisedFlow(model, jnp.ones((2, 1)), SquaredError())
    >>> model(integrate(flow, model.start(), [0.0, 30.0]).state).round(3).T
    Array([[1., 1.]], dtype=float32)
    """

    model: Linearised
    targets: Float[Array, "n outputs"]
    loss: Loss

    def __call__(self, t: Any, delta: PyTree) -> PyTree:
        return self.model.transposed(-self.loss.chi(self.model(delta), self.targets))


State = tuple[Float[Array, "n outputs"], Float[Array, "m outputs"]]
"""Outputs on training and on test points."""


class KernelFlow(eqx.Module):
    """Gradient flow of functions under a constant kernel; t is mu t.

    It is `dF/dt = -K chi(F)` on training points and `dF*/dt = -K* chi(F)` on test points, as for
    infinitely wide networks (CE section 2) and linearised networks in function space. `kernel` is
    (n, n), the same for each output, or (n, n, outputs, outputs). `cross` has one row per test
    point; its shape is (0, n) if there are none. The state is `(F, F*)`.

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
    """Compute `K v` for a kernel with or without axes of outputs."""
    return kernel @ v if kernel.ndim == 2 else jnp.einsum("mnab,nb->ma", kernel, v)
