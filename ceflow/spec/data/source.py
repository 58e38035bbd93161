"""The keys and properties that sources of data share."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from ceflow.spec.base import Count, Natural, NonNegative, Positive, Spec

Augmentations = Annotated[
    Sequence[Literal["color-jitter", "crop", "resized-crop", "flip"]], AfterValidator(tuple)
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
    path_keys: ClassVar[tuple[str, ...]] = ("path",)
    """The keys that name files or folders."""
    counts_examples: ClassVar[bool] = False
    """True if an omitted number of examples means all that the files hold."""
    targets_given: ClassVar[bool] = True
    """True if there are targets to learn, so that the model must have as many outputs."""

    @property
    def copies(self) -> int:
        """Number of training examples made of each one of the source: 2 with its mirror image."""
        return 1

    @property
    def has_one_hot(self) -> bool:
        """True if each target is 1 at its class and 0 elsewhere."""
        return False

    @property
    def augmentation(self) -> tuple[str, ...]:
        """Random changes of training images, made anew in each step."""
        return ()

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
    augment: Augmentations = ()
    """Random changes of images in each step of a `train` stage of a finite network: `color-jitter`
    multiplies brightness, contrast and saturation by factors from 0.6 to 1.4; `crop` adds 4 zeros
    on every side and takes a crop of the image's size; `resized-crop` takes one of 8 to 100 % of
    the area, with sides in proportions of 3:4 to 4:3, and scales it to the image's size; `flip`
    mirrors left and right every second time. Other stages see the images as they are: see
    [inputs](data.md#inputs)."""

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

    @property
    def has_one_hot(self) -> bool:
        return self.targets == "one-hot"

    @property
    def augmentation(self) -> tuple[str, ...]:
        return tuple(self.augment)


class Files(Labelled):
    """A labelled source read from files."""

    in_files: ClassVar = True

    path: str
    """The folder. It is searched for beside the document, then in the folder named by CEFLOW_DATA:
    see [paths](data.md#paths)."""
