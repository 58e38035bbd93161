"""The empirical NNGP of any Equinox module: the covariance of its outputs."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PyTree

from ceflow._words import one_of
from ceflow.kernels.costs import examples_at_once
from ceflow.kernels.empirical import networks
from ceflow.kernels.empirical.contractions import symmetric
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.kernels.empirical.counting import size_of_values
from ceflow.kernels.empirical.ntk import check_kernel
from ceflow.kernels.pieces import by_chunks
from ceflow.seeding import full_products

Outputs = Literal["mean", "full"]

# Averaging over the weights of the last layer instead of drawing them, K = (c_out/n) h.h' + b, has
# less variance. But it needs a module that ends in a linear layer, which one of a user need not, so
# that kernels of different networks would be estimates of different kinds.


@full_products()
def empirical_nngp(
    module: eqx.Module,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    outputs: Outputs = "mean",
    state: eqx.nn.State | None = None,
) -> Float[Array, "n1 n2 ..."]:
    """Compute `K(x, x') = (1/outputs) sum_a f_a(x) f_a(x')` over the outputs f of a module.

    `module` and `state` are those of `empirical_ntk`; the module needs no parameters and no
    derivatives. Rows of `x1` and `x2` are examples; by default `x2` is `x1`, and the result is
    exactly symmetric. The result has shape (n1, n2). With `outputs="full"` it holds `f_a(x)
    f_b(x')` for all pairs of outputs, and has shape (n1, n2, outputs, outputs). It has the type of
    the module's outputs, and at least 32 bits.

    If the module is drawn at random and its outputs have mean 0, the expectation of K is their
    covariance, which tends to `analytic(...).nngp` as the widths grow. A single K is noisy if there
    are few outputs: its rank is at most `outputs`. The standard error of a mean over draws
    (`mean_kernel`) is about `1/sqrt(draws * outputs)` for wide networks, times sqrt(2) K(x, x) on
    the diagonal.

    Raises `ValueError` if the output of the module is not one array of floats, or the module is in
    training mode, has state that is not given, or does not take one example; if `x1` or `x2` holds
    no examples, examples of another shape, NaN or infinity; and if the kernel is not finite. Under
    `jax.jit`, non-finite kernels are not reported.

    >>> from ceflow.nets import Dense
    >>> dense = Dense(2, 10_000, weight_variance=2.0, key=jax.random.key(0))
    >>> print(abs(empirical_nngp(dense, jnp.eye(2)).round(1)))      # c/fan_in x.x' in the mean
    [[1. 0.]
     [0. 1.]]
    """
    one_of("outputs", outputs, get_args(Outputs))
    networks.refuse_training(module, state)
    module, state = networks.widened((module, state))
    one, two = networks.pair_for(module, state, x1, x2)
    f1 = _outputs(module, state, one)
    f2 = None if two is None else _outputs(module, state, two)
    kernel = outer_products(f1, f2, outputs=outputs)
    check_kernel(kernel, lambda: _traced(module, state, one))
    return kernel


def outer_products(
    f1: Float[Array, "n1 outputs"],
    f2: Float[Array, "n2 outputs"] | None = None,
    *,
    outputs: Outputs = "mean",
) -> Float[Array, "n1 n2 ..."]:
    """Compute the kernel of outputs: their mean product, or with "full" that of each pair."""
    other = f1 if f2 is None else f2
    if outputs == "full":
        kernel = jnp.einsum("na,mb->nmab", f1, other)
    else:
        kernel = f1 @ other.T / f1.shape[1]
    return symmetric(kernel) if f2 is None else kernel


def finite_outputs(module: eqx.Module, x: Float[ArrayLike, "n ..."]) -> Float[Array, "n outputs"]:
    """Compute the outputs of a module, flat, for a batch of examples.

    Raises `ValueError` as `empirical_nngp` does, and if an output is not finite.
    """
    networks.refuse_training(module, None)
    module = networks.widened(module)
    one, _ = networks.pair_for(module, None, x, None, "x")
    found = _outputs(module, None, one)
    check_outputs(found)
    return found


def check_outputs(outputs: Float[Array, "n outputs"]) -> None:
    """Raise `ValueError` if outputs hold NaN or infinity; traced outputs are not checked."""
    if isinstance(outputs, Tracer) or bool(jnp.isfinite(outputs).all()):
        return
    row = np.argwhere(~np.isfinite(np.asarray(outputs)))[0][0]
    raise ValueError(
        f"the outputs of the network are NaN or infinity at example {row}; use smaller inputs or"
        " weights"
    )


@eqx.filter_jit
def _outputs(module: PyTree, state: eqx.nn.State | None, x: Array) -> Float[Array, "n outputs"]:
    """Compute the outputs of all examples, as many at once as fit into bounded memory."""
    network = _traced(module, state, x)
    batch = lowered(jax.vmap(lambda example: network(network.leaves, example)))
    size = size_of_values(network.closed.jaxpr) * network.dtype.itemsize
    return by_chunks(batch, x, examples_at_once(len(x), size))


def _traced(module: PyTree, state: eqx.nn.State | None, x: Array) -> networks.Network:
    return networks.trace(*eqx.partition(module, eqx.is_array), state, x[0])
