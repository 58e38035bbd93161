"""What flow and train stages record of the NTK as it changes.

Loads JAX: imported only when a stage runs.
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ceflow import dynamics, kernels

Arrays = dict[str, Float[np.ndarray, "replicas ..."]]
"""The arrays recorded at one moment, by name."""

KernelsOf = Callable[[Any, Int[np.ndarray, " k"]], Float[np.ndarray, "replicas k k"]]
"""A function that computes the NTK of a state over some training examples, for each replica."""

OF_OTHERS = ("derivatives", "predictions", "top-5")
"""Words in `record` that do not ask for quantities of the NTK at each moment."""


class NtkRecorder:
    """Records what a stage requests of the NTK, the mean over outputs a of K^aa.

    Each replica has its own NTK; the whole kernel is recorded for the first, everything else for
    all replicas.
    """

    def __init__(
        self,
        kernels_of: KernelsOf,
        record: Collection[str],
        targets: Float[np.ndarray, "n outputs"],
        count: int,
        entries: Sequence[Sequence[int]] | None = None,
    ):
        """Follow the NTK of the first `count` training examples, or of those in `entries`."""
        self.kernels_of, self.asked = kernels_of, set(record) - set(OF_OTHERS)
        self.entries = entries is not None
        self.targets = targets[:count]
        self.initial: np.ndarray | None = None
        if entries is None:
            examples, pairs = np.arange(count), dynamics.drift_pairs(count)
        else:
            chosen = np.array(entries)
            examples, pairs = np.unique(chosen, return_inverse=True)
            pairs = tuple(pairs.reshape(chosen.shape).T)
        self.examples, self.pairs = examples, pairs

    def __call__(self, state: Any) -> Arrays:
        """Return the requested quantities of the NTK in a state, stacked over replicas."""
        if not self.entries and not self.asked:
            return {}
        arrays, now = {}, self.kernels_of(state, self.examples)
        self.initial = now if self.initial is None else self.initial
        if self.entries or "drift" in self.asked:
            arrays["entries"] = now[:, *self.pairs]
        if "drift" in self.asked and not self.entries:
            arrays["drift_relative"] = dynamics.relative_drift(now, self.initial)
        if "alignment" in self.asked:
            arrays["alignment"] = np.array([_alignment(k, self.targets) for k in now])
        if "spectrum" in self.asked:
            ends = [kernels.spectrum(kernel) for kernel in now]
            arrays["eigenvalue_max"] = np.array([end.eigenvalue_max for end in ends])
            arrays["eigenvalue_min"] = np.array([end.eigenvalue_min for end in ends])
        if "kernel" in self.asked:
            arrays["kernel"] = now[:1]
        return arrays

    def drift(self, entries: Float[np.ndarray, "replicas pairs"]) -> Float[np.ndarray, " replicas"]:
        """Return the median over pairs of |K_ij(t) - K_ij(0)| of each replica."""
        assert self.initial is not None, "the start is recorded first"
        start = self.initial[:, *self.pairs]
        return np.median(dynamics.entry_drift(entries, start), axis=1)


def _alignment(kernel: Float[np.ndarray, "k k"], targets: np.ndarray) -> float:
    """Compute the alignment; NaN if it is undefined."""
    try:
        return kernels.alignment(kernel, targets)
    except ValueError:
        return math.nan
