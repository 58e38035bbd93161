"""NNGP and NTK of infinitely wide networks."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float

from ceflow.compiler import nodes
from ceflow.compiler.models import expand, sized
from ceflow.kernels.infinite.angles import Rows, angles, rows
from ceflow.kernels.infinite.duals import DUALS
from ceflow.kernels.infinite.moments import from_angle
from ceflow.kernels.infinite.pairwise import pairwise
from ceflow.kernels.infinite.recursion import through_layers
from ceflow.kernels.infinite.spatial import NO_KERNEL, image_kernels
from ceflow.nets import floats
from ceflow.spec import Block, Bottleneck, Ensemble, Mlp, Model, Resnext, activations_of, member_of

Activation = Callable[[Array], Array]
Which = Literal["nngp", "ntk"]

BOTTLENECK = (
    "a network with a bottleneck has a kernel at infinite width where its size is infinite, of the"
    " activations that its halves have: change the model's {}"
)


class Kernels(NamedTuple):
    """The two kernels of an infinitely wide network, each (n1, n2), the same for every output."""

    nngp: Float[Array, "n1 n2"]
    ntk: Float[Array, "n1 n2"]
    error: Float[Array, ""] | float = 0.0
    """Bound on the error of every entry of both, relative to the NTK's largest diagonal entry.

    What the Hermite series leaves out, carried through the layers; rounding aside, and exactly 0
    for closed forms. The integrals behind the series are compared with those at twice the spacing:
    where the activation has kinks this part is an estimate, not a bound.
    """


def analytic(
    model: Model | nodes.Node,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    activation: Activation | None = None,
    tile: int = 512,
) -> Kernels:
    """Kernels of a model as all hidden widths go to infinity, whatever widths it says.

    The layer recursion with dual activations, in NTK parameterisation with the model's variances:
    a dense layer maps the covariance S to `c S + b` and the NTK to `c S + b + c NTK`; an activation
    maps S to `E[phi phi]` and the NTK to `E[phi' phi'] NTK`. An ensemble has its member's kernels
    (CE section 2); a `Bottleneck` has those of encoder and decoder in a row, where its size too is
    infinite. Stable at equal, opposite and zero inputs, and differentiable there.

    `x2` is `x1` by default, and then only half of the matrix is computed. Of relu, leaky-relu, abs,
    linear, erf, gelu, sin and cos by closed forms; of others by a Hermite series, whose error
    `Kernels.error` bounds. `activation`, an elementwise function in JAX, replaces the model's (pass
    the same function again, not a new lambda, or all is compiled anew). `tile` rows are computed
    at once, beside which memory holds the inputs and the result; its bits do not depend on it.

    Of a `Block` the examples are patches, (n, channels, 3, 3) or as rows. In place of a model a
    tree of layers (`ceflow.compiler.nodes`) can be given, with convolutions, average pooling and
    residual connections, and then images (n, channels, height, width). A pair of images costs the
    square of the number of their positions where the network pools.

    Raises `ValueError` for inputs that are not two batches of finite numbers of one shape, a tile
    below 1, or a network whose values are not Gaussian at infinite width: a finite bottleneck, an
    activation on a sum of unequals, batch normalisation, maxima.

    >>> from ceflow.spec import Mlp
    >>> x = jnp.ones((1, 4))     # |x|^2 = d: the NTK of a ReLU network is H + 1
    >>> print(analytic(Mlp(widths=[float("inf")] * 3), x).ntk)
    [[4.]]
    """
    if not isinstance(model, Mlp | Ensemble | Bottleneck):
        if activation is not None:
            raise ValueError("the activations of a tree of layers are in its layers: change them")
        return _of_images(model, x1, x2, tile)
    x1, x2 = _checked(x1, x2, tile)
    root = _root(model, x1.shape[1], activation)
    nngp, ntk = _kernels(root, x1, x2, ("nngp", "ntk"), tile)
    used = {activation} if activation is not None else activations_of(model)
    return Kernels(nngp, ntk, 0.0 if used <= DUALS.keys() else _error(root, x1, x2))


def block_kernel(
    model: Model, which: Which, *, activation: Activation | None = None, tile: int = 512
) -> Callable[..., Float[Array, "n1 n2"]]:
    """One of the two kernels as a function of `x1` and, unless it is `x1` again, `x2`.

    The other is not computed, and of `kernel(x, x)` only half. Any rows and columns of an MLP's
    kernel have the bits that they have in the whole; arguments and errors are those of `analytic`.
    Compiled once for each shape.

    >>> from ceflow.spec import Mlp
    >>> kernel = block_kernel(Mlp(widths=[float("inf")] * 3), "ntk")
    >>> print(kernel(jnp.ones((2, 4)), jnp.ones((1, 4))))
    [[4.]
     [4.]]
    """

    def kernel(
        x1: Float[ArrayLike, "n1 ..."], x2: Float[ArrayLike, "n2 ..."] | None = None
    ) -> Float[Array, "n1 n2"]:
        if isinstance(model, Block):
            return getattr(_of_images(model, x1, None if x2 is x1 else x2, tile), which)
        x1, x2 = _checked(x1, None if x2 is x1 else x2, tile)
        return _kernels(_root(model, x1.shape[1], activation), x1, x2, (which,), tile)[0]

    return kernel


def _of_images(model: Block | Resnext | nodes.Node, x1: Any, x2: Any, tile: int) -> Kernels:
    if isinstance(model, Resnext):
        raise ValueError(NO_KERNEL.format("BatchNorm"))
    if not isinstance(model, Block):
        return Kernels(*image_kernels(model, *_checked(x1, x2, tile, _shape(model))))
    root = expand(model)
    shape = _shape(root)
    one, two = _patches(x1, shape), None if x2 is None else _patches(x2, shape)
    return Kernels(*image_kernels(root, *_checked(one, two, tile, shape)))


def _patches(x: Any, shape: tuple[int, ...]) -> Any:
    """Rows of a patch's numbers as patches."""
    return jnp.reshape(floats(x), (-1, *shape)) if np.shape(x)[1:] == (math.prod(shape),) else x


