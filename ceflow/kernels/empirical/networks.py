"""Preparation of a module for its NTK: parameters, the rest of the module, and traced function."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend import core
from jaxtyping import Array, ArrayLike, PyTree

from ceflow.kernels.empirical.evaluate import Evaluation
from ceflow.kernels.empirical.uses import Use, equations_in, find_uses
from ceflow.nets import BatchNorm, Frozen, floats
from ceflow.nets.types import is_narrow, is_whole, wider

PickLeaves = Callable[[Any], Any]

TRAINING_LAYERS = (BatchNorm, eqx.nn.BatchNorm, eqx.nn.Dropout, eqx.nn.SpectralNorm)
"""Layers that compute something else in training mode than in inference mode."""


def widened(tree: PyTree) -> PyTree:
    """Convert arrays of float16 and bfloat16 to float32, as sums in these overflow and round."""
    return jax.tree.map(
        lambda leaf: leaf.astype(wider(leaf.dtype)) if eqx.is_inexact_array(leaf) else leaf, tree
    )


def pair_for(
    module: eqx.Module,
    state: eqx.nn.State | None,
    x1: ArrayLike,
    x2: ArrayLike | None,
    name: str = "x1",
) -> tuple[Array, Array | None]:
    """Convert two batches of examples to arrays that the module takes.

    Raises `ValueError` if one is not a batch of finite numbers, or if the shapes of their examples
    differ. `name` is the name of x1 in messages.
    """
    one = examples_for(module, state, x1)
    two = None if x2 is None else examples_for(module, state, x2)
    check_examples(name, one)
    if two is not None:
        check_examples("x2", two)
        if one.shape[1:] != two.shape[1:]:
            raise ValueError(
                f"{name} and x2 hold examples of different shapes, {one.shape[1:]} and"
                f" {two.shape[1:]}"
            )
    return one, two


def check_examples(name: str, x: Array) -> None:
    """Raise `ValueError` unless x holds examples as rows of finite numbers.

    In a traced function, only the shape is checked.
    """
    if not x.ndim or not len(x):
        raise ValueError(f"{name} must hold examples as rows, not be of shape {x.shape}")
    if isinstance(x, Tracer) or not jnp.issubdtype(x.dtype, jnp.inexact):
        return
    bad = np.flatnonzero(~np.isfinite(np.asarray(x).reshape(len(x), -1)).all(axis=1))
    if bad.size:
        raise ValueError(
            f"row {bad[0]} of {name} holds NaN or infinity; mend it or leave it out"
            + (f" ({bad.size} rows do)" if bad.size > 1 else "")
        )


def examples_for(module: eqx.Module, state: eqx.nn.State | None, x: ArrayLike) -> Array:
    """Convert examples to what the module takes: floats of at least 32 bits, or whole numbers.

    Whole numbers become floats of the type of the module's parameters, unless the module accepts
    whole numbers only, as an embedding does.
    """
    kinds = [leaf.dtype for leaf in jax.tree.leaves(module) if eqx.is_inexact_array(leaf)]
    rows = floats(x, jnp.result_type(*kinds) if kinds else float)
    given = x if isinstance(x, jax.Array) else np.asarray(x)
    looks_up = is_whole(given) and rows.ndim and len(rows) and not _takes(module, rows[0], state)
    if looks_up and _takes(module, jnp.asarray(given)[0], state):
        return jnp.asarray(given)
    return rows


def _takes(module: eqx.Module, x: Array, state: eqx.nn.State | None) -> bool:
    """Return whether the module runs on an example of this type and shape."""
    try:
        eqx.filter_eval_shape(_apply, module, x, state)
    except Exception:  # a user's module may raise anything
        return False
    return True


def split(module: eqx.Module, where: PickLeaves | None) -> tuple[PyTree, PyTree]:
    """Split a module into its parameters and the rest of the module.

    `where` picks parameters as in `eqx.tree_at`. By default, all floating-point arrays are
    parameters, except for those of an `eqx.nn.State`. Raises `ValueError` if the module is not
    callable, has complex parameters, or has none.
    """
    if not callable(module):
        raise ValueError(f"a module must be callable, as those of Equinox are, not {module!r}")
    floats = jax.tree.map(eqx.is_inexact_array, module, is_leaf=_is_state)
    chosen = floats if where is None else jax.tree.map(min, floats, _picked(module, where))
    parameters, rest = eqx.partition(module, chosen)
    leaves = jax.tree.leaves(parameters)
    if any(jnp.iscomplexobj(leaf) for leaf in leaves):
        raise ValueError(
            "the module has complex parameters; hold real and imaginary parts as arrays of floats"
        )
    if not leaves:
        raise ValueError(_no_parameters(module, where))
    return parameters, rest


def _is_state(node: Any) -> bool:
    return isinstance(node, eqx.nn.State)


def _picked(module: eqx.Module, where: PickLeaves) -> PyTree:
    """Return a tree like the module, with True at all leaves of the nodes that `where` picks."""

    def everything(node: Any) -> Any:
        return jax.tree.map(lambda _: True, node, is_leaf=_is_state)

    nothing = jax.tree.map(lambda _: False, module, is_leaf=_is_state)
    return eqx.tree_at(where, nothing, replace_fn=everything, is_leaf=lambda leaf: leaf is None)


def _no_parameters(module: eqx.Module, where: PickLeaves | None) -> str:
    if where is not None:
        return "where picks no parameters; let it return arrays of floats of the module"
    if any(eqx.is_array(leaf) for leaf in jax.tree.leaves(module)):
        return "the module has no parameters: its arrays hold no floats; convert them with astype"
    return "the module has no parameters: no floating-point array is in it"


def refuse_training(module: eqx.Module, state: eqx.nn.State | None) -> None:
    """Raise `ValueError` for layers in training mode and for stateful layers without a state.

    Modules with randomness or batch statistics have no NTK.
    """
    for layer in _layers(module, TRAINING_LAYERS):
        idle = isinstance(layer, eqx.nn.Dropout) and layer.p == 0
        if not idle and layer.inference is False:
            raise ValueError(
                f"the module holds a {type(layer).__name__} in training mode;"
                " pass eqx.nn.inference_mode(module)"
            )
    if state is None and _layers(module, (eqx.nn.StateIndex,)):
        raise ValueError(
            "the module holds stateful layers; pass eqx.nn.inference_mode(module), and its state"
            " as state="
        )


def _layers(module: eqx.Module, kinds: Any) -> list[Any]:
    """Return the layers of these kinds, except inside `Frozen` ones, which hold their state."""
    ends = (Frozen, *kinds)
    nodes = jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, ends))
    return [node for node in nodes if isinstance(node, kinds)]


@dataclass(frozen=True)
class Network:
    """A module's traced function of its parameters and one example, with a flat output."""

    closed: core.ClosedJaxpr
    leaves: list[Array]

    @cached_property
    def uses(self) -> list[Use]:
        """Uses of weights whose gradients are structured."""
        return find_uses(self.closed.jaxpr, self.closed.jaxpr.invars[: len(self.leaves)])

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.closed.out_avals[0].shape[0]

    @property
    def dtype(self) -> np.dtype:
        """Type of the output, and so of the kernel."""
        return self.closed.out_avals[0].dtype

    @property
    def narrow(self) -> np.dtype | None:
        """First float type below 32 bits that the function computes in, or None."""
        outputs = (var for each in equations_in(self.closed.jaxpr) for var in each.outvars)
        kinds = (getattr(var.aval, "dtype", None) for var in outputs)
        return next((kind for kind in kinds if kind is not None and is_narrow(kind)), None)

    @cached_property
    def has_forward_mode(self) -> bool:
        """Whether the function has forward-mode derivatives by its parameters.

        It has none if it calls a function with a custom gradient, such as by `jax.custom_vjp`.
        """
        *leaves, x = (
            jax.ShapeDtypeStruct((1, *each.shape), each.dtype) for each in self.closed.in_avals
        )
        try:
            pushed = jax.make_jaxpr(jax.vmap(self.pushforward))(x, leaves)
        except Exception:  # the derivative rules of its functions may raise anything
            return False
        # JAX marks with this a derivative that it can compute by transposition only.
        return all(each.primitive.name != "custom_lin" for each in equations_in(pushed.jaxpr))

    @cached_property
    def has_reverse_mode(self) -> bool:
        """Whether the function has reverse-mode derivatives.

        It has none if it contains a loop of unknown length.
        """
        x, (output,) = self.closed.in_avals[-1], self.closed.out_avals
        given = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in (x, output)]
        try:
            jax.eval_shape(self.pullback, *given)
        except Exception:  # the derivative rules of its functions may raise anything
            return False
        return True

    def pullback(self, x: Array, v: Array) -> list[Array]:
        """Compute `J(x)^T v`, as gradients of the parameters."""
        return jax.vjp(lambda leaves: self(leaves, x), self.leaves)[1](v)[0]

    def pushforward(self, x: Array, tangent: list[Array]) -> Array:
        """Compute `J(x) t` for a tangent t of the parameters."""
        return jax.jvp(lambda leaves: self(leaves, x), (self.leaves,), (tangent,))[1]

    def __call__(self, leaves: list[Array], x: Array) -> Array:
        (output,) = Evaluation()(self.closed, [*leaves, x])
        return output


