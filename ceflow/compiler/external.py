"""From a function that makes a module to a layer: what the module computes, traced once.

Nothing is computed. Loads JAX.
"""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from ceflow.compiler import nodes
from ceflow.compiler.tracing import Traced, traced
from ceflow.nets import holds_state
from ceflow.seeding import pinned
from ceflow.spec import External, Fault, SpecError

NOT_KNOWN = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)
"""Errors of Python code that asks for a number while a function is traced."""

CHOOSE = (
    "no numbers are known while code is traced: choose by jnp.where or jax.lax.cond, not by a"
    " Python if, and keep what is fixed as Python numbers or NumPy arrays"
)

USERS = (Exception, SystemExit)
"""What the user's code may raise."""

NAME = ("name",)
"""Path of the name below the model, at which what is wrong with the module is shown."""


def layer_of(model: External, make: Callable[..., Any], precision: str) -> nodes.External:
    """Trace the module that `make` makes for a model with known inputs.

    Raises `SpecError` if `make` or the module fails, and if the module does not return a vector of
    floats or has no parameters.
    """
    build = Build(make, model.width)
    with pinned(), jax.enable_x64(precision == "float64"):
        key = jax.random.key(0)
        module = _made(model, build, key)
        x = jax.ShapeDtypeStruct(_shape(model), jnp.zeros(()).dtype)
        outputs = _outputs(model, module, x)
        try:
            found = _traced(module, x)
            # what Python computes on its way cannot be known to be the same
            program = uuid.uuid4().hex if found.calls_back else _program(build, key, x)
        except USERS as error:
            message = f"the module cannot be traced: {_said(error)}"
            raise _failed(model, message, _change(module, error)) from error
    return nodes.External(
        name=model.name,
        width=model.width,
        inputs=model.inputs or 0,
        outputs=outputs,
        parameters=sum(leaf.size for leaf in filter(_is_parameter, jax.tree.leaves(module))),
        flops=found.flops,
        program=program,
        products=tuple(found.layers),
        make=build,
    )


def with_weights(
    layer: nodes.External, model: External, make: Callable[..., Any], precision: str
) -> nodes.External:
    """Give a traced module the weights of the file that the model names.

    Raises `SpecError` if the file cannot be read or holds other weights than the module has.
    """
    with pinned(), jax.enable_x64(precision == "float64"):
        like = _made(model, Build(make, model.width), jax.random.key(0))
        module, digest = _read(like, Path(model.weights or ""))
    return replace(layer, program=_digest(layer.program + digest), make=lambda _: module)


@dataclass(frozen=True)
class Build:
    """A function that makes a module with weights drawn from a key."""

    make: Callable[..., Any]
    """The user's function."""
    width: int | None
    """Width that it is given, if any."""

    def __call__(self, key: Key[Array, ""]) -> Any:
        """Make the module. An exit from Python is a failure, as any error."""
        try:
            return self.make(key) if self.width is None else self.make(key, self.width)
        except SystemExit as error:
            raise RuntimeError(_said(error)) from error


def _traced(module: Any, x: jax.ShapeDtypeStruct) -> Traced:
    """Trace what a module computes, with all of its arrays as arguments: also whole numbers, masks
    and keys, which are no parameters.
    """
    arrays, rest = eqx.partition(module, _is_array)
    call = lambda arrays, x: eqx.combine(arrays, rest)(x)  # noqa: E731
    jaxpr = jax.make_jaxpr(call)(arrays, x).jaxpr
    count = len(jax.tree.leaves(arrays))
    return traced(jaxpr, [index >= count for index in range(len(jaxpr.invars))])


def _shape(model: External) -> tuple[int, ...]:
    inputs = model.inputs
    assert inputs is not None, "the inputs are worked out before the outputs"
    return inputs if isinstance(inputs, tuple) else (inputs,)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _is_parameter(leaf: Any) -> bool:
    return _is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _advice(make: Callable[..., Any]) -> str:
    """Say what to bind if a module with weights was bound in place of what makes it."""
    is_module = isinstance(make, eqx.Module) and any(map(eqx.is_array, jax.tree.leaves(make)))
    return "bind the function that makes the module, not the module" if is_module else ""


def _made(model: External, build: Build, key: Key[Array, ""]) -> Any:
    """Make the module, with shapes in place of arrays."""
    called = "make(key)" if model.width is None else f"make(key, {model.width})"
    try:
        module = eqx.filter_eval_shape(build, key)
    except Exception as error:  # the user's function may raise anything
        said = _said(error.__cause__ if isinstance(error.__cause__, SystemExit) else error)
        help = CHOOSE if isinstance(error, NOT_KNOWN) else _advice(build.make)
        raise _failed(model, f"{called} failed: {said}", help) from error
    if not callable(module):
        what = type(module).__name__
        message = f"{called} returned a {what}, and not a module that is called on an example"
        raise _failed(model, message, _advice(build.make))
    kinds = [leaf.dtype for leaf in jax.tree.leaves(module) if _is_parameter(leaf)]
    if not kinds:
        raise _failed(model, "the module has no parameters: no array of floats is in it")
    if any(jnp.issubdtype(kind, jnp.complexfloating) for kind in kinds):
        help = "hold real and imaginary parts as arrays of floats"
        raise _failed(model, "the module has complex parameters", help)
    if holds_state(module):
        help = "return ceflow.nets.Frozen(*eqx.nn.make_with_state(Module)(key)), its inference mode"
        raise _failed(model, "the module has a state, as that of a BatchNorm", help)
    return module


