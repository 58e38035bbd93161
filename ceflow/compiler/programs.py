"""How programs are compiled on a CPU: small ones in less than half the usual time, those of deep
networks with the barriers that their layers set.

A small network takes longer to compile than to run, and each width needs its own program. Without
the compiler's optimisations, a program runs two to three times slower.
"""

from collections.abc import Callable
from functools import cache, lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from ceflow.compiler.budget import LARGEST_SMALL_PROGRAM

P = ParamSpec("P")
R = TypeVar("R")

UNOPTIMISED = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Options of XLA that turn its optimisation and its parallel code generation off."""

BRISK = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 2,
}
"""Options of XLA that halve the time to compile elementwise functions. They run up to twice as long
as with all optimisations. Two threads generate code: more parts were no faster on two cores."""

BARRED = {"xla_disable_hlo_passes": "cse_barrier_expander"}
"""Options of XLA that keep `jax.lax.optimization_barrier` in a program. Otherwise XLA drops
barriers before it fuses, and computes the values before one anew for each of their uses, through
several layers of a network: that took 1.2 times as long, and 1.4 times the memory."""

BRISK_PROGRAMS = 1024
"""Largest number of programs, apart from shapes, that a brisk function holds."""

ARRAYS = (jax.Array, np.ndarray)
HOLE = object()
"""Stands for an array among arguments that are part of a program."""


def program(function: Callable[P, R], largest: int | None = None) -> Callable[P, R]:
    """Compile like `equinox.filter_jit`, but without optimisation if the program is small and runs
    on a CPU.

    A program is small if its array arguments have at most `largest` entries in all, 4,096 by
    default. If an argument is a plain Python function, which may hold more arrays, it is not small.
    The same shapes always give the same rounding; small and other programs differ in the last bits.

    >>> import jax.numpy as jnp
    >>> print(program(lambda x: 2 * x)(jnp.ones(2)))
    [2. 2.]
    """
    ordinary = eqx.filter_jit(function)

    @cache
    def plain() -> Callable[P, R]:
        options: dict[str, Any] = {"compiler_options": known(UNOPTIMISED)}
        return eqx.filter_jit(function, **options)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        chosen = plain() if is_small((args, kwargs), largest) else ordinary
        return chosen(*args, **kwargs)

    return call


def brisk(function: Callable[P, R], largest: int = 0) -> Callable[P, R]:
    """Compile in half the usual time on a CPU, or in a fifth of it if the arrays among the
    arguments have at most `largest` entries in all; within another program, do not compile.

    Arguments other than arrays are part of the program and must be hashable. The function must
    return arrays.

    >>> import jax.numpy as jnp
    >>> print(brisk(lambda x, n: n * x)(jnp.ones(2), 3))
    [3. 3.]
    """

    @lru_cache(maxsize=BRISK_PROGRAMS)
    def compiled(treedef: Any, fixed: tuple[Any, ...], kinds: tuple[type, ...], few: bool) -> Any:
        def run(*arrays: jax.Array) -> R:
            left = iter(arrays)
            leaves = [next(left) if each is HOLE else each for each in fixed]
            args, kwargs = jax.tree.unflatten(treedef, leaves)
            return function(*args, **kwargs)  # pyright: ignore[reportCallIssue]

        return jax.jit(run, compiler_options=known(UNOPTIMISED if few else BRISK))

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        leaves, treedef = jax.tree.flatten((args, kwargs))
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return function(*args, **kwargs)
        arrays = [leaf for leaf in leaves if isinstance(leaf, ARRAYS)]
        fixed = tuple(HOLE if isinstance(leaf, ARRAYS) else leaf for leaf in leaves)
        few = sum(array.size for array in arrays) <= largest
        return compiled(treedef, fixed, tuple(map(type, fixed)), few)(*arrays)

    return call


def barred(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    """Compile like `equinox.filter_jit` with these options, and keep barriers on a CPU.

    >>> import jax.numpy as jnp
    >>> print(barred(lambda x: jax.lax.optimization_barrier(2 * x) + 1)(jnp.ones(2)))
    [3. 3.]
    """

    @cache
    def compiled() -> Any:
        kept: dict[str, Any] = {"compiler_options": known(BARRED)}
        return eqx.filter_jit(function, **options, **kept)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return compiled()(*args, **kwargs)

    return call


def is_small(arguments: Any, largest: int | None = None) -> bool:
    """Tell whether arguments hold few numbers, and no function that may hold others.

    >>> is_small((np.ones(4096), "sum")), is_small((np.ones(4096), 1.0, np.ones(1)))
    (True, False)
    """
    leaves = jax.tree.leaves(arguments)
    if any(isinstance(leaf, Tracer) or _holds(leaf) for leaf in leaves):
        return False
    arrays = (leaf for leaf in leaves if isinstance(leaf, ARRAYS))
    return sum(array.size for array in arrays) <= (largest or LARGEST_SMALL_PROGRAM)


def _holds(leaf: Any) -> bool:
    """Tell whether a leaf is a local function, which may hold arrays in its closure."""
    return "<" in getattr(leaf, "__qualname__", "")  # <locals>, <lambda>


def known(options: dict[str, Any]) -> dict[str, Any]:
    """Return those options that the compiler for CPUs has, or none if programs run elsewhere.

    XLA's options come and go with its releases, and it refuses a program with one that it lacks.

    >>> known({"xla_of_no_release": True})
    {}
    """
    items = tuple(options.items())
    if _are_known(items):
        return options
    return dict(item for item in items if _are_known((item,)))


@cache
def _are_known(items: tuple[tuple[str, Any], ...]) -> bool:
    """Tell whether programs run on a CPU whose compiler has all of these options."""
    if jax.default_backend() != "cpu":
        return False
    try:
        jax.jit(lambda x: x, compiler_options=dict(items))(0.0)
    except (RuntimeError, ValueError):
        return False
    return True
