"""A source of data."""

from typing import ClassVar, Literal

from ceflow.spec.base import Count, Positive
from ceflow.spec.data import DataSpec


class Line(DataSpec):
    """Points at equal distances on a line, with themselves as targets."""

    source: Literal["line"] = "line"
    """Points on a line."""
    train: Count = 10
    """Number of points."""
    scale: Positive = 1.0
    """Factor applied to the points."""

    normalise: ClassVar = "none"

    def reader(self):
        from ceflow.data import Reader
        from ceflow.data.dataset import Dataset, Examples, Extent

        def load(spec, folder, seed):
            import numpy as np  # only when examples are needed

            x = np.linspace(-1.0, 1.0, spec.train)[:, None]
            return Dataset(Examples(x, x), Examples(x[:0], x[:0]))

        return Reader(lambda spec, folder: Extent(1, 1, spec.train, 0), load)
