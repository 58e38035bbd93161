"""Sources that are drawn or computed, without files."""

from typing import ClassVar, Literal

from ceflow.spec.base import Count, Natural, Positive
from ceflow.spec.data.source import DataSpec, Source


class Gaussian(Source):
    """Inputs and targets with iid standard normal entries, drawn from the document's seed."""

    source: Literal["gaussian"] = "gaussian"
    """Standard normal inputs."""
    inputs: Count
    """Dimension of the inputs."""
    outputs: Count = 1
    """Dimension of the targets."""
    train: Count = 100
    """Number of training examples."""
    test: Natural = 0
    """Number of test examples."""

    square: ClassVar = 1.0


class DeepGp(Source):
    """A hard regression problem: standard normal inputs, and targets from one draw of a deep
    Gaussian process (BN appendix D.4.1), with mean 0 and variance 1 over the training examples.
    """

    source: Literal["deep-gp"] = "deep-gp"
    """Targets drawn from a deep Gaussian process."""
    inputs: Count = 20
    """Dimension of the inputs."""
    outputs: Count = 1
    """Dimension of the targets."""
    train: Count = 2000
    """Number of training examples."""
    test: Natural = 2000
    """Number of test examples."""
    layers: Count = 2
    """Number of Gaussian processes in sequence; each takes the values of the one before."""
    hidden: Count = 20
    """Number of functions in each layer except the last."""
    length: Positive = 2.0
    """Length scale of the functions: the covariance is exp(-|x - x'|^2/(2 `length`^2 d)), with d
    the dimension of x."""

    square: ClassVar = 1.0


class Circle(DataSpec):
    """Points (cos t, sin t) at equally spaced angles t in [-pi, pi], as in CE figure 2."""

    source: Literal["circle"] = "circle"
    """Points on a circle."""
    points: Count = 100
    """Number of points, both ends of the range included."""
    outputs: Count = 1
    """Dimension of the targets, which are standard normal. The number of outputs that the model
    sets takes precedence."""
    scale: Positive = 1.0
    """Radius of the circle."""

    count_key: ClassVar = "points"
    normalise: ClassVar[Literal["none"]] = "none"
    is_circle: ClassVar = True
    targets_given: ClassVar = False

    def mean_square(self, inputs: int) -> float:
        return self.scale * self.scale / 2
