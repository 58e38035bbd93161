"""Programs of small networks, which compile in less than half of the time.

Of a small network compiling takes longer than all that is computed, and each width is a program of
its own. What the compiler then leaves out makes a program two or three times slower.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from ceflow.compiler.budget import LARGEST

P = ParamSpec("P")
R = TypeVar("R")

PLAIN = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Options of XLA: compile as it stands, in one piece."""


def program(function: Callable[P, R], largest: int | None = None) -> Callable[P, R]:
    """Compile as `equinox.filter_jit`, but plainly what is small on a CPU.

    Small is what the shapes of the arrays say, and they alone: `largest` numbers in all or fewer,
    4,096 unless said. Plain Python functions among the arguments may hold more, and are not small.
    The same shapes round alike whenever they come; beside what is not small the last bits differ.

    >>> import jax.numpy as jnp
    >>> print(program(lambda x: 2 * x)(jnp.ones(2)))
    [2. 2.]
    """
    ordinary = eqx.filter_jit(function)
    plain = eqx.filter_jit(function, compiler_options=PLAIN)  # pyright: ignore[reportCallIssue]

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        chosen = plain if is_small((args, kwargs), largest) and _has_options() else ordinary
        return chosen(*args, **kwargs)

    return call


def is_small(arguments: Any, largest: int | None = None) -> bool:
    """Tell whether arguments hold few numbers, and nothing that may hide others.

    >>> is_small((np.ones(4096), "sum")), is_small((np.ones(4096), 1.0, np.ones(1)))
    (True, False)
    """
    leaves = jax.tree.leaves(arguments)
    if any(isinstance(leaf, Tracer) or _holds(leaf) for leaf in leaves):
        return False
    arrays = (leaf for leaf in leaves if isinstance(leaf, np.ndarray | jax.Array))
    return sum(array.size for array in arrays) <= (largest or LARGEST)


def _holds(leaf: Any) -> bool:
    """Tell whether it is a function written in place, which may use arrays around it."""
    return "<" in getattr(leaf, "__qualname__", "")  # <locals>, <lambda>


@cache
def _has_options() -> bool:
    """Tell whether programs run on a CPU, by a compiler that knows the options."""
    if jax.default_backend() != "cpu":
        return False
    try:
        jax.jit(lambda x: x, compiler_options=PLAIN)(0.0)
    except (RuntimeError, ValueError):
        return False
    return True