def _outputs(model: External, module: Any, x: jax.ShapeDtypeStruct) -> int:
    """Return the number of outputs for one example."""
    try:
        out = eqx.filter_eval_shape(lambda module, x: module(x), module, x)
    except USERS as error:
        message = f"the module failed on an example of shape {x.shape}: {_said(error)}"
        raise _failed(model, message, _change(module, error)) from error
    if isinstance(out, jax.ShapeDtypeStruct):
        if out.ndim == 1 and out.size and jnp.issubdtype(out.dtype, jnp.floating):
            return out.size
        what = f"an array of shape {out.shape} of {out.dtype}"
    else:
        what = f"a {type(out).__name__}"
    message = f"for an example of shape {x.shape} the module returned {what}"
    raise _failed(model, message, "it must return a vector of floats, of shape (outputs,)")


def _change(module: Any, error: BaseException) -> str:
    """Say what to change in a module that fails on an example."""
    if isinstance(error, NOT_KNOWN):
        return CHOOSE
    if _drops_out(module) and "key" in str(error):
        return "let make return eqx.nn.inference_mode(module), in which nothing is dropped"
    return "the key inputs is the shape of an example; a module takes one example, not a batch"


def _drops_out(module: Any) -> bool:
    """Tell whether a module has a dropout that is not in inference mode."""
    is_dropout = lambda node: isinstance(node, eqx.nn.Dropout)  # noqa: E731
    nodes = jax.tree.leaves(module, is_leaf=is_dropout)
    return any(is_dropout(node) and not node.inference for node in nodes)


def _program(build: Build, key: Key[Array, ""], x: jax.ShapeDtypeStruct) -> str:
    """Return a digest of all that the module computes: the weights that are drawn, the outputs and
    their gradient, in StableHLO. Names, comments and files of the code are no part of it.
    """

    def everything(key: Key[Array, ""], x: Array) -> tuple[Any, ...]:
        leaves, rest = eqx.partition(build(key), eqx.is_inexact_array)
        apply = lambda leaves: eqx.combine(leaves, rest)(x)  # noqa: E731
        return leaves, *_derived(apply, leaves)

    return _digest(jax.jit(everything).lower(key, x).as_text())


def _derived(apply: Callable[[PyTree], Array], leaves: PyTree) -> tuple[Any, ...]:
    """Compute a function and its gradient: in forward mode if it has none in reverse."""
    try:
        out, back = jax.vjp(apply, leaves)
        return out, back(jnp.ones_like(out))
    except Exception:  # a function's own rules may raise anything
        return jax.jvp(apply, (leaves,), (jax.tree.map(jnp.ones_like, leaves),))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(like: PyTree, path: Path) -> tuple[Any, str]:
    """Read the weights of a module, rounded to its precision; return them with a digest of the
    file.
    """
    try:
        with path.open("rb") as file:
            module = eqx.tree_deserialise_leaves(file, like, filter_spec=_leaf)
            more = file.read(1)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise _unfit("CE301", f"{path} cannot be read: {why}") from None
    except RuntimeError as error:
        leaf = jax.tree_util.keystr(getattr(error, "path", ()))
        cause: BaseException = error
        while cause.__cause__ is not None:  # one error for each level of the tree
            cause = cause.__cause__
        why = str(cause) if type(cause) is ValueError else _said(cause)
        raise _unfit("CE302", f"{path} does not fit the module at {leaf}: {why}") from None
    if more:
        raise _unfit("CE302", f"{path} holds more weights than the module has")
    return module, digest


def _leaf(file: Any, leaf: Any) -> Any:
    """Read one leaf, which has the shape that the module asks for."""
    if not isinstance(leaf, jax.ShapeDtypeStruct):
        return eqx.default_deserialise_filter_spec(file, leaf)
    found = jnp.load(file)
    if found.shape != leaf.shape:
        raise ValueError(f"the module has shape {leaf.shape}, the file {found.shape}")
    if jnp.issubdtype(leaf.dtype, jnp.inexact) != jnp.issubdtype(found.dtype, jnp.inexact):
        raise ValueError(f"the module has {leaf.dtype}, the file {found.dtype}")
    return found.astype(leaf.dtype)


def _unfit(code: str, message: str) -> SpecError:
    help = "write them with equinox.tree_serialise_leaves, of a module that make(key) made"
    return SpecError(Fault(code, message, ("weights",), help=help))


def _failed(model: External, message: str, help: str = "") -> SpecError:
    return SpecError(Fault("CE207", f"{model.name}: {message}", NAME, help=help))


def _said(error: BaseException) -> str:
    """Return the type and the first line of an error."""
    first = next(iter(str(error).strip().splitlines()), "").rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