def _shape(root: nodes.Node) -> tuple[int, ...]:
    """Of one example, as a network takes it."""
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
        raise ValueError(f"x1 and x2 must be ({wanted}), not {one.shape} and {two.shape}")
    dtype = jnp.result_type(one, two)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"x1 and x2 must hold real numbers, not {dtype}")
    for name, x in (("x1", one), ("x2", two)):
        if not isinstance(x, Tracer) and not np.isfinite(x).all():
            raise ValueError(f"{name} holds NaN or infinity; leave those examples out")
    return one.astype(dtype), None if x2 is None else two.astype(dtype)


def _root(model: Model, inputs: int, activation: Activation | None) -> nodes.Node:
    if isinstance(model, Bottleneck):
        if activation is not None or model.size != math.inf:
            raise ValueError(BOTTLENECK.format("activation" if activation else "size"))
    elif activation is not None:
        model = member_of(model).model_copy(update={"activation": activation})
    return expand(sized(model, inputs=inputs, outputs=1))


@eqx.filter_jit
def _kernels(
    root: nodes.Node, x1: Array, x2: Array | None, which: tuple[Which, ...], tile: int
) -> tuple[Array, ...]:
    def block(one: Rows, two: Rows, same: Bool[Array, "a b"] | None) -> tuple[Array, ...]:
        q1, q2 = one.square[:, None] / x1.shape[1], two.square / x1.shape[1]
        state = through_layers(root, from_angle(q1, q2, angles(one, two, same)))
        return tuple(state.ntk if name == "ntk" else state.moments.covariance for name in which)

    return pairwise(block, rows, x1, x2, tile)


@eqx.filter_jit
def _error(root: nodes.Node, x1: Array, x2: Array | None) -> Float[Array, ""]:
    """From the diagonal: each entry's bound is a sum of geometric means of two diagonal ones."""
    square = rows(x1 if x2 is None else jnp.concatenate([x1, x2])).square
    q = square / x1.shape[1]
    state = through_layers(root, from_angle(q, q, jnp.zeros_like(q)))
    return jnp.max(state.ntk_error) / jnp.max(state.ntk)
