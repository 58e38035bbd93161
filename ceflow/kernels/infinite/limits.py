"""NNGP and NTK of infinitely wide networks."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float

from ceflow._words import one_of
from ceflow.compiler import nodes
from ceflow.compiler.models import expand
from ceflow.compiler.programs import program
from ceflow.events import InaccurateKernelWarning
from ceflow.kernels.infinite.angles import Rows, angles, rows
from ceflow.kernels.infinite.errors import over_largest, started
from ceflow.kernels.infinite.gaussian import NO_KERNEL
from ceflow.kernels.infinite.moments import Moments, from_angle
from ceflow.kernels.infinite.pairwise import pairwise
from ceflow.kernels.infinite.recursion import through_layers
from ceflow.kernels.infinite.spatial import image_error, image_kernels
from ceflow.nets import ACTIVATIONS, floats, numbers
from ceflow.spec import Model, ModelSpec

Activation = Callable[[Array], Array]
Which = Literal["nngp", "ntk"]

TRIED = 64
"""Variances at which errors are bounded, spread over those of the inputs."""

PROBED = (-3.0, -1.0, 0.0, 1.0, 3.0)
"""Where an activation of the user's is looked at, before anything is made of it."""

TOLERATED = 0.01
"""The error of a kernel above which there is a warning."""

REMEDY = (
    "take precision float64, inputs of smaller scale, smaller weight variances, or an activation"
    " with a closed form"
)

INACCURATE = "the analytic kernel may be off by {:.2g} of its largest diagonal entry: " + REMEDY

UNKNOWN = (
    "the analytic kernel may be off by as much as its entries, or more, so that its numbers say"
    " nothing: " + REMEDY
)

OUT_OF_RANGE = (
    "the kernel of inputs of up to {:.2g} has variances that {} cannot hold, or not to its digits:"
    " bring the inputs to the scale of 1 (normalise, scale), or take weight variances that neither"
    " blow up nor vanish with depth"
)

IN_DOUBLE = ", or precision float64"

BOTTLENECK = (
    "a network with a bottleneck has a kernel at infinite width where its size is infinite, of the"
    " activations that its halves have: change the model's {}"
)

IN_LAYERS = "the activations of a tree of layers are in its layers: change them"


class Kernels(NamedTuple):
    """The two kernels of an infinitely wide network, each (n1, n2), the same for every output."""

    nngp: Float[Array, "n1 n2"]
    ntk: Float[Array, "n1 n2"]
    error: Float[Array, ""] | float = 0.0
    """Bound on the difference of every entry of both, as returned, from the exact limit, over the
    NTK's largest diagonal entry (that of `x1` and `x2`, examples with themselves).

    Rounding in the inputs' precision, what series leave out and the integrals behind them, carried
    through the layers to first order. Those integrals are compared with the same at twice the
    spacing: of a function given as `activation` this part is an estimate, not a bound, where it has
    kinks or changes over less than a thirtieth of the deviation of its argument. NaN where the
    error may be as large as the entries: then it is not known, and the numbers say nothing.
    """


