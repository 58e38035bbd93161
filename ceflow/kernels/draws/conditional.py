"""Exact draws of an MLP's NTK and outputs on N inputs, without drawing its weights.

A Gaussian weight matrix W multiplies the N hidden vectors H in the forward pass, and its transpose
multiplies the N errors E in the backward pass. The forward pass depends only on W Q, Q an
orthonormal basis of H: at most N standard normal columns. In the backward pass, the part R of W
orthogonal to Q is independent of the forward pass, and only R' E matters: again at most one normal
column per error vector. A layer of width n takes 2 N n random numbers instead of n^2, so that a
width of 100,000 is affordable. `ceflow.variance` does the same for one input and ReLU.

The outputs alone need no Q: given the layer below, each unit of the next is a normal vector over
the N inputs, with the covariance of H.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key

from ceflow import nets
from ceflow._numbers import require_count, require_key
from ceflow.kernels.empirical.networks import check_examples
from ceflow.kernels.empirical.nngp import check_outputs
from ceflow.kernels.empirical.ntk import check_kernel
from ceflow.spec import Mlp


def conditional_ntk(
    model: Mlp,
    x: Float[ArrayLike, "n inputs"],
    *,
    outputs: int = 1,
    key: Key[Array, ""],
) -> Float[Array, "n n"]:
    """Draw the NTK's trace over outputs, `sum_a K^aa`, from its distribution over random weights.

    The distribution is exact at any width, for any activation, with biases. At a width below N this
    costs as much as drawing the weights. The same key gives another draw than `plan.module`.

    Raises `TypeError` for another kind of model (of an ensemble, draw its `member`), and
    `ValueError` for an infinite width, a key that is none, inputs that are not rows of finite
    numbers, or a kernel that is not finite. Under `jax.jit`, non-finite kernels are not reported.

    >>> from ceflow.spec import Mlp
    >>> x = jnp.array([[1.0, 1.0]])         # |x|^2 = d: the mean of K is H + 1 = 3
    >>> wide = Mlp(widths=[100_000] * 2)
    >>> bool(abs(conditional_ntk(wide, x, key=jax.random.key(0))[0, 0] - 3) < 0.1)
    True
    """
    x = _checked("conditional_ntk", model, x, outputs, key)
    kernel = _draw(model, x, outputs, key)
    check_kernel(kernel)
    return kernel


def conditional_outputs(
    model: Mlp,
    x: Float[ArrayLike, "n inputs"],
    *,
    outputs: int = 1,
    key: Key[Array, ""],
) -> Float[Array, "n outputs"]:
    """Draw the outputs of a random network on N inputs, without drawing its weights.

    Their law is exact at any width, as that of `conditional_ntk`, with the same errors. Their
    products `f_a(x) f_a(x')` have the NNGP as their mean if the network is wide.

    >>> from ceflow.spec import Mlp
    >>> x = jnp.array([[1.0, 1.0]])         # |x|^2 = d: the variance of each output is 1
    >>> wide = Mlp(widths=[100_000] * 2)
    >>> outputs = conditional_outputs(wide, x, outputs=5000, key=jax.random.key(0))
    >>> outputs.shape, bool(abs(outputs.var() - 1) < 0.1)
    ((1, 5000), True)
    """
    x = _checked("conditional_outputs", model, x, outputs, key)
    found = _outputs(model, x, outputs, key)
    check_outputs(found)
    return found


def _checked(name: str, model: Mlp, x: ArrayLike, outputs: int, key: Key[Array, ""]) -> Array:
    """Check the arguments of a draw, and convert the inputs to floats."""
    if getattr(model, "type", None) != "mlp":
        raise TypeError(f"{name} takes an Mlp of ceflow.spec, not a {type(model).__name__}")
    require_count("outputs", outputs)
    require_key(key)
    if not model.is_finite:
        raise ValueError("a network with an infinite layer cannot be drawn; use kernels.analytic")
    x = nets.floats(x)
    check_examples("x", x)
    if x.ndim != 2 or not x.size or model.inputs not in (None, x.shape[1]):
        raise ValueError(f"x must be (examples, {model.inputs or 'inputs'}), not {x.shape}")
    return x


class _Layer(NamedTuple):
    """A hidden layer after the forward pass: what the backward pass needs of it.

    `inputs` are the hidden vectors (fan_in, N), `basis` is their orthonormal basis Q, `seen` is the
    product W Q, and `slopes` are phi'(z), (width, N).
    """

    inputs: Array
    basis: Array
    seen: Array
    slopes: Array


@eqx.filter_jit
def _draw(model: Mlp, x: Array, outputs: int, key: Array) -> Array:
    layers, h = [], x.T
    forward, backward = jax.random.split(key)
    for width, k in zip(model.widths, jax.random.split(forward, len(model.widths)), strict=True):
        layer, h = _up(model, h, int(width), k)
        layers.append(layer)
    keys = jax.random.split(backward, len(layers))
    scale = math.sqrt(model.last_variance / len(h))
    kernel = outputs * (scale**2 * h.T @ h + model.bias_variance)
    # the forward pass skips the last layer, whose errors are its weights
    errors = scale * jax.random.normal(keys[0], (len(h), 1, outputs), x.dtype)
    errors = jnp.broadcast_to(errors, (len(h), x.shape[0], outputs))
    for depth, layer in reversed(list(enumerate(layers))):
        errors = errors * layer.slopes[:, :, None]
        variance = model.weight_variance / len(layer.inputs)
        inner = variance * layer.inputs.T @ layer.inputs + model.bias_variance
        kernel += inner * jnp.einsum("uia,uja->ij", errors, errors)
        if depth:
            errors = math.sqrt(variance) * _down(layer, errors, keys[depth])
    return kernel


def _up(model: Mlp, h: Array, width: int, key: Array) -> tuple[_Layer, Array]:
    """Compute `z = sqrt(c/fan_in) W h + sqrt(b) beta` for all inputs at once, and phi(z)."""
    basis, coordinates = jnp.linalg.qr(h)
    # In a batch, LAPACK calls wait for the thread pool that they run in: with the next one of these
    # beside it, two cores would wait forever. So what follows waits for the basis too.
    coordinates += 0 * basis[:1, :1]
    weight_key, bias_key = jax.random.split(key)
    seen = jax.random.normal(weight_key, (width, basis.shape[1]), h.dtype)
    z = math.sqrt(model.weight_variance / len(h)) * seen @ coordinates
    if model.bias_variance:
        z += math.sqrt(model.bias_variance) * jax.random.normal(bias_key, (width, 1), h.dtype)
    phi = nets.ACTIVATIONS[model.activation]
    values, slopes = jax.jvp(phi, (z,), (jnp.ones_like(z),))
    return _Layer(h, basis, seen, slopes), values


def _down(layer: _Layer, errors: Array, key: Array) -> Array:
    """Draw `W' e` for all inputs and outputs, given W Q; the result is (fan_in, N, outputs)."""
    flat = errors.reshape(len(errors), -1)
    known = layer.basis @ (layer.seen.T @ flat)
    triangle = jnp.linalg.qr(flat, mode="r")
    fresh = jax.random.normal(key, (len(layer.inputs), len(triangle)), flat.dtype)
    fresh -= layer.basis @ (layer.basis.T @ fresh)  # orthogonal to the forward pass's vectors
    return (known + fresh @ triangle).reshape(-1, *errors.shape[1:])


@eqx.filter_jit
def _outputs(model: Mlp, x: Array, outputs: int, key: Array) -> Array:
    *hidden, last = jax.random.split(key, len(model.widths) + 1)
    phi, h, bias_variance = nets.ACTIVATIONS[model.activation], x.T, model.bias_variance
    for width, k in zip(model.widths, hidden, strict=True):
        h = phi(_product(h, int(width), model.weight_variance, bias_variance, k))
    return _product(h, outputs, model.last_variance, bias_variance, last).T


def _product(h: Array, width: int, variance: float, bias_variance: float, key: Array) -> Array:
    """Draw `z = sqrt(c/fan_in) W h + sqrt(b) beta`, whose units are independent.

    Each is normal with the covariance `c/fan_in h'h + b` over the inputs. Its root is taken by the
    eigenvalues, because it is singular at equal inputs.
    """
    eigenvalues, vectors = jnp.linalg.eigh(variance / len(h) * h.T @ h + bias_variance)
    normals = jax.random.normal(key, (width, len(vectors)), h.dtype)
    return normals * jnp.sqrt(eigenvalues.clip(0)) @ vectors.T
