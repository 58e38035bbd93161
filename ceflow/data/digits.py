"""scikit-learn's handwritten digits."""

from collections import Counter
from pathlib import Path

from ceflow.data.checks import Part, Survey, available, classes_of, extent_of, fewer_than
from ceflow.data.dataset import Dataset, Examples, Extent, rows_of, targets_of
from ceflow.seeding import Seed
from ceflow.spec import Digits, SpecError

CLASS_NAMES = [str(digit) for digit in range(10)]
CLASS_COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
"""Number of examples of each digit; with it, a plan need not load them."""


def extent(spec: Digits, folder: Path) -> Extent:
    survey = _survey()
    of_all = extent_of(spec.replaced({"test": None}), survey)
    there, _ = available(spec, survey)
    train = spec.train or there * 4 // 5
    if faults := list(fewer_than(spec.test, there - train, "test")):
        raise SpecError(*faults)
    test = there - train if spec.test is None else spec.test
    return Extent(of_all.inputs, of_all.outputs, train, test, of_all.image)


def _survey() -> Survey:
    count = sum(CLASS_COUNTS)
    labels = Counter(dict(enumerate(CLASS_COUNTS)))
    every = Part("pixels", "labels", (count, 8, 8), (count,), lambda: labels)
    return Survey("the digits", every, names=CLASS_NAMES, image=True)


def load(spec: Digits, folder: Path, seed: Seed) -> Dataset:
    from sklearn.datasets import load_digits  # takes a second to import

    size, numbers = extent(spec, folder), classes_of(spec, _survey())
    pixels, labels = load_digits(return_X_y=True)
    rows, ranks = rows_of(labels, numbers, len(labels))
    order = seed.numpy().permutation(len(rows))
    x, y = pixels[rows] / 16, targets_of(ranks, len(numbers), spec.targets)
    train, test = order[: size.train], order[size.train : size.train + size.test]
    return Dataset(Examples(x[train], y[train]), Examples(x[test], y[test]))
