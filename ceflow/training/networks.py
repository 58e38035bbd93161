"""A module with its parameters and its state apart, applied to batches."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ceflow.kernels.empirical.networks import split, widened
from ceflow.nets import Frozen, is_stateful, of_batch

Applied = Callable[[PyTree, Array], tuple[Array, Any]]
"""A function from parameters and a batch to outputs and a new state."""


class Network(eqx.Module):
    """A network without its parameters and its state (see `separated`).

    With `compute`, parameters and inputs are converted to that type first, and outputs back to that
    of the inputs. With an `origin`, the network is linearised there: its outputs are
    `F(origin) + J (parameters - origin)`, with J the Jacobian at the origin.
    """

    rest: PyTree
    draws: bool = eqx.field(static=True)
    """Whether layers draw random numbers in training, as dropout does."""
    compute: str | None = eqx.field(static=True, default=None)

    def trained(
        self,
        parameters: PyTree,
        state: Any,
        x: Float[Array, "b ..."],
        key: Key[Array, ""],
        origin: PyTree = None,
    ) -> tuple[Float[Array, "b outputs"], Any]:
        """Compute the outputs on a batch in training mode, and the new state."""
        keys = jax.random.split(key, len(x)) if self.draws else None

        def apply(parameters: PyTree, x: Array) -> tuple[Array, Any]:
            return of_batch(eqx.combine(parameters, self.rest), x, state, keys)

        return self._applied(apply, parameters, x, origin)

    def evaluated(
        self, parameters: PyTree, state: Any, x: Float[Array, "n ..."], origin: PyTree = None
    ) -> Float[Array, "n outputs"]:
        """Compute the outputs on examples in inference mode."""

        def apply(parameters: PyTree, x: Array) -> tuple[Array, None]:
            return of_batch(self.module(parameters, state), x, None)[0], None

        return self._applied(apply, parameters, x, origin)[0]

    def module(self, parameters: PyTree, state: Any) -> Any:
        """Build the module in inference mode; with a state it is `Frozen`."""
        module = eqx.combine(parameters, self.rest)
        return Frozen(module, state) if is_stateful(module) else eqx.nn.inference_mode(module)

    def _applied(
        self, apply: Applied, parameters: PyTree, x: Array, origin: PyTree
    ) -> tuple[Array, Any]:
        if origin is not None:
            moved = jax.tree.map(jnp.subtract, parameters, origin)
            outputs, change, state = jax.jvp(
                lambda parameters: apply(parameters, x), (origin,), (moved,), has_aux=True
            )
            return outputs + change, state
        if self.compute is None:
            return apply(parameters, x)
        narrow = jax.tree.map(lambda leaf: leaf.astype(self.compute), parameters)
        outputs, state = apply(narrow, x.astype(self.compute))
        return outputs.astype(x.dtype), state


def separated(
    module: eqx.Module, state: Any = None, *, compute: str | None = None
) -> tuple[Network, PyTree]:
    """Separate a module in training mode into its network and its parameters.

    The parameters are the module's floating-point arrays; those below float32 are converted to
    float32. Raises `ValueError` if there are none.

    >>> from ceflow.nets import Dense
    >>> network, parameters = separated(Dense(2, 3, key=jax.random.key(0)))
    >>> network.evaluated(parameters, None, jnp.ones((5, 2))).shape
    (5, 3)
    """
    parameters, rest = split(widened(module), None)
    dropout = lambda part: isinstance(part, eqx.nn.Dropout)  # noqa: E731
    parts = jax.tree.leaves(rest, is_leaf=dropout)
    draws = any(dropout(part) and not part.inference for part in parts)
    return Network(rest, draws, compute), parameters
