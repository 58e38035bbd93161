"""Data: the sources of examples. `ceflow.data` reads them."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ceflow.spec.base import Count, Names, Natural, NonNegative, Positive, Spec
from ceflow.spec.plugins import with_plugins

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
    """The properties that every source has, so that stages need not test its type."""

    count_key: ClassVar[str] = "train"
    """The key that says how many training examples there are."""
    square: ClassVar[float | None] = None
    """Mean square of the raw inputs, if it is known."""
    in_files: ClassVar[bool] = False
    """True if the data are read from files, whose headers tell their sizes."""
    is_circle: ClassVar[bool] = False
    """True if the inputs lie in order on a circle, so that kernels have a profile over angles."""
    counts_examples: ClassVar[bool] = False
    """True if an omitted number of examples means all that the files hold."""
    targets_given: ClassVar[bool] = True
    """True if there are targets to learn, so that the model must have as many outputs."""

    @property
    def copies(self) -> int:
        """Number of training examples made of each one of the source: 2 with its mirror image."""
        return 1

    @property
    def whitening(self) -> float | None:
        """Regularisation of the whitening of the inputs, or None if they are not whitened."""
        return None

    @property
    def preparation(self) -> dict[str, Any]:
        """Keys that change the inputs, and are not at their defaults, in their order of effect."""
        keys = ("flips", "normalise", "zca", "scale")
        given = [key for key in keys if key in type(self).model_fields and self.changes(key)]
        return {key: getattr(self, key) for key in given}

    @property
    def train_count(self) -> int | None:
        """Number of training examples, mirror images included, or None if the document does not
        say.
        """
        count = getattr(self, self.count_key)
        return count and count * self.copies

    @property
    def has_classes(self) -> bool:
        """True if the targets are class labels."""
        return False

    def mean_square(self, inputs: int) -> float | None:
        """Return the mean square of the inputs as the network sees them, or None if unknown."""
        return self.square

    def reader(self) -> Any:
        """Return the `ceflow.data.Reader` of a source that a plugin adds."""
        raise TypeError(f"no reader is registered for the source {type(self).__name__}")


class Source(DataSpec):
    """The keys that every source of data has."""

    normalise: Literal["none", "unit", "contrast", "standard"] = "none"
    """Normalisation of each input: `unit` divides it by its norm; `contrast` first subtracts the
    mean of its numbers; `standard` gives each coordinate mean 0 and variance 1 over the training
    examples: see [inputs](data.md#inputs)."""
    scale: Positive = 1.0
    """Factor applied to the inputs, after all other preparation."""

    def mean_square(self, inputs: int) -> float | None:
        by_norm = {"unit": 1 / inputs, "contrast": 1 / inputs, "standard": 1.0}
        square = by_norm.get(self.normalise, self.square)
        if square is None or self.whitening is not None:
            return None
        return square * self.scale * self.scale


class Labelled(Source):
    """A source whose examples belong to classes."""

    train: Count | None = None
    """Number of training examples; all by default."""
    test: Natural | None = None
    """Number of test examples; all by default."""
    targets: Literal["one-hot", "signed", "raw"] = "one-hot"
    """How labels become targets. `one-hot`: one output per class; `signed`: -1 and 1 for two
    classes; `raw`: the label as a number: see [targets](data.md#targets)."""
    flips: bool = False
    """Whether the mirror image of each training image, left to right, is a training example too,
    with the same target. There are then twice `train` training examples: see
    [inputs](data.md#inputs)."""
    zca: NonNegative | None = None
    """Whitening of the inputs by ZCA, learnt on the training examples, after `normalise`: the
    regularisation, relative to the mean eigenvalue of their second moments, such as 0.1. None by
    default: see [whitening](data.md#whitening)."""

    counts_examples: ClassVar = True

    @property
    def copies(self) -> int:
        return 2 if self.flips else 1

    @property
    def whitening(self) -> float | None:
        return self.zca

    @property
    def has_classes(self) -> bool:
        return self.targets != "raw"


class Files(Labelled):
    """A labelled source read from files."""

    in_files: ClassVar = True

    path: str
    """The folder. It is searched for beside the document, then in the folder named by CEFLOW_DATA:
    see [paths](data.md#paths)."""


class Digits(Labelled):
    """1,797 handwritten digits, 8x8 pixels in [0, 1]; shuffled by the seed."""

    source: Literal["digits"] = "digits"
    """Handwritten digits, 8 x 8."""
    classes: Names | None = None
    """Keep only these digits, quoted as in `["3", "8"]`; class 0 is the first one named. All ten by
    default."""
    train: Count | None = None
    """Number of training examples; by default four fifths of all, rounded down."""
    test: Natural | None = None
    """Number of test examples; by default all that remain."""

    square: ClassVar = 0.24


class Idx(Files):
    """MNIST and similar data sets: IDX files, plain or gzipped; pixels in [0, 1], in the order of
    the files.
    """

    source: Literal["idx"] = "idx"
    """IDX files, such as those of MNIST."""
    path: str = "mnist"
    """The folder with train-images-idx3-ubyte and the other three files, each plain or gzipped. It
    is searched for beside the document, then in the folder named by CEFLOW_DATA: see
    [paths](data.md#paths)."""
    classes: Names | None = None
    """Keep only these labels, quoted as in `["3", "8"]`; class 0 is the first one named. By default
    all numbers from 0 to the largest training label."""

    square: ClassVar = 0.1  # MNIST's


class Cifar10(Files):
    """CIFAR-10 in its binary version; pixels in [0, 1], channels first; batch files of
    any length.
    """

    source: Literal["cifar10"] = "cifar10"
    """CIFAR-10, binary version."""
    path: str = "cifar-10-batches-bin"
    """The folder with `data_batch_*.bin` and `test_batch.bin`. It is searched for beside the
    document, then in the folder named by CEFLOW_DATA: see [paths](data.md#paths)."""
    classes: Names | None = None
    """Keep only these classes, as in `["deer", "dog"]`, out of airplane, automobile, bird, cat,
    deer, dog, frog, horse, ship and truck; class 0 is the first one named. All ten by default."""

    square: ClassVar = 0.25


class Npz(Files):
    """Your own arrays: `x` and `y`, and `x_test` and `y_test` if there is a test set."""

    source: Literal["npz"] = "npz"
    """A NumPy archive."""
    path: str
    """The file, in the format of `numpy.savez`. It is searched for beside the document, then in the
    folder named by CEFLOW_DATA: see [paths](data.md#paths)."""
    targets: Literal["one-hot", "signed", "raw"] = "raw"
    """How `y` becomes targets. `raw`: as it is; `one-hot` and `signed`: y holds class labels: see
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


_Known = Digits | Idx | Cifar10 | Npz | Gaussian | DeepGp | Circle
if TYPE_CHECKING:
    Data = _Known
else:
    Data = Annotated[
        with_plugins(_Known, "source", DataSpec, "source"), Field(discriminator="source")
    ]
