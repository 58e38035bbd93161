"""The empirical NTK of any Equinox module."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PyTree

from ceflow.kernels.costs import Shape
from ceflow.kernels.empirical import networks
from ceflow.kernels.empirical.blocks import structured
from ceflow.kernels.empirical.contractions import symmetric
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.kernels.empirical.networks import Network
from ceflow.kernels.empirical.plans import METHODS, NO_REVERSE_MODE, KernelPlan, Method, plan_for


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
    """Compute `K(x, x') = J(x) J(x')^T` over the parameters of a module (CE eq. 1).

    `module` takes one example; its floating-point arrays are its parameters, or, of those, what
    `where` picks (as in `eqx.tree_at`). Rows of `x1` and `x2` are examples; `x2` is `x1` by
    default, and the result then symmetric to the bit. On CPU, pieces of a kernel are equal to the
    bit, however cut, where the numbers of rows are multiples of 64. The result has shape
    (n1, n2, outputs, outputs), or, with `trace`, (n1, n2): the sum of the diagonal over outputs, at
    a fraction of the cost.
    Its type is that of the module's outputs, and float32 of a module in float16 or bfloat16: the
    parameters of such a one are made float32 first, as sums in fewer bits overflow and round.
    Examples of integers or bools become floats, but for a module that looks up by them (an
    embedding), which gets them as they are.
    A module with `state` (inference mode of batch normalisation) is called as `module(x, state)`.

    Methods, of which "auto" takes the cheapest by its count of operations:
    "structured" finds weights that are used once, in a product or a convolution, transposed or
    scaled or not, and adds `(h.h')(delta.delta')` for them, or forms their gradients from h and
    delta; other parameters go by their Jacobians. "jacobian" treats all so. "products" forms no
    Jacobian: a backward pass for each example and output of `x1`, a forward one for each of these
    at each of `x2`; "auto" leaves that out where the module has no forward mode (as none with a
    `jax.custom_vjp` has). An ensemble's kernel is the mean of its members' (CE eq. 4), found
    unaided.

    `memory` bounds the bytes of temporaries beside the result, by an estimate from the traced
    module: work is done in tiles of examples. By default a quarter of the result, and at least
    what tiles of 64 examples take (16 MB to 1 GB). One example or product goes at once if no less
    fits. Where all fits, or with `memory=math.inf`, nothing loops and derivatives of any order and
    mode pass; tiles cannot be differentiated in reverse.

    Raises `ValueError` where the module has no parameters, its output is not one array of floats,
    it is in training mode, holds state that is not given, or does not take one example; where `x1`
    or `x2` holds no examples, examples of another shape, NaN or infinity; where the kernel is not
    finite, or the module has not the derivatives that the method takes; and for `memory` <= 0. What
    is found in a kernel is not said where this is traced (`jax.jit`).

    >>> import jax
    >>> from ceflow.nets import Dense
    >>> dense = Dense(3, 2, weight_variance=3.0, key=jax.random.key(0))
    >>> empirical_ntk(dense, jnp.eye(3)[:2])[0, 0]   # c/fan_in x.x' on the diagonal
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    if memory is not None and not memory > 0:
        raise ValueError(f"memory must be a number of bytes above 0, not {memory}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    networks.refuse_training(module, state)
    module, state = networks.widened((module, state))
    one, two = networks.pair_for(module, state, x1, x2)
    parameters, rest = networks.split(module, where)
    kernel = _kernel(parameters, rest, state, one, two, trace, memory, method)
    check_kernel(kernel, lambda: networks.trace(parameters, rest, state, one[0]))
    return kernel


def check_kernel(kernel: Array, network: Callable[[], Network] | None = None) -> None:
    """Raise `ValueError` where a kernel holds NaN or infinity, as far as can be seen outside of a
    traced function; `network` gives the module that it is of, for advice."""
    if isinstance(kernel, Tracer) or bool(jnp.isfinite(kernel).all()):
        return
    row, column = np.argwhere(~np.isfinite(np.asarray(kernel)))[0][:2]
    narrow, wide = network and network().narrow, kernel.dtype == jnp.float64
    doubled = "inputs" if network is None else "a module and inputs"
    help = "" if wide else f", or {doubled} of float64 under jax.enable_x64"
    if narrow is not None:
        help = f"; the module computes in {narrow}, which holds no more than {_largest(narrow)}"
    raise ValueError(
        f"the kernel is NaN or infinite at examples {row} and {column}: outputs or gradients are,"
        f" or their products pass {_largest(kernel.dtype)}; use smaller inputs or weights{help}"
    )


def _largest(dtype: Any) -> str:
    return f"{float(jnp.finfo(dtype).max):.5g}"


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
    try:
        kernel = _by(plan, network, x1, x2, total)
    except Exception:
        if network.has_reverse_mode:
            raise
        raise ValueError(NO_REVERSE_MODE) from None
    return kernel if trace else kernel.reshape(asked.n1, n2, network.outputs, network.outputs)


def _by(plan: KernelPlan, network: Network, x1: Array, x2: Array | None, trace: bool) -> Array:
    if plan.tile:
        return structured(network, plan, x1, x2, trace)
    kernel = products(network, x1, x1 if x2 is None else x2, trace, plan.chunk)
    return symmetric(kernel) if x2 is None else kernel


def products(
    network: Network, x1: Array, x2: Array, trace: bool, together: int
) -> Float[Array, "n1 n2 ..."]:
    """Compute the kernel by rows, `e_a^T J(x) J(x')^T`, `together` outputs a of one x at once."""
    units = jnp.eye(network.outputs, dtype=network.dtype)
    units = units.reshape(-1, together, network.outputs)

    def of_output(x: Array, unit: Array) -> Array:
        gradient = network.pullback(x, unit)
        tangents = jax.vmap(lambda other: network.pushforward(other, gradient))(x2)
        return tangents @ unit if trace else tangents

    of_outputs = lowered(jax.vmap(of_output, (None, 0)))

    def row(x: Array) -> Array:
        entries = jax.lax.map(lambda units: of_outputs(x, units), units)
        entries = entries.reshape(network.outputs, *entries.shape[2:])
        return entries.sum(axis=0) if trace else jnp.swapaxes(entries, 0, 1)

    return jax.lax.map(row, x1)
