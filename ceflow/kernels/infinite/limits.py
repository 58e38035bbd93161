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
from ceflow.kernels.costs import is_of_vectors
from ceflow.kernels.infinite.angles import Rows, angles, rows
from ceflow.kernels.infinite.errors import over_largest, started
from ceflow.kernels.infinite.gaussian import NO_KERNEL, require_outputs
from ceflow.kernels.infinite.images import image_error, image_kernels
from ceflow.kernels.infinite.moments import Moments, from_angle
from ceflow.kernels.infinite.pairwise import pairwise
from ceflow.kernels.infinite.recursion import through_layers
from ceflow.nets import ACTIVATIONS, floats, numbers
from ceflow.spec import Model, ModelSpec
from ceflow.spec.diagnostics import dotted

Activation = Callable[[Array], Array]
Which = Literal["nngp", "ntk"]

TRIED_VARIANCES = 64
"""Number of variances at which errors are bounded; they are spread over those of the inputs."""

TEST_POINTS = (-3.0, -1.0, 0.0, 1.0, 3.0)
"""Points at which a user's activation function is tested."""

LARGEST_SILENT_ERROR = 0.01
"""Largest error of a kernel without a warning."""

REMEDY = (
    "take precision float64, inputs of smaller scale, smaller weight variances, or an activation"
    " with a closed form"
)

INACCURATE = "the analytic kernel may be off by {:.2g} of its largest diagonal entry: " + REMEDY

UNKNOWN = (
    "the error of the analytic kernel may be as large as its entries, so that its numbers mean"
    " nothing: " + REMEDY
)

OUT_OF_RANGE = (
    "the kernel of inputs of up to {:.2g} has variances out of the range of {}: bring the inputs to"
    " the scale of 1 (normalise, scale), or take weight variances that neither blow up nor vanish"
    " with depth"
)

OR_FLOAT64 = ", or precision float64"

BOTTLENECK = (
    "a network with a bottleneck has a kernel at infinite width only if its size is infinite, and"
    " with the activations of its halves: change the model's {}"
)

IN_LAYERS = "a tree of layers has its own activations: change them in its layers"


class Kernels(NamedTuple):
    """The two kernels of an infinitely wide network, each (n1, n2), the same for every output."""

    nngp: Float[Array, "n1 n2"]
    ntk: Float[Array, "n1 n2"]
    error: Float[Array, ""] | float = 0.0
    """Bound on the error of every entry of both kernels, relative to the NTK's largest diagonal
    entry (over examples of `x1` and `x2`).

    It includes rounding in the inputs' precision, truncation of series, and errors of integrals,
    propagated through the layers to first order. Integrals are compared with those at twice the
    spacing. For a function given as `activation` this is an estimate, not a bound, if the function
    has kinks or varies over less than a thirtieth of its argument's standard deviation. NaN if the
    error may be as large as the entries: then it is unknown, and the numbers mean nothing.
    """


