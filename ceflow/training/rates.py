"""The largest stable learning rate at the start of a training."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.dynamics import Loss
from ceflow.kernels import eigenvalue_max, ntk_operator


@dataclass(frozen=True)
class _Kernel:
    """The NTK of a module on some examples, as a matrix over examples and outputs."""

    module: eqx.Module
    x: Float[Array, "n ..."]
    outputs: int

    def __len__(self) -> int:
        return len(self.x) * self.outputs

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        shaped = jnp.asarray(v.reshape(-1, self.outputs), self.x.dtype)
        return np.asarray(_product(self.module, self.x, shaped), float).reshape(v.shape)


@eqx.filter_jit
def _product(module: Any, x: Array, v: Array) -> Array:
    return ntk_operator(module, x).mv(v)


def largest_rate(
    module: eqx.Module,
    x: Float[Array, "n ..."],
    outputs: int,
    loss: Loss,
    batch: int,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> float:
    """Compute the largest stable learning rate of steps on batches of `batch` examples.

    Without momentum it is `2/(h w lambda + d)`, with lambda the largest eigenvalue of the NTK, h
    the largest curvature of the loss, w the weight of an example in a batch and d the weight decay.
    Momentum m multiplies it by 1 + m, with `nesterov` by (1 + m)/(1 + 2 m): up to there the
    recursion of a quadratic loss is bounded. If there are fewer examples than a batch has, lambda
    is scaled in proportion. It is infinite if nothing can move the outputs.

    >>> import jax
    >>> from ceflow.dynamics import SquaredError
    >>> from ceflow.nets import Dense
    >>> dense = Dense(3, 1, weight_variance=3.0, key=jax.random.key(0))    # its NTK is x.x'
    >>> round(largest_rate(dense, 2 * jnp.eye(3), 1, SquaredError(), 3), 4)
    0.5
    """
    largest = max(0.0, eigenvalue_max(_Kernel(module, x, outputs)))  # pyright: ignore[reportArgumentType]
    largest *= batch / len(x) * loss.weight(batch, outputs) * loss.curvature(outputs)
    stiffness = largest + weight_decay
    if not stiffness:
        return float("inf")
    factor = (1 + momentum) / (1 + 2 * momentum) if nesterov else 1 + momentum
    return 2 * factor / stiffness
