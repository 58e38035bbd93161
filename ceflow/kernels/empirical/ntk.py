"""The empirical NTK of any Equinox module."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import core
from jaxtyping import Array, ArrayLike, Float, PyTree

from ceflow.kernels.empirical import networks
from ceflow.kernels.empirical.blocks import structured
from ceflow.kernels.empirical.contractions import symmetric
from ceflow.kernels.empirical.costs import Shape
from ceflow.kernels.empirical.plans import METHODS, Method, plan_for
from ceflow.kernels.empirical.vectors import products


def empirical_ntk(
    module: eqx.Module,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    trace: bool = False,
    where: Callable[[Any], Any] | None = None,
    state: eqx.nn.State | None = None,
    memory: float | None = None,
    method: Method = "auto",
) -> Float[Array, "n1 n2 ..."]:
    """`K(x, x') = J(x) J(x')^T` over the parameters of a module (CE eq. 1).

    `module` takes one example; its floating-point arrays are its parameters, or, of those, what
    `where` picks (as in `eqx.tree_at`). Rows of `x1` and `x2` are examples; `x2` is `x1` by
    default, and the result then symmetric to the bit. On CPU, pieces of a kernel are equal to the
    bit, however cut, where the numbers of rows are multiples of 64. The result has shape
    (n1, n2, outputs, outputs), or, with `trace`, (n1, n2): the sum of the diagonal over outputs, at
    a fraction of the cost.
    A module with `state` (inference mode of batch normalisation) is called as `module(x, state)`.

    Methods, of which "auto" takes the cheapest by its count of operations:
    "structured" finds weights that are used once, in a product or a convolution, transposed or
    scaled or not, and adds `(h.h')(delta.delta')` for them, or forms their gradients from h and
    delta; other parameters go by their Jacobians. "jacobian" treats all so. "products" forms no
    Jacobian: a backward pass for each example and output of `x1`, a forward one for each of these
    at each of `x2`. An ensemble's kernel is the mean of its members' (CE eq. 4), found unaided.

    `memory` bounds the bytes of temporaries beside the result, by an estimate from the traced
    module: work is done in tiles of examples. By default a quarter of the result, and at least
    what tiles of 64 examples take (16 MB to 1 GB). One example or product goes at once if no less
    fits. Where all fits, or with `memory=math.inf`, nothing loops and derivatives of any order and
    mode pass; tiles cannot be differentiated in reverse.

    Raises `ValueError` where the module has no parameters, its output is not one array of floats,
    it is in training mode, holds state that is not given, or does not take one example; where `x1`
    or `x2` holds no examples, examples of another shape, NaN or infinity; and for `memory` <= 0.

    >>> import jax
    >>> from ceflow.nets import Dense
    >>> dense = Dense(3, 2, weight_variance=3.0, key=jax.random.key(0))
    >>> empirical_ntk(dense, jnp.eye(3)[:2])[0, 0]   # c/fan_in x.x' on the diagonal
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    x1, x2 = jnp.asarray(x1), None if x2 is None else jnp.asarray(x2)
    check_examples("x1", x1)
    if x2 is not None:
        check_examples("x2", x2)
        if x1.shape[1:] != x2.shape[1:]:
            raise ValueError(
                f"x1 and x2 hold examples of different shapes, {x1.shape[1:]} and {x2.shape[1:]}"
            )
    if memory is not None and not memory > 0:
        raise ValueError(f"memory must be a number of bytes above 0, not {memory}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    networks.refuse_training(module, state)
    parameters, rest = networks.split(module, where)
    return _kernel(parameters, rest, state, x1, x2, trace, memory, method)


def check_examples(name: str, x: Array) -> None:
    """Rows of numbers, as far as can be seen outside of a traced function."""
    if not x.ndim or not len(x):
        raise ValueError(f"{name} must hold examples as rows, not be of shape {x.shape}")
    if isinstance(x, core.Tracer) or not jnp.issubdtype(x.dtype, jnp.inexact):
        return
    bad = np.flatnonzero(~np.isfinite(np.asarray(x).reshape(len(x), -1)).all(axis=1))
    if bad.size:
        raise ValueError(
            f"row {bad[0]} of {name} holds NaN or infinity; mend it or leave it out"
            + (f" ({bad.size} rows do)" if bad.size > 1 else "")
        )


@eqx.filter_jit
def _kernel(
    parameters: PyTree,
    rest: PyTree,
    state: eqx.nn.State | None,
    x1: Array,
    x2: Array | None,
    trace: bool,
    memory: float | None,
    method: Method,
) -> Array:
    network = networks.trace(parameters, rest, state, x1[0])
    n2 = len(x1 if x2 is None else x2)
    total = trace or network.outputs == 1
    asked = Shape(len(x1), n2, network.outputs, total, x2 is None)
    plan = plan_for(network, asked, method, memory)
    if plan.tile:
        kernel = structured(network, plan, x1, x2, total)
    else:
        kernel = products(network, x1, x1 if x2 is None else x2, total, plan.chunk)
        kernel = symmetric(kernel) if x2 is None else kernel
    return kernel if trace else kernel.reshape(asked.n1, n2, network.outputs, network.outputs)