def analytic(
    model: Model | nodes.Node,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    activation: Activation | None = None,
    tile: int = 512,
) -> Kernels:
    """Compute kernels of a model as all hidden widths go to infinity, whatever widths it says.

    The layer recursion with dual activations, in NTK parameterisation with the model's variances:
    a dense layer maps the covariance S to `c S + b` and the NTK to `c S + b + c NTK`; an activation
    maps S to `E[phi phi]` and the NTK to `E[phi' phi'] NTK`. An ensemble has its member's kernels
    (CE section 2); a `Bottleneck` has those of encoder and decoder in a row, where its size too is
    infinite. Stable at equal, opposite and zero inputs, and differentiable there.

    `x2` is `x1` by default, and then only half of the matrix is computed. Of relu, leaky-relu, abs,
    linear, erf, gelu, sin and cos by closed forms; of tanh, softplus and silu by a Hermite series
    or, where the variance of their argument is large, by a mixture of closed forms; of others by a
    Hermite series. `Kernels.error` bounds what all of it is off by; above 1 %, and where no bound
    is known (NaN), an `InaccurateKernelWarning` says so. `activation`, an elementwise function in
    JAX, replaces the model's (pass the same function again, not a new lambda, or all is compiled
    anew). `tile` rows are computed at once, beside which memory holds the inputs and the result;
    its bits do not depend on it.

    Of a `Block` the examples are patches, (n, channels, 3, 3) or as rows. In place of a model a
    tree of layers (`ceflow.compiler.nodes`) can be given, with convolutions, average pooling and
    residual connections, and then images (n, channels, height, width). A pair of images costs the
    square of the number of their positions where the network pools.

    Raises `ValueError` for inputs that are not two batches of finite numbers of one shape, a tile
    below 1, variances that the inputs' precision cannot hold, or a network whose values are not
    Gaussian at infinite width: a finite bottleneck, an activation on a sum of unequals, batch
    normalisation, maxima.

    >>> from ceflow.spec import Mlp
    >>> x = jnp.ones((1, 4))     # |x|^2 = d: the NTK of a ReLU network is H + 1
    >>> print(analytic(Mlp(widths=[float("inf")] * 3), x).ntk)
    [[4.]]
    """
    root, x1, x2 = _arguments(model, activation, x1, x2, tile)
    nngp, ntk = _kernels(root, x1, x2, ("nngp", "ntk"), tile)
    return Kernels(nngp, ntk, _said(_bound(root, x1, x2), x1, x2))


def analytic_error(
    model: Model | nodes.Node,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    activation: Activation | None = None,
) -> Float[Array, ""] | float:
    """Compute the `error` of `analytic` alone, from the inputs' lengths.

    It serves kernels made in blocks.

    Raises what `analytic` does, and warns as it does.

    >>> from ceflow.spec import Mlp
    >>> bool(analytic_error(Mlp(widths=[float("inf")] * 3), jnp.ones((2, 4))) < 1e-4)
    True
    """
    root, x1, x2 = _arguments(model, activation, x1, x2)
    return _said(_bound(root, x1, x2), x1, x2)


def block_kernel(
    model: Model, which: Which, *, activation: Activation | None = None, tile: int = 512
) -> Callable[..., Float[Array, "n1 n2"]]:
    """Make one of the two kernels a function of `x1` and, unless it is `x1` again, `x2`.

    The other is not computed, and of `kernel(x, x)` only half. Any rows and columns of an MLP's
    kernel have the bits that they have in the whole; arguments and what is raised are those of
    `analytic`. How far off it may be says `analytic_error`. Compiled once for each shape.

    Raises `ValueError` for a word that names neither.

    >>> from ceflow.spec import Mlp
    >>> kernel = block_kernel(Mlp(widths=[float("inf")] * 3), "ntk")
    >>> print(kernel(jnp.ones((2, 4)), jnp.ones((1, 4))))
    [[4.]
     [4.]]
    """
    one_of("which", which, get_args(Which))

    def kernel(
        x1: Float[ArrayLike, "n1 ..."], x2: Float[ArrayLike, "n2 ..."] | None = None
    ) -> Float[Array, "n1 n2"]:
        x2 = None if x2 is x1 else x2
        root, x1, x2 = _arguments(model, activation, x1, x2, tile)
        return _held(_kernels(root, x1, x2, (which,), tile)[0], x1, x2)

    return kernel


def _held(kernel: Array, x1: Array, x2: Array | None) -> Array:
    """Give the kernel, if its numbers are held by their type; else raise `ValueError`."""
    if isinstance(kernel, Tracer):
        return kernel
    found = np.asarray(jnp.diagonal(kernel) if x2 is None else kernel)
    held = np.isfinite(found).all()
    if x2 is None and held:
        vanished = np.abs(found) < jnp.finfo(kernel.dtype).tiny
        held = not (vanished.any() and np.asarray(x1)[vanished].any())
    if not held:
        _within(math.inf, x1, x2)
    return kernel


