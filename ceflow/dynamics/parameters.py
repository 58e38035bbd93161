"""Gradient flow of a network's parameters."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree

from ceflow.dynamics.losses import Loss
from ceflow.kernels.empirical.networks import widened
from ceflow.nets import examples


class ParameterFlow(eqx.Module):
    """Gradient flow `dTheta/dt = -dL/dTheta` on all examples (CE eq. 21); t is mu t.

    `rest` is the module without its parameters; see `parameter_flow`.
    """

    rest: PyTree
    x: Float[Array, "n ..."]
    targets: Float[Array, "n outputs"]
    loss: Loss

    def outputs(self, parameters: PyTree) -> Float[Array, "n outputs"]:
        """Compute the network's outputs for all examples."""
        return jax.vmap(self.network(parameters))(self.x)

    def network(self, parameters: PyTree) -> Any:
        """Build the module with these parameters."""
        return eqx.combine(parameters, self.rest)

    def __call__(self, t: Any, parameters: PyTree) -> PyTree:
        outputs, pull = jax.vjp(self.outputs, parameters)
        (slope,) = pull(-self.loss.chi(outputs, self.targets))
        return slope


def parameter_flow(
    module: eqx.Module,
    x: Float[ArrayLike, "n ..."],
    targets: Float[ArrayLike, "n outputs"],
    loss: Loss,
) -> tuple[ParameterFlow, PyTree]:
    """Return the gradient flow of a module that takes one example, and its initial parameters.

    The parameters are the module's floating-point arrays; the stacked members of an ensemble flow
    together. For replicas, stack the parameters of several modules and integrate with
    `replicas=True`. Parameters below float32 are converted to float32, and the data to the
    precision of the parameters. Raises `ValueError` if the module has no parameters, if data
    are not finite, or if the shapes of its outputs and of the targets differ.

    >>> from ceflow.nets import Dense
    >>> from ceflow.dynamics import SquaredError, integrate
    >>> dense = Dense(2, 1, key=jax.random.key(0))
    >>> flow, start = parameter_flow(dense, jnp.eye(2), jnp.ones((2, 1)), SquaredError())
    >>> flow.outputs(integrate(flow, start, [0.0, 30.0]).state).round(3).T
    Array([[1., 1.]], dtype=float32)
    """
    parameters, rest = eqx.partition(widened(module), eqx.is_inexact_array)
    leaves = jax.tree.leaves(parameters)
    if not leaves:
        raise ValueError("the module has no parameters: no floating-point array is in it")
    given = {"inputs": x, "targets": targets}
    x, targets = (
        jnp.asarray(examples(name, part, np.shape(part)[1:]), leaves[0].dtype)
        for name, part in given.items()
    )
    flow = ParameterFlow(rest, x, targets, loss)
    shape = jax.eval_shape(flow.outputs, parameters).shape
    if shape != targets.shape:
        raise ValueError(f"outputs of shape {shape} have no loss with targets of {targets.shape}")
    return flow, parameters
