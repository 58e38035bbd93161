"""The state of the recursion over layers of images, and the programs that advance it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array

from ceflow.compiler.programs import brisk, program
from ceflow.kernels.infinite.positions import Between

FEW_NUMBERS = 2**19
"""Largest number of moments and errors of programs that are compiled without optimisation."""

FEW_ENTRIES = 2**16
"""Largest number of moments, without errors, of programs that are compiled without optimisation: a
twelfth of those of a batch, so that they are layers behind a pooling, and whole networks of very
small images. They run five times as long, and take a small part of the time."""

Arrays = tuple[Array | np.ndarray, ...]
"""Arrays over images or pairs; those of several batches are put together by NumPy."""

Step = tuple[Callable[..., Between], tuple[Any, ...]]
"""A function of moments that returns moments, and its other arguments."""


class Images(NamedTuple):
    """Moments of pairs of images, and the variances of each image that pooling needs.

    Functions are not applied to the moments immediately, but several as one compiled program.
    """

    before: Between
    """Moments before the functions in `steps`."""
    first: Arrays | None = None
    """Variances of the first images after each pooling to come; None for pairs of an image with
    itself."""
    second: Arrays | None = None
    """Variances of the second images after each pooling to come."""
    found: Arrays = ()
    """Variances after each pooling so far, for pairs of an image with itself."""
    own: Between | None = None
    """Moments of each position of an image with itself before `steps`, with errors, if these are
    tracked beside the moments of all pairs of positions."""
    steps: tuple[Step, ...] = ()
    """Functions to apply to the moments, with their other arguments."""

    @property
    def across(self) -> Between:
        """Moments of the pairs."""
        return self.settled().before

    def each(self, function: Callable[..., Between], *arguments: Any) -> "Images":
        """Apply a function that maps moments of positions to those of the same positions, or of
        sums over the same offsets in both images. `Images` as arguments stand for their moments.
        """
        return self._replace(steps=(*self.steps, (function, arguments)))

    def alone(self, function: Callable[..., Between], *arguments: Any) -> "Images":
        """Apply a function to the moments of the pairs, in a program of its own.

        A function that reads an entry several times needs this: in one program with the functions
        before it, XLA would compute the entry each time.
        """
        return self.settled().each(function, *arguments).settled()

    def settled(self) -> "Images":
        """Apply the functions that were not applied yet."""
        if not self.steps:
            return self
        before = applied(self.before, resolved(self.steps, False))
        own = self.own and applied(self.own, resolved(self.steps, True))
        return self._replace(before=before, own=own, steps=())


def resolved(steps: tuple[Step, ...], own: bool) -> tuple[Step, ...]:
    """Replace images in the arguments of functions by their moments."""

    def moments(argument: Any) -> Any:
        if not isinstance(argument, Images):
            return argument
        return argument.own if own else argument.before

    return tuple((function, tuple(map(moments, given))) for function, given in steps)


def applied(pair: Between, steps: tuple[Step, ...]) -> Between:
    """Apply functions to moments. With errors, there are few moments: compiling takes longest."""
    return (_applied if pair.errors is None else _applied_to_few)(pair, steps)


def _in_turn(pair: Between, steps: tuple[Step, ...]) -> Between:
    for function, arguments in steps:
        pair = function(pair, *arguments)
    return pair


_applied = brisk(_in_turn, FEW_ENTRIES)
_applied_to_few = program(_in_turn, FEW_NUMBERS)
