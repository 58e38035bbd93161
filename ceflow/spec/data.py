"""Data: where examples come from. How each source is read is in `ceflow.data`."""

from typing import Annotated, Literal

from pydantic import Field

from ceflow.spec.base import Count, Names, Number, Positive, Spec


class Source(Spec):
    """The keys that every source of data has."""

    normalise: Literal["none", "unit", "standard"] = "none"
    """What is done to each input first: `unit` divides it by its norm; `standard` gives each
    coordinate mean 0 and variance 1 over the training examples: see [inputs](data.md#inputs)."""
    scale: Positive = 1.0
    """A factor on the inputs, after `normalise`."""


class Labelled(Source):
    """A source whose examples belong to classes."""

    train: Count | None = None
    """Number of training examples; all by default."""
    test: Number | None = None
    """Number of test examples; all by default."""
    targets: Literal["one-hot", "signed", "raw"] = "one-hot"
    """What becomes of labels. `one-hot`: one output a class; `signed`: -1 and 1 for two classes;
    `raw`: the label as a number: see [targets](data.md#targets)."""


class Files(Labelled):
    """A labelled source read from files."""

    path: str
    """A folder. It is looked for beside the document, then in the folder that CEFLOW_DATA names:
    see [paths](data.md#paths)."""


class Digits(Labelled):
    """1,797 handwritten digits, 8x8 pixels in [0, 1]; shuffled by the seed."""

    source: Literal["digits"] = "digits"
    """Handwritten digits, 8 x 8."""
    classes: Names | None = None
    """Keep only these digits, in quotes as `["3", "8"]`; class 0 is the first named. All ten by
    default."""
    train: Count | None = None
    """Number of training examples; four fifths of all by default, rounded down."""
    test: Number | None = None
    """Number of test examples; all that are left by default."""


class Idx(Files):
    """MNIST and its kin: IDX files, plain or gzipped; pixels in [0, 1], the files' order kept."""

    source: Literal["idx"] = "idx"
    """IDX files, as MNIST's."""
    path: str = "mnist"
    """The folder with train-images-idx3-ubyte and the other three, each plain or gzipped. It is
    looked for beside the document, then in the folder that CEFLOW_DATA names: see
    [paths](data.md#paths)."""
    classes: Names | None = None
    """Keep only these labels, in quotes as `["3", "8"]`; class 0 is the first named. All numbers
    from 0 to the largest training label by default."""


class Cifar10(Files):
    """CIFAR-10 in its binary version; pixels in [0, 1], channel first, batches of any length."""

    source: Literal["cifar10"] = "cifar10"
    """CIFAR-10, binary version."""
    path: str = "cifar-10-batches-bin"
    """The folder with `data_batch_*.bin` and `test_batch.bin`. It is looked for beside the
    document, then in the folder that CEFLOW_DATA names: see [paths](data.md#paths)."""
    classes: Names | None = None
    """Keep only these of airplane, automobile, bird, cat, deer, dog, frog, horse, ship and truck,
    as `["deer", "dog"]`; class 0 is the first named. All ten by default."""


class Npz(Files):
    """Arrays of your own: `x` and `y`, and where there is a test set `x_test` and `y_test`."""

    source: Literal["npz"] = "npz"
    """A NumPy archive."""
    path: str
    """The file, as `numpy.savez` writes it. It is looked for beside the document, then in the
    folder that CEFLOW_DATA names: see [paths](data.md#paths)."""
    targets: Literal["one-hot", "signed", "raw"] = "raw"
    """`raw`: y as it is; `one-hot` and `signed` take y as labels: see
    [targets](data.md#targets)."""


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
    test: Number = 0
    """Number of test examples."""


class DeepGp(Source):
    """A regression that is hard enough: standard normal inputs, and targets from one draw of a deep
    Gaussian process (BN appendix D.4.1), of mean 0 and variance 1 over the training examples."""

    source: Literal["deep-gp"] = "deep-gp"
    """Targets drawn from a deep Gaussian process."""
    inputs: Count = 20
    """Dimension of the inputs."""
    outputs: Count = 1
    """Dimension of the targets."""
    train: Count = 2000
    """Number of training examples."""
    test: Number = 2000
    """Number of test examples."""
    layers: Count = 2
    """Gaussian processes, each of the values of the one before."""
    hidden: Count = 20
    """Functions in each layer but the last."""
    length: Positive = 2.0
    """How far a function stays the same: the covariance is exp(-|x - x'|^2/(2 `length`^2 d)), d the
    numbers in x."""


class Circle(Spec):
    """Points (cos t, sin t) at equal steps of the angle t over [-pi, pi], as in CE figure 2."""

    source: Literal["circle"] = "circle"
    """Points on a circle."""
    points: Count = 100
    """Number of points, both ends of the range included."""
    outputs: Count = 1
    """Dimension of the targets, which are standard normal. The model may say another number."""
    scale: Positive = 1.0
    """Radius of the circle."""


Data = Annotated[
    Digits | Idx | Cifar10 | Npz | Gaussian | DeepGp | Circle, Field(discriminator="source")
]


def train_count(data: Data | None) -> int | None:
    """Count the training examples there are, as far as a document says."""
    if data is None:
        return None
    return data.points if isinstance(data, Circle) else data.train
