"""Examples on demand: those of files are read, decoded and prepared when they are asked for."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ceflow.data.checks import Survey, classes_of
from ceflow.data.dataset import Dataset, Examples, Extent, rows_of, targets_of
from ceflow.data.preparing import learnt, mirrored
from ceflow.data.stored import Contents, Held, Stored
from ceflow.seeding import Seed
from ceflow.spec import Labelled

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int

    from ceflow.data.normalising import Standardiser

BLOCK_EXAMPLES = 1024
"""Examples that are read at a time while a preparation is learnt."""


class Choice(NamedTuple):
    """The examples of one part that a document uses."""

    contents: Contents
    rows: "Int[np.ndarray, ' n']"
    """Their indices in the source."""
    ranks: "Int[np.ndarray, ' n'] | None"
    """The class of each; None if the targets are not labels."""


class Streams(NamedTuple):
    """Both parts of a data set."""

    train: "Stream"
    test: "Stream"
    size: Extent
    """As `extent` measures it."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Examples of one part of a data set, read by index and prepared as `load` prepares them.

    Memory is taken by the examples that are read, by the index and the class of each, and for
    `images` by the names of the files. It can be read by several threads.
    """

    choice: Choice
    classes: int
    targets: str
    prepare: "Callable[[np.ndarray], np.ndarray]"
    dtype: Any
    mirror: tuple[int, int, int] | None = None
    """The shape of the images, if their mirror images follow them."""
    standardiser: "Standardiser | None" = None
    """The means and deviations by which inputs are standardised, if they are."""

    @property
    def unit(self) -> float:
        """Return what the stored numbers are divided by first."""
        return self.choice.contents.unit

    def __len__(self) -> int:
        return len(self.choice.rows) * (1 if self.mirror is None else 2)

    def read(self, indices: "Int[np.ndarray, ' k']") -> Examples:
        """Read the examples with these indices, from 0 to `len(self) - 1`, in this order.

        Raises `SpecError` if a file has changed, cannot be read, or is an image that cannot be
        decoded.
        """
        import numpy as np

        (contents, rows, _), count = self.choice, len(self.choice.rows)
        indices = np.asarray(indices)
        originals = indices % count if count else indices
        x = _in_units(contents.x.at(rows[originals]), contents.unit, self.dtype)
        if self.mirror is not None and (turned := indices >= count).any():
            x[turned] = mirrored(x[turned], self.mirror)
        return Examples(self.prepare(x), self._targets(originals))

    def blocks(self, order: "Int[np.ndarray, ' k']", size: int) -> Generator[Examples, None, None]:
        """Read examples in the given order, `size` at a time; the last block may be smaller.

        The next block is read in a thread while the caller works on one, so that two blocks are in
        memory.
        """
        pieces = [order[at : at + size] for at in range(0, len(order), size)]
        with ThreadPoolExecutor(1, "ceflow-data") as reader:
            ahead = reader.submit(self.read, pieces[0]) if pieces else None
            for piece in [*pieces[1:], None]:
                if ahead is None:
                    return
                block = ahead.result()
                ahead = None if piece is None else reader.submit(self.read, piece)
                yield block

    def _targets(self, which: "Int[np.ndarray, ' k']") -> "Float[np.ndarray, 'k outputs']":
        (contents, rows, ranks) = self.choice
        if ranks is not None:
            return targets_of(ranks[which], self.classes, self.targets).astype(self.dtype)
        assert contents.y is not None
        return contents.y.at(rows[which]).astype(self.dtype)


def dataset_of(choices: tuple[Choice, Choice], classes: int, targets: str) -> Dataset:
    """Read all examples of two choices, as float64, before any preparation.

    Those of the same contents are read in one pass.
    """
    import numpy as np

    (contents, rows, ranks), test = choices
    if contents is not test.contents:
        found = (_examples(choice, classes, targets) for choice in choices)
        return Dataset(*found, unit=contents.unit)
    cut, rows = len(rows), np.concatenate([rows, test.rows])
    if ranks is not None and test.ranks is not None:
        ranks = np.concatenate([ranks, test.ranks])
    every = _examples(Choice(contents, rows, ranks), classes, targets)
    train, test = Examples(every.x[:cut], every.y[:cut]), Examples(every.x[cut:], every.y[cut:])
    return Dataset(train, test, contents.unit)


def _examples(choice: Choice, classes: int, targets: str) -> Examples:
    contents, rows, ranks = choice
    x = _in_units(_gathered(contents.x, rows), contents.unit, float)
    if ranks is not None:
        return Examples(x, targets_of(ranks, classes, targets))
    assert contents.y is not None
    return Examples(x, _in_units(_gathered(contents.y, rows), 1, float))


def _gathered(stored: Stored, rows: "Int[np.ndarray, ' n']") -> "np.ndarray":
    """Read rows in any order in one pass."""
    import numpy as np

    if (np.diff(rows) > 0).all():
        return stored.ascending(rows)
    order = np.argsort(rows)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return stored.ascending(rows[order])[back]


def _in_units(found: "np.ndarray", unit: float, dtype: Any) -> "np.ndarray":
    import numpy as np

    if unit != 1:
        found = found / np.dtype(dtype).type(unit)
    return found.astype(dtype, copy=False)


def held_streams(dataset: Dataset, size: Extent, dtype: Any) -> Streams:
    """Return the streams of a data set that is in memory, and prepared."""
    import numpy as np

    def stream(part: Examples) -> Stream:
        choice = Choice(Contents(Held(part.x), y=Held(part.y)), np.arange(len(part.x)), None)
        given = dataset.standardiser
        return Stream(choice, part.y.shape[1], "raw", lambda x: x, dtype, standardiser=given)

    return Streams(stream(dataset.train), stream(dataset.test), size)


def file_streams(
    spec: Any, choices: tuple[Choice, Choice], classes: int, size: Extent, dtype: Any
) -> Streams:
    """Return the streams of examples in files; what the preparation learns, it learns now."""
    import numpy as np

    mirror = size.image if spec.copies > 1 else None
    raw = Stream(choices[0], classes, spec.targets, lambda x: x, np.float64, mirror)

    def blocks() -> "Iterator[np.ndarray]":
        order = np.arange(len(raw))
        return (block.x for block in raw.blocks(order, BLOCK_EXAMPLES))

    prepare = learnt(spec, blocks)
    train, test = (
        Stream(choice, classes, spec.targets, prepare, dtype, turned, prepare.standardiser)
        for choice, turned in zip(choices, (mirror, None), strict=True)
    )
    return Streams(train, test, size)


def choices_of(
    spec: Labelled,
    survey: Survey,
    size: Extent,
    opened: Callable[[str], Contents],
    seed: Seed,
) -> tuple[Choice, Choice]:
    """Choose the training and test examples of the document's classes.

    They are the first of their part, or, if the survey says so, cut from one part in the order of a
    permutation that is drawn from the seed.
    """
    if survey.cut:
        every = _first(spec, survey, opened("train"), None)
        order = seed.numpy().permutation(len(every.rows))
        parts = order[: size.train], order[size.train : size.train + size.test]
        train, test = (
            Choice(
                every.contents,
                every.rows[part],
                None if every.ranks is None else every.ranks[part],
            )
            for part in parts
        )
        return train, test
    train = _first(spec, survey, opened("train"), size.train)
    test = _first(spec, survey, opened("test"), size.test) if size.test else None
    ranks = None if train.ranks is None else train.ranks[:0]
    return train, test or Choice(train.contents, train.rows[:0], ranks)


def _first(spec: Labelled, survey: Survey, contents: Contents, count: int | None) -> Choice:
    import numpy as np

    if contents.labels is None:
        there = survey.train.inputs[0] if count is None else count
        return Choice(contents, np.arange(there), None)
    rows, ranks = rows_of(contents.labels(), classes_of(spec, survey), count)
    return Choice(contents, rows, ranks)