def analytic(
    model: Model | nodes.Node,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    activation: Activation | None = None,
    tile: int = 512,
) -> Kernels:
    """Compute the NNGP and NTK of a model as all hidden widths go to infinity.

    The widths in the model are ignored. Kernels are propagated through the layers, in NTK
    parameterisation with the model's variances: a dense layer maps the covariance S to `c S + b`
    and the NTK to `c S + b + c NTK`; an activation maps S to `E[phi phi]` and the NTK to
    `E[phi' phi'] NTK`. An ensemble has its member's kernels (CE section 2). A `Bottleneck` of
    infinite size has the kernels of encoder and decoder composed. Equal, opposite and zero inputs
    are accurate, and the kernels are differentiable there.

    By default `x2` is `x1`, and only half of the matrix is computed. relu, leaky-relu, abs, linear,
    erf, gelu, sin and cos use closed forms; tanh, softplus and silu use a Hermite series or, if the
    variance of their argument is large, a mixture of closed forms; other activations use a Hermite
    series. `Kernels.error` bounds the error; above 1 %, or if no bound is known (NaN), an
    `InaccurateKernelWarning` is issued. `activation`, an elementwise JAX function, replaces the
    model's; pass the same function object again, as a new lambda is compiled again. `tile` is the
    number of rows computed at once: besides a tile, memory holds the inputs and the result. The
    result does not depend on `tile`, bit for bit.

    For a `Block`, examples are patches, (n, channels, 3, 3) or flattened to rows. Instead of a
    model, a tree of layers (`ceflow.compiler.nodes`) can be given, with convolutions, average
    pooling and residual connections; then examples are images (n, channels, height, width). If the
    network pools, the cost of a pair of images is quadratic in the number of positions.

    Raises `ValueError` for inputs that are not two batches of finite numbers of the same shape, a
    tile below 1, variances out of the range of the inputs' precision, or a network whose values are
    not Gaussian at infinite width: one with a finite bottleneck, an activation of a sum of unequal
    terms, batch normalisation, maxima, or an end in an activation, a norm or an image.

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
    """Compute only the `error` of `analytic`, for kernels that are computed in blocks.

    It depends only on the inputs' norms. Raises the same errors and issues the same warnings as
    `analytic`.

    >>> from ceflow.spec import Mlp
    >>> bool(analytic_error(Mlp(widths=[float("inf")] * 3), jnp.ones((2, 4))) < 1e-4)
    True
    """
    root, x1, x2 = _arguments(model, activation, x1, x2)
    return _said(_bound(root, x1, x2), x1, x2)


def block_kernel(
    model: Model | nodes.Node,
    which: Which,
    *,
    activation: Activation | None = None,
    tile: int = 512,
) -> Callable[..., Float[Array, "n1 n2"]]:
    """Return a function `kernel(x1, x2=x1)` that computes the NNGP or the NTK alone.

    `which` is "nngp" or "ntk". Of `kernel(x, x)`, only half is computed. A block of an MLP's kernel
    is bit for bit the same as in the whole kernel. Other arguments and errors are those of
    `analytic`; `analytic_error` bounds the error. The function is compiled once per shape.

    Raises `ValueError` if `which` is neither.

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
    """Return the kernel; raise `ValueError` if numbers are out of the range of their type."""
    if isinstance(kernel, Tracer):
        return kernel
    found = np.asarray(kernel)
    found = found.diagonal() if x2 is None else found
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
    """Return the layers and the examples, checked to have a kernel."""
    root, one, two = _expanded(model, activation, x1, x2, tile)
    require_outputs(root)
    return root, one, two


def _expanded(
    model: Model | nodes.Node, activation: Activation | None, x1: Any, x2: Any, tile: int
) -> tuple[nodes.Node, Array, Array | None]:
    """Expand the model to layers without widths, and reshape examples to its input shape.

    Models that differ only in widths give the same layers, and share compiled programs.
    """
    if not isinstance(model, ModelSpec):
        if not isinstance(model, nodes.Node):
            raise TypeError(
                "a model of ceflow.spec or a tree of layers is wanted, not a"
                f" {type(model).__name__}: empirical_ntk takes modules"
            )
        if activation is not None:
            raise ValueError(IN_LAYERS)
        return model, *_checked(x1, x2, tile, _shape(model))
    limit = _limit(model, activation)
    inputs = limit.size_of("inputs")
    if not isinstance(inputs, tuple):
        x1, x2 = _checked(x1, x2, tile, None if inputs is None else (inputs,))
        root = expand(limit.sized(inputs=x1.shape[1], outputs=1))
        if is_of_vectors(root):
            return root, x1, x2
        return root, x1[..., None, None], None if x2 is None else x2[..., None, None]
    one, two = _patches(x1, inputs), None if x2 is None else _patches(x2, inputs)
    return expand(limit.sized(outputs=1)), *_checked(one, two, tile, inputs)


def _limit(model: Model, activation: Activation | None) -> Any:
    """Return the model at infinite width, with the given activation."""
    if activation is not None and not model.has_one_activation:
        raise ValueError(IN_LAYERS)
    if model.has_batch_norm:
        raise ValueError(NO_KERNEL.format("BatchNorm"))
    limit = model.limit
    if (reason := limit.why_no_limit) and reason.path:
        raise ValueError(f"{dotted(reason.path)}: {reason.message}; {reason.help}")
    if limit.is_mixed or (activation is not None and model.bottlenecks):
        raise ValueError(BOTTLENECK.format("size" if activation is None else "activation"))
    if activation is None:
        return limit
    _check_activation(activation)
    return limit.replaced({"activation": activation})


def _patches(x: Any, shape: tuple[int, ...]) -> Any:
    """Reshape patches that are flattened to rows."""
    rows = numbers(x)
    return rows.reshape(-1, *shape) if rows.shape[1:] == (math.prod(shape),) else rows


