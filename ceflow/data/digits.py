"""scikit-learn's handwritten digits."""

from collections import Counter
from pathlib import Path

from ceflow.data.checks import Part, Survey
from ceflow.data.stored import Contents, Held
from ceflow.spec import Digits

CLASS_NAMES = [str(digit) for digit in range(10)]
CLASS_COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
"""Number of examples of each digit; with it, a plan need not load them."""


def survey(spec: Digits, folder: Path) -> Survey:
    count = sum(CLASS_COUNTS)
    labels = Counter(dict(enumerate(CLASS_COUNTS)))
    every = Part("pixels", "labels", (count, 8, 8), (count,), lambda: labels)
    return Survey("the digits", every, names=CLASS_NAMES, image=True, cut=True)


def opened(spec: Digits, folder: Path, part: str) -> Contents:
    from sklearn.datasets import load_digits  # takes a second to import

    pixels, labels = load_digits(return_X_y=True)
    return Contents(Held(pixels), lambda: labels, unit=16)