def _arguments(
    model: Model | nodes.Node, activation: Activation | None, x1: Any, x2: Any, tile: int = 1
) -> tuple[nodes.Node, Array, Array | None]:
    """Expand to the layers, their widths left out, and shape examples as the first takes them.

    What is compiled is shared by models that differ in their widths alone.
    """
    if not isinstance(model, ModelSpec):
        if activation is not None:
            raise ValueError(IN_LAYERS)
        return model, *_checked(x1, x2, tile, _shape(model))
    limit = _limit(model, activation)
    inputs = limit.size_of("inputs")
    if not isinstance(inputs, tuple):
        x1, x2 = _checked(x1, x2, tile, None if inputs is None else (inputs,))
        return expand(limit.sized(inputs=x1.shape[1], outputs=1)), x1, x2
    one, two = _patches(x1, inputs), None if x2 is None else _patches(x2, inputs)
    return expand(limit), *_checked(one, two, tile, inputs)


def _limit(model: Model, activation: Activation | None) -> Any:
    """Take the model at infinite width, with this activation."""
    if model.has_batch_norm:
        raise ValueError(NO_KERNEL.format("BatchNorm"))
    limit = model.limit
    if limit.is_mixed or (activation is not None and model.has_bottleneck):
        raise ValueError(BOTTLENECK.format("size" if activation is None else "activation"))
    if activation is None:
        return limit
    _check_activation(activation)
    return limit.replaced({"activation": activation})


def _patches(x: Any, shape: tuple[int, ...]) -> Any:
    """Reshape rows of a patch's numbers to patches."""
    rows = numbers(x)
    return rows.reshape(-1, *shape) if rows.shape[1:] == (math.prod(shape),) else rows


def _shape(root: nodes.Node) -> tuple[int, ...]:
    """Give the shape of one example, as a network takes it."""
    inputs = root.inputs if isinstance(root.inputs, tuple) else (root.inputs, 1, 1)
    return tuple(map(int, inputs))


def _checked(
    x1: Any, x2: Any, tile: int, shape: tuple[int, ...] | None = None
) -> tuple[Array, Array | None]:
    if tile < 1:
        raise ValueError(f"a tile must have at least 1 row, not {tile}")
    one, two = floats(x1), floats(x1 if x2 is None else x2)
    fit = one.ndim == 2 if shape is None else one.shape[1:] == shape
    if one.shape[1:] != two.shape[1:] or not fit or not one.size or not two.size:
        wanted = ", ".join(map(str, ("examples", *(shape or ("inputs",)))))
        if x2 is None:
            raise ValueError(f"x1 must be ({wanted}), not {one.shape}")
        raise ValueError(f"x1 and x2 must be ({wanted}), not {one.shape} and {two.shape}")
    dtype = jnp.result_type(one, two)
    for name, x in (("x1", one), ("x2", two)):
        if not isinstance(x, Tracer) and not np.isfinite(x).all():
            raise ValueError(f"{name} holds NaN or infinity; leave those examples out")
    one, other = one.astype(dtype), None if x2 is None else two.astype(dtype)
    if not isinstance(one, Tracer) and not isinstance(other, Tracer):
        largest = max(float(np.abs(x).max()) for x in map(np.asarray, (one, two)))
        if 0 < largest < float(jnp.finfo(dtype).tiny):  # which products take for 0
            _within(math.inf, one, other)
    return one, other


def _check_activation(activation: Activation | str) -> None:
    """Raise `ValueError` unless it is one of the language, or gives finite floats of any."""
    if isinstance(activation, str):
        one_of("activation", activation, ACTIVATIONS)
        return
    if not callable(activation):
        raise ValueError(f"activation must be an elementwise function in JAX, not {activation!r}")
    with jax.ensure_compile_time_eval():
        points = jnp.asarray(PROBED)
        try:
            values = jax.jit(lambda u: activation(u))(points)  # traced, as it will be
        except Exception as error:  # whatever a function of another's raises
            raise ValueError(
                "an activation must run on arrays of JAX: write it with jax.numpy"
                f" ({type(error).__name__})"
            ) from error
        if not isinstance(values, jax.Array) or not jnp.issubdtype(values.dtype, jnp.floating):
            raise ValueError("an activation must give an array of real floats; this one does not")
        if values.shape == points.shape and not np.isfinite(values).all():
            wrong = PROBED[int(np.argmin(np.isfinite(values)))]
            raise ValueError(
                f"an activation must be finite at every number; this one is not at {wrong:g}"
            )


