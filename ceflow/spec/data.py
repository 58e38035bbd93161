"""Data: where examples come from. How each source is read is in `ceflow.data`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ceflow.spec.base import Count, Names, Natural, Positive, Spec

__all__ = [
    "Cifar10",
    "Circle",
    "Data",
    "DataSpec",
    "DeepGp",
    "Digits",
    "Files",
    "Gaussian",
    "Idx",
    "Labelled",
    "Npz",
    "Source",
]


class DataSpec(Spec):
    """The questions that every source answers, so that stages ask it and do not test its type."""

    count_key: ClassVar[str] = "train"
    """The key that says how many training examples there are."""
    square: ClassVar[float | None] = None
    """The mean square of an input as it is read, where that is known."""
    in_files: ClassVar[bool] = False
    """True where it is read from files, whose headers say how much there is."""
    is_circle: ClassVar[bool] = False
    """True where inputs lie on a circle in order, so that kernels have a profile over angles."""
    counts_examples: ClassVar[bool] = False
    """True where numbers of examples that are left out are those of all there are."""
    targets_given: ClassVar[bool] = True
    """True where there are targets to learn, so that a model must have as many outputs."""

    @property
    def train_count(self) -> int | None:
        """The number of training examples, as far as the document says."""
        return getattr(self, self.count_key)

    @property
    def has_classes(self) -> bool:
        """True where targets say which class an example is of."""
        return False

    def mean_square(self, inputs: int) -> float | None:
        """Give the mean square of an input as a network sees it, where that is known."""
        return self.square


class Source(DataSpec):
    """The keys that every source of data has."""

    normalise: Literal["none", "unit", "standard"] = "none"
    """What is done to each input first: `unit` divides it by its norm; `standard` gives each
    coordinate mean 0 and variance 1 over the training examples: see [inputs](data.md#inputs)."""
    scale: Positive = 1.0
    """A factor on the inputs, after `normalise`."""

    def mean_square(self, inputs: int) -> float | None:
        square = {"unit": 1 / inputs, "standard": 1.0}.get(self.normalise, self.square)
        return None if square is None else square * self.scale * self.scale


class Labelled(Source):
    """A source whose examples belong to classes."""

    train: Count | None = None
    """Number of training examples; all by default."""
    test: Natural | None = None
    """Number of test examples; all by default."""
    targets: Literal["one-hot", "signed", "raw"] = "one-hot"
    """What becomes of labels. `one-hot`: one output a class; `signed`: -1 and 1 for two classes;
    `raw`: the label as a number: see [targets](data.md#targets)."""

    counts_examples: ClassVar = True

    @property
    def has_classes(self) -> bool:
        return self.targets != "raw"


class Files(Labelled):
    """A labelled source read from files."""

    in_files: ClassVar = True

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
    test: Natural | None = None
    """Number of test examples; all that are left by default."""

    square: ClassVar = 0.24


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

    square: ClassVar = 0.1  # MNIST's


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

    square: ClassVar = 0.25


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
    test: Natural = 0
    """Number of test examples."""

    square: ClassVar = 1.0


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
    test: Natural = 2000
    """Number of test examples."""
    layers: Count = 2
    """Gaussian processes, each of the values of the one before."""
    hidden: Count = 20
    """Functions in each layer but the last."""
    length: Positive = 2.0
    """How far a function stays the same: the covariance is exp(-|x - x'|^2/(2 `length`^2 d)), d the
    numbers in x."""

    square: ClassVar = 1.0


class Circle(DataSpec):
    """Points (cos t, sin t) at equal steps of the angle t over [-pi, pi], as in CE figure 2."""

    source: Literal["circle"] = "circle"
    """Points on a circle."""
    points: Count = 100
    """Number of points, both ends of the range included."""
    outputs: Count = 1
    """Dimension of the targets, which are standard normal. The model may say another number."""
    scale: Positive = 1.0
    """Radius of the circle."""

    count_key: ClassVar = "points"
    normalise: ClassVar[Literal["none"]] = "none"
    is_circle: ClassVar = True
    targets_given: ClassVar = False

    def mean_square(self, inputs: int) -> float:
        return self.scale * self.scale / 2


Data = Annotated[
    Digits | Idx | Cifar10 | Npz | Gaussian | DeepGp | Circle, Field(discriminator="source")
]