def trace(parameters: PyTree, rest: PyTree, state: eqx.nn.State | None, x: Array) -> Network:
    """Trace a module, given as the two results of `split`, for examples like x."""
    leaves, structure = jax.tree.flatten(parameters)

    def call(leaves: list[Array], x: Array) -> Array:
        apply: Any = eqx.combine(jax.tree.unflatten(structure, leaves), rest)
        return _flat(_called(apply, x, state))

    return Network(jax.make_jaxpr(call)(leaves, x), leaves)


def _called(apply: Any, x: Array, state: eqx.nn.State | None) -> Any:
    try:
        return _apply(apply, x, state)
    except Exception as error:
        message = f"the module fails on one example, of shape {x.shape}: {_first_line(error)}"
        if _takes(apply, x[None], state):
            message += "; it takes a batch, where modules here must take one example"
        elif x.ndim == 0:
            message += "; inputs are a batch of examples: give a single one as x[None]"
        raise ValueError(message) from error


def _apply(apply: Any, x: Array, state: eqx.nn.State | None) -> Any:
    return apply(x) if state is None else apply(x, state)[0]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def _flat(output: Any) -> Array:
    if not eqx.is_inexact_array(output) or jnp.iscomplexobj(output):
        kind = f"an array of {output.dtype}" if eqx.is_array(output) else type(output).__name__
        raise ValueError(f"the module must return one array of floats, not {kind}")
    return output.reshape(-1).astype(wider(output.dtype))
