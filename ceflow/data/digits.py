"""scikit-learn's handwritten digits."""

from pathlib import Path

from ceflow.data.dataset import Dataset, Examples, Extent, amount
from ceflow.data.labels import class_numbers, labelled, target_size
from ceflow.seeding import Seed
from ceflow.spec import Digits

NAMES = [str(digit) for digit in range(10)]
COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
"""Examples of each digit, so that a plan need not load them."""


def extent(spec: Digits, folder: Path) -> Extent:
    numbers = class_numbers(spec.classes, NAMES)
    available = sum(COUNTS[number] for number in numbers)
    train = amount(spec.train or available * 4 // 5, available, "train")
    test = amount(spec.test, available - train, "test")
    return Extent(64, target_size(spec.targets, len(numbers)), train, test, (1, 8, 8))


def load(spec: Digits, folder: Path, seed: Seed) -> Dataset:
    from sklearn.datasets import load_digits  # a second to import, for one file

    size = extent(spec, folder)
    pixels, labels = load_digits(return_X_y=True)
    every = labelled(pixels / 16, labels, class_numbers(spec.classes, NAMES), spec.targets)
    order = seed.numpy().permutation(len(every.x))
    train, test = order[: size.train], order[size.train : size.train + size.test]
    return Dataset(Examples(every.x[train], every.y[train]), Examples(every.x[test], every.y[test]))
