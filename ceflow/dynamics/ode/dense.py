"""The state at any time, from the steps of an integration."""

from collections.abc import Callable
from typing import Any

import diffrax as dfx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree


class Dense:
    """The state at any time between the start and the end, by the solver's own interpolation.

    It holds what each step left, some 3 to 14 states a step. Raises `ValueError` outside.
    """

    def __init__(self, solver: dfx.AbstractSolver, start: float, state: PyTree):
        self._ends: list[float] = [start]
        self._steps: list[Callable[[float], PyTree]] = [lambda t: state]
        self._interpolation = solver.interpolation_cls

    def add(self, start: Any, end: Any, parts: dict[str, PyTree]) -> None:
        """One more step."""
        self._ends.append(float(end))
        self._steps.append(self._interpolation(t0=start, t1=end, **parts).evaluate)

    def __call__(self, t: float) -> PyTree:
        """The state at mu t."""
        first, last = self._ends[0], self._ends[-1]
        if not first <= t <= last:
            raise ValueError(f"the integration went from {first:g} to {last:g}, not to {t:g}")
        step = int(np.searchsorted(self._ends, t))
        return jax.tree.map(jnp.asarray, self._steps[step](t))
