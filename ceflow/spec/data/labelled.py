"""Sources of examples that belong to classes: digits, files of images, arrays and tables."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ceflow.spec.base import Count, Names, Natural
from ceflow.spec.data.source import Files, Labelled


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


class Emnist(Files):
    """EMNIST: handwritten letters and digits in IDX files, plain or gzipped; pixels in [0, 1], with
    rows and columns in their usual order.
    """

    source: Literal["emnist"] = "emnist"
    """EMNIST, letters and digits, 28 x 28."""
    path: str = "emnist"
    """The folder with `emnist-balanced-train-images-idx3-ubyte` and the other three files of the
    split. It is searched for beside the document, then in the folder named by CEFLOW_DATA: see
    [paths](data.md#paths)."""
    split: Literal["balanced", "byclass", "bymerge", "digits", "letters", "mnist"] = "balanced"
    """Which of the six data sets of EMNIST: see [emnist](data.md#emnist)."""
    classes: Names | None = None
    """Keep only these classes, as in `["A", "b", "7"]`; class 0 is the first one named. All classes
    of the split by default."""

    square: ClassVar = 0.14


class Cifar100(Files):
    """CIFAR-100 in its binary version; pixels in [0, 1], channels first."""

    source: Literal["cifar100"] = "cifar100"
    """CIFAR-100, binary version."""
    path: str = "cifar-100-binary"
    """The folder with `train.bin` and `test.bin`. It is searched for beside the document, then in
    the folder named by CEFLOW_DATA: see [paths](data.md#paths)."""
    labels: Literal["fine", "coarse"] = "fine"
    """Which of the two labels of an image is its class: one of 100 `fine` ones, or of 20 `coarse`
    ones."""
    classes: Names | None = None
    """Keep only these classes, as in `["beaver", "dolphin"]`, or `["fish", "insects"]` of coarse
    labels; class 0 is the first one named. All by default."""

    square: ClassVar = 0.3


class Imagenet(Files):
    """The keys of the two sizes of downsampled ImageNet."""

    classes: Names | None = None
    """Keep only these classes, by their numbers in the files, quoted as in `["1", "1000"]`; class 0
    is the first one named. All thousand by default."""

    side: ClassVar[int]
    """Height and width of the images."""
    square: ClassVar = 0.27


class Imagenet32(Imagenet):
    """Downsampled ImageNet, 32 x 32, in its published NumPy archives; pixels in [0, 1], channels
    first.
    """

    source: Literal["imagenet32"] = "imagenet32"
    """ImageNet at 32 x 32."""
    path: str = "imagenet32"
    """The folder with `train_data_batch_1.npz` and the following numbers, and `val_data.npz`. It is
    searched for beside the document, then in the folder named by CEFLOW_DATA: see
    [paths](data.md#paths)."""

    side: ClassVar = 32


class Imagenet64(Imagenet):
    """Downsampled ImageNet, 64 x 64, in its published NumPy archives; pixels in [0, 1], channels
    first.
    """

    source: Literal["imagenet64"] = "imagenet64"
    """ImageNet at 64 x 64."""
    path: str = "imagenet64"
    """The folder with `train_data_batch_1.npz` and the following numbers, and `val_data.npz`. It is
    searched for beside the document, then in the folder named by CEFLOW_DATA: see
    [paths](data.md#paths)."""

    side: ClassVar = 64


class ImageFiles(Files):
    """Image files in a folder per class, brought to one size; pixels in [0, 1], channels first."""

    source: Literal["images"] = "images"
    """Image files, in a folder per class."""
    path: str
    """The folder with the folders `train` and `val` or `test`, which hold a folder per class; or
    with the folders of the classes, without test examples. It is searched for beside the document,
    then in the folder named by CEFLOW_DATA: see [paths](data.md#paths)."""
    size: Annotated[int, Field(ge=1, le=4096)]
    """Height and width of every image after resizing."""
    fit: Literal["crop", "stretch"] = "crop"
    """How an image is brought to a square. `crop`: its shorter side is scaled to `size`, and the
    middle is cut out; `stretch`: both sides are scaled to `size`."""
    channels: Literal[1, 3] = 3
    """3 for red, green and blue; 1 for grey."""
    corrupt: Literal["refuse", "skip"] = "refuse"
    """What is done with an image that cannot be decoded. `refuse`: the run stops and names it;
    `skip`: it is left out, and all images are decoded to find such ones before a run."""
    classes: Names | None = None
    """Keep only these classes, by the names of their folders; class 0 is the first one named. By
    default all, in the order of their names."""


class DataTable(Files):
    """A table of numbers with a column of labels or targets: a CSV file with a header, or a Parquet
    file.
    """

    source: Literal["table"] = "table"
    """A table, CSV or Parquet."""
    path: str
    """The file; its name ends in `.parquet` if it is one, and any other is read as text. It is
    searched for beside the document, then in the folder named by CEFLOW_DATA: see
    [paths](data.md#paths)."""
    test_path: str | None = None
    """A file with the test examples, searched for as `path` is. By default examples of `path` are
    shuffled by the seed, and those that are not for training are for the test."""
    label: str
    """Name of the column with the labels, or of numbers if `targets` is `raw`."""
    columns: Names | None = None
    """Names of the columns that are inputs, in their order. By default all but `label`."""
    classes: Names | None = None
    """Keep only these labels; class 0 is the first one named. By default all that occur among the
    training examples, in order."""
    train: Count | None = None
    """Number of training examples; by default all of `path`, or four fifths of them, rounded down,
    without `test_path`."""
    test: Natural | None = None
    """Number of test examples; by default all that remain."""

    path_keys: ClassVar = ("path", "test_path")


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