def _kernels(
    root: nodes.Node, x1: Array, x2: Array | None, which: tuple[Which, ...], tile: int
) -> tuple[Array, ...]:
    """Compute those asked for, of vectors or of images."""
    if x1.ndim == 2:
        return _of_vectors(root, x1, x2, which, tile)
    both = image_kernels(root, x1, x2)
    return tuple(both[name == "ntk"] for name in which)


@eqx.filter_jit
def _of_vectors(
    root: nodes.Node, x1: Array, x2: Array | None, which: tuple[Which, ...], tile: int
) -> tuple[Array, ...]:
    def block(one: Rows, two: Rows, same: Bool[Array, "a b"] | None) -> tuple[Array, ...]:
        q1, q2 = one.square[:, None] / x1.shape[1], two.square / x1.shape[1]
        state = through_layers(root, from_angle(q1, q2, angles(one, two, same)))
        return tuple(state.ntk if name == "ntk" else state.moments.covariance for name in which)

    return pairwise(block, rows, x1, x2, tile)


def _bound(root: nodes.Node, x1: Array, x2: Array | None) -> Float[Array, ""]:
    """Bound the kernels' errors; compiled once a network, whatever the length of vectors."""
    return _bound_at(root, _tried(x1, x2)) if x1.ndim == 2 else image_error(root, x1, x2)


@program
def _tried(x1: Array, x2: Array | None) -> Float[Array, " tried"]:
    """Spread variances over those of the inputs, with the least and the largest."""
    q = jnp.sort(jnp.concatenate([_variances(x) for x in (x1, x2) if x is not None]))
    return q[np.linspace(0, len(q) - 1, TRIED).round().astype(int)]


def _variances(x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Compute `|x|^2/d`, and of what is not zero the least number at least."""
    q = (x**2).sum(axis=1) / x.shape[1]
    return jnp.where((x != 0).any(axis=1), jnp.maximum(q, float(jnp.finfo(x.dtype).tiny)), 0.0)


def _bound_at(root: nodes.Node, q: Float[Array, " tried"]) -> Float[Array, ""]:
    """Bound errors from the diagonal.

    Each entry's bound is a sum of geometric means of two diagonal ones."""
    state = through_layers(root, _started(q))
    return _over_largest(jnp.asarray(state.ntk_error), state.ntk)


@program
def _started(q: Float[Array, " tried"]) -> Moments:
    """Make the moments of inputs of these variances, each with itself, and their errors."""
    return started(Moments(q, q, jnp.zeros_like(q), q))


_over_largest = program(over_largest)


def _within(
    error: Float[Array, ""] | float, x1: Array, x2: Array | None
) -> Float[Array, ""] | float:
    """Give the error of inputs; raise `ValueError` where none can be given."""
    if isinstance(error, Tracer) or not np.isinf(error):
        return error
    largest = max(float(np.abs(np.asarray(x)).max()) for x in (x1, x2) if x is not None)
    said = OUT_OF_RANGE.format(largest, x1.dtype)
    raise ValueError(said + (IN_DOUBLE if x1.dtype == jnp.float32 else ""))


def _said(error: Float[Array, ""] | float, x1: Array, x2: Array | None) -> Float[Array, ""] | float:
    """Give the same, with a warning where it is large."""
    remark = inaccuracy(_within(error, x1, x2))
    if remark:
        warnings.warn(remark, InaccurateKernelWarning, stacklevel=3)
    return error


def inaccuracy(error: Float[Array, ""] | float) -> str | None:
    """Write a sentence on an analytic kernel whose error is above 1 % or not known, or nothing.

    >>> inaccuracy(1e-6)
    """
    if isinstance(error, Tracer) or float(error) <= TOLERATED:
        return None
    if math.isnan(float(error)):
        return UNKNOWN
    return INACCURATE.format(float(error))