def _shape(root: nodes.Node) -> tuple[int, ...]:
    """Return the shape of one input of a network."""
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
        if 0 < largest < float(jnp.finfo(dtype).tiny):  # products would underflow to 0
            _within(math.inf, one, other)
    return one, other


def _check_activation(activation: Activation | str) -> None:
    """Raise `ValueError` unless an activation is a known name or a finite JAX function."""
    if isinstance(activation, str):
        one_of("activation", activation, ACTIVATIONS)
        return
    if not callable(activation):
        raise ValueError(f"activation must be an elementwise function in JAX, not {activation!r}")
    with jax.ensure_compile_time_eval():
        points = jnp.asarray(TEST_POINTS)
        try:
            values = jax.jit(lambda u: activation(u))(points)  # traced, as in later use
        except Exception as error:  # a user's function may raise anything
            raise ValueError(
                "an activation must run on arrays of JAX: write it with jax.numpy"
                f" ({type(error).__name__})"
            ) from error
        if not isinstance(values, jax.Array) or not jnp.issubdtype(values.dtype, jnp.floating):
            raise ValueError("an activation must give an array of real floats; this one does not")
        if values.shape != points.shape:
            raise ValueError(
                "an activation must be elementwise: this one gives an array of shape"
                f" {values.shape} for one of {points.shape}"
            )
        if not np.isfinite(values).all():
            wrong = TEST_POINTS[int(np.argmin(np.isfinite(values)))]
            raise ValueError(
                f"an activation must be finite at every number; this one is not at {wrong:g}"
            )


def _kernels(
    root: nodes.Node, x1: Array, x2: Array | None, which: tuple[Which, ...], tile: int
) -> tuple[Array, ...]:
    """Compute the requested kernels, of vectors or of images."""
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
    """Bound the kernels' errors; compiled once per network, for vectors of any length."""
    return _bound_at(root, _tried(x1, x2)) if x1.ndim == 2 else image_error(root, x1, x2)


@program
def _tried(x1: Array, x2: Array | None) -> Float[Array, " tried"]:
    """Choose variances spread over those of the inputs, including the smallest and largest."""
    q = jnp.sort(jnp.concatenate([_variances(x) for x in (x1, x2) if x is not None]))
    return q[np.linspace(0, len(q) - 1, TRIED_VARIANCES).round().astype(int)]


def _variances(x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Compute `|x|^2/d`; if x is not zero, at least the smallest normal number."""
    q = (x**2).sum(axis=1) / x.shape[1]
    return jnp.where((x != 0).any(axis=1), jnp.maximum(q, float(jnp.finfo(x.dtype).tiny)), 0.0)


def _bound_at(root: nodes.Node, q: Float[Array, " tried"]) -> Float[Array, ""]:
    """Bound errors on the diagonal, where they are largest.

    The bound of an entry is a sum of geometric means of two diagonal bounds.
    """
    state = through_layers(root, _started(q))
    return _over_largest(jnp.asarray(state.ntk_error), state.ntk)


@program
def _started(q: Float[Array, " tried"]) -> Moments:
    """Create the moments of inputs with variances q, each paired with itself, and their errors."""
    return started(Moments(q, q, jnp.zeros_like(q), q))


_over_largest = program(over_largest)


def _within(
    error: Float[Array, ""] | float, x1: Array, x2: Array | None
) -> Float[Array, ""] | float:
    """Return the error bound; raise `ValueError` if it is infinite: variances are out of range."""
    if isinstance(error, Tracer) or not np.isinf(error):
        return error
    largest = max(float(np.abs(np.asarray(x)).max()) for x in (x1, x2) if x is not None)
    said = OUT_OF_RANGE.format(largest, x1.dtype)
    raise ValueError(said + (OR_FLOAT64 if x1.dtype == jnp.float32 else ""))


def _said(error: Float[Array, ""] | float, x1: Array, x2: Array | None) -> Float[Array, ""] | float:
    """Return the error bound as `_within` does; issue a warning if it is large or unknown."""
    remark = inaccuracy(_within(error, x1, x2))
    if remark:
        warnings.warn(remark, InaccurateKernelWarning, stacklevel=3)
    return error


def inaccuracy(error: Float[Array, ""] | float) -> str | None:
    """Return a warning if an analytic kernel's error is above 1 % or unknown, otherwise None.

    >>> inaccuracy(1e-6)
    """
    if isinstance(error, Tracer) or float(error) <= LARGEST_SILENT_ERROR:
        return None
    if math.isnan(float(error)):
        return UNKNOWN
    return INACCURATE.format(float(error))
