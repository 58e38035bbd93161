"""The empirical NTK of any Equinox module."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PyTree

from ceflow._words import one_of
from ceflow.kernels.costs import Shape
from ceflow.kernels.empirical import networks
from ceflow.kernels.empirical.blocks import structured
from ceflow.kernels.empirical.contractions import symmetric
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.kernels.empirical.networks import Network
from ceflow.kernels.empirical.plans import METHODS, NO_REVERSE_MODE, KernelPlan, Method, plan_for
from ceflow.seeding import full_products


@full_products()
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

    `module` takes one example. Its parameters are its floating-point arrays, or those selected by
    `where` (as in `eqx.tree_at`). Rows of `x1` and `x2` are examples; by default `x2` is `x1`, and
    the result is exactly symmetric. The result has shape (n1, n2, outputs, outputs). With `trace`
    it has shape (n1, n2), the sum of the diagonal over outputs, at a fraction of the cost. On CPU
    and with JAX 0.10, a block of a kernel is bit for bit the same however rows are split, if the
    numbers of rows are multiples of 64; with JAX 0.12 it is the same to rounding.

    The result has the type of the module's outputs. The parameters of a module in float16 or
    bfloat16 are converted to float32 first, as sums in fewer bits overflow, and the result is
    float32. Integer and bool examples become floats, unless the module uses them as indices (an
    embedding). A module with `state` (batch normalisation in inference mode) is called as
    `module(x, state)`.

    `method` is one of the following; "auto" takes the one with the fewest operations.
    "structured" finds weights that are used once, in a product or a convolution, possibly
    transposed or scaled. It adds `(h.h')(delta.delta')` for them, or forms their gradients from h
    and delta; for other parameters it uses Jacobians. "jacobian" uses Jacobians for all.
    "products" forms no Jacobian: it takes a backward pass for each example and output of `x1`, and
    for each of these a forward-mode pass at each example of `x2`; "auto" skips it if the module has
    no forward mode (if it uses `jax.custom_vjp`). An ensemble's kernel is computed as the mean of
    its members' kernels (CE eq. 4).

    `memory` bounds the bytes of temporaries besides the result, as estimated from the traced
    module, by computing in tiles of examples. The default is a quarter of the result, but at least
    the memory for tiles of 64 examples (16 MB to 1 GB). If even one example does not fit, it is
    computed anyway. If everything fits, or with `memory=math.inf`, there are no loops, and the
    result can be differentiated in any mode and to any order; tiles have no reverse mode.

    Raises `ValueError` if the module has no parameters, its output is not one array of floats, it
    is in training mode, it has state that is not given, or it does not take one example; if `x1` or
    `x2` holds no examples, examples of another shape, NaN or infinity; if the kernel is not finite,
    or the module lacks the derivatives that the method needs; and if `memory` <= 0. Under
    `jax.jit`, non-finite kernels are not reported.

    >>> import jax
    >>> from ceflow.nets import Dense
    >>> dense = Dense(3, 2, weight_variance=3.0, key=jax.random.key(0))
    >>> empirical_ntk(dense, jnp.eye(3)[:2])[0, 0]   # c/fan_in x.x' on the diagonal
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    if memory is not None and not memory > 0:
        raise ValueError(f"memory must be a number of bytes above 0, not {memory}")
    one_of("method", method, METHODS)
    networks.refuse_training(module, state)
    module, state = networks.widened((module, state))
    one, two = networks.pair_for(module, state, x1, x2)
    parameters, rest = networks.split(module, where)
    kernel = _kernel(parameters, rest, state, one, two, trace, memory, method)
    check_kernel(kernel, lambda: networks.trace(parameters, rest, state, one[0]))
    return kernel


def check_kernel(kernel: Array, network: Callable[[], Network] | None = None) -> None:
    """Raise `ValueError` if a kernel holds NaN or infinity; traced kernels are not checked.

    `network` returns the kernel's network, for advice in the message.
    """
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
    """Compute the rows `e_a^T J(x) J(x')^T` of the kernel, for `together` outputs a at a time."""
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
