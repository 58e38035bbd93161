"""Checks of training and test examples, the same for every source.

A source describes its two parts in a `Survey`; nothing is computed before all checks pass.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ceflow import _machine
from ceflow.data.dataset import Extent, data_fault
from ceflow.data.files import unlike_checksum
from ceflow.spec import Fault, Labelled, SpecError

LARGEST_LABEL = 10**6
"""Largest class label. Larger labels are refused as probable indices or measurements."""


class Part(NamedTuple):
    """The training or test part of a source, as found in its files."""

    x: str
    """Name of the inputs in messages."""
    y: str
    """Name of the targets in messages."""
    inputs: tuple[int, ...]
    """Shape of the inputs; examples are the first axis."""
    targets: tuple[int, ...]
    """Shape of the targets; examples are the first axis."""
    labels: Callable[[], Counter[int]] | None = None
    """Counts the examples of each label; None if the targets are not labels."""
    scan: Callable[[int], Iterator[Fault]] | None = None
    """Checks the numbers of the first n examples; None if any byte is a valid number."""


class Survey(NamedTuple):
    """Both parts of a source; `test` is None if there are no test examples."""

    place: str
    """Path of the source, for messages."""
    train: Part
    test: Part | None = None
    names: Sequence[str] | None = None
    """Names of the classes; if None, the labels are their names."""
    image: bool = False
    """Whether an input with two axes is an image of one channel."""
    first: int = 0
    """The number that the files give to the first of the named classes, for messages."""
    cut: bool = False
    """Whether the test examples are cut from `train`: examples are shuffled, those for training
    taken, four fifths by default, and the rest are for the test."""
    files: Sequence[Path] = ()
    """Files whose checksums are compared with those beside them."""
    left_out: int = 0
    """Number of files that cannot be read, and are left out."""

    @property
    def parts(self) -> list[Part]:
        return [part for part in (self.train, self.test) if part]

    def counts(self, part: Part | None) -> Counter[int]:
        """Count the examples of a part that have each label."""
        return part.labels() if part and part.labels else Counter()


def extent_of(spec: Labelled, survey: Survey, held: bool = True) -> Extent:
    """Check a source, and measure the part of it that is used.

    If `held` is False, examples are read as they are needed, and need not fit into memory. Raises
    `SpecError` with all faults that the first failing step of `CHECKS` finds.
    """
    for step in CHECKS:
        checks = [check for check in step if held or check is not _data_fit]
        faults = [fault for check in checks for fault in check(spec, survey)]
        if faults:
            raise SpecError(*faults)
    return _extent(spec, survey)


def _extent(spec: Labelled, survey: Survey) -> Extent:
    _, *inputs = survey.train.inputs
    train, test = (
        there if asked is None else asked
        for asked, there in zip((spec.train, spec.test), available(spec, survey), strict=True)
    )
    image = (1, *inputs) if survey.image and len(inputs) == 2 else inputs
    shape = (image[0], image[1], image[2]) if len(image) == 3 else None
    return Extent(
        math.prod(inputs), _outputs(spec, survey), train, test, shape, left_out=survey.left_out
    )


def available(spec: Labelled, survey: Survey) -> tuple[int, int]:
    """Count the training and test examples of the chosen classes."""
    train, test = (_chosen(spec, survey, part) for part in (survey.train, survey.test))
    if survey.cut:
        every, train = train, min(spec.train or max(1, train * 4 // 5), train)
        return (every if spec.train else train), every - train
    return train, test


def _chosen(spec: Labelled, survey: Survey, part: Part | None) -> int:
    if part is None:
        return 0
    if part.labels is None:
        return part.inputs[0]
    numbers = classes_of(spec, survey)
    return sum(count for label, count in survey.counts(part).items() if label in numbers)


def classes_of(spec: Labelled, survey: Survey) -> Sequence[int]:
    """Return the labels of the classes, in the order of the outputs.

    The classes are those named in the spec; by default all that the source names; and if it names
    none, the labels of the training part: for signed targets those that occur, otherwise all from 0
    to the largest.
    """
    counts, asked = survey.counts(survey.train), getattr(spec, "classes", None)
    if asked:
        names = _names(survey)
        return [names.index(name) for name in asked]
    if survey.names is not None:
        return range(len(survey.names))
    return sorted(counts) if spec.targets == "signed" else range(max(counts, default=-1) + 1)


def class_names(spec: Labelled, survey: Survey) -> list[str]:
    """Return the names of the classes, in the order of the outputs; none if there are no labels."""
    names = _names(survey)
    return [names[label] for label in classes_of(spec, survey)] if survey.train.labels else []


def _names(survey: Survey) -> Sequence[str]:
    largest = max(survey.counts(survey.train), default=-1)
    return survey.names if survey.names is not None else [str(k) for k in range(largest + 1)]


def _outputs(spec: Labelled, survey: Survey) -> int:
    if survey.train.labels is None:
        return math.prod(survey.train.targets[1:])
    return len(classes_of(spec, survey)) if spec.targets == "one-hot" else 1


# The checks. Each yields the faults of one kind.


def _rows_agree(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    for part in survey.parts:
        x, y = part.inputs[0], part.targets[0]
        if x != y:
            message = f"{part.x} and {part.y} of {survey.place} differ in their number of rows"
            help = f"{x} examples have {y} targets: give each one"
            yield data_fault("CE302", message, help=help)


def _examples_are_there(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    if not survey.train.inputs[0]:
        message = f"{survey.train.x} of {survey.place} holds no examples to train on"
        yield data_fault("CE304", message, help="give one or more")


def _examples_have_numbers(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    part = survey.train
    for name, shape in ((part.x, part.inputs), (part.y, part.targets)):
        if not math.prod(shape[1:]):
            message = f"an example in {name} of {survey.place} is empty: its shape is"
            help = "give each example one number or more"
            yield data_fault("CE302", f"{message} {_shown(shape)}", help=help)


def _parts_are_alike(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    train, test = survey.train, survey.test
    if test is None:
        return
    pairs = [(test.x, test.inputs, train.x, train.inputs)]
    if train.labels is None:
        pairs.append((test.y, test.targets, train.y, train.targets))
    for name, shape, other, wanted in pairs:
        if shape[1:] != wanted[1:]:
            message = f"an example in {name} of {survey.place} is {_shown(shape)}"
            help = "give test examples the shape of training examples, or set test = 0"
            yield data_fault("CE302", f"{message}, in {other} {_shown(wanted)}", help=help)


def _shown(shape: tuple[int, ...]) -> str:
    """Format the shape of one example."""
    return " x ".join(map(str, shape[1:])) or "one number"


def _examples_have_one_label(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    for part in survey.parts:
        if part.labels and math.prod(part.targets[1:]) != 1:
            message = f"{part.y} of {survey.place} must hold one integer label per example"
            help = f'use targets = "raw": an example in {part.y} is {_shown(part.targets)}'
            yield data_fault("CE302", message, "targets", help)


def _checksums_agree(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    for path in survey.files:
        if name := unlike_checksum(path):
            message = f"{path} is not the file whose checksum {path.with_name(name)} gives"
            yield data_fault("CE302", message, help="fetch the file again, or remove the checksum")


def _labels_have_names(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    for part in survey.parts if survey.names is not None else ():
        nameless = [at for at in survey.counts(part) if not 0 <= at < len(survey.names or ())]
        if nameless:
            first = survey.first
            classes = f"{first} to {first + len(survey.names or ()) - 1}"
            message = f"{part.y} of {survey.place} has the label {max(nameless) + first}"
            help = "fetch the file again, or name the source whose format it has"
            yield data_fault("CE302", f"{message}: the classes are {classes}", help=help)


def _labels_are_labels(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    for part in survey.parts if survey.names is None else ():
        counts = survey.counts(part)
        where = f"{part.y} of {survey.place} has"
        if min(counts, default=0) < 0 and spec.targets != "signed":
            help = 'number the classes from 0, or use targets = "raw"'
            help += ', or "signed" for two of them' if len(counts) == 2 else ""
            yield data_fault("CE302", f"{where} labels below 0", "targets", help)
        if (largest := max(map(abs, counts), default=0)) > LARGEST_LABEL:
            message = f"{where} the label {largest}: is it a class label?"
            help = f'number the classes from 0 to at most {LARGEST_LABEL}, or use targets = "raw"'
            yield data_fault("CE302", message, "targets", help)


def _classes_are_known(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    asked = getattr(spec, "classes", None)
    if not asked:
        return
    names = _names(survey)
    for name in asked:
        if name not in names:
            help = f"one of {', '.join(names)}"
            yield data_fault("CE105", f"there is no class {name!r}", "classes", help)
    if len(set(asked)) < len(asked):
        yield data_fault("CE105", "a class is named twice", "classes", "name it once")


def _classes_occur(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    asked = getattr(spec, "classes", None) or ()
    for name, label in zip(asked, classes_of(spec, survey) if asked else (), strict=True):
        if not survey.counts(survey.train)[label]:
            message = f"no training example of {survey.place} is of the class {name!r}"
            yield data_fault("CE304", message, "classes", f"leave {name!r} out")


def _test_labels_are_known(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    if survey.names is not None or getattr(spec, "classes", None) or not survey.test:
        return
    known = classes_of(spec, survey)
    unknown = [label for label in survey.counts(survey.test) if label not in known]
    if unknown:
        message = f"{survey.test.y} of {survey.place} has the label {min(unknown)}, which"
        help = "leave out the test examples of that label, or set test = 0"
        if hasattr(spec, "classes"):
            help = 'keep some classes only, as classes = ["0", "1"], or set test = 0'
        yield data_fault("CE302", f"{message} {survey.train.y} does not have", "targets", help)


def _signed_means_two(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    count = len(classes_of(spec, survey)) if survey.train.labels else 2
    if spec.targets == "signed" and count != 2:
        message = f"signed targets need two classes, not {count}"
        help = 'use targets = "one-hot"'
        if hasattr(spec, "classes") and count > 2:
            first, second = (json.dumps(name) for name in class_names(spec, survey)[:2])
            help = f"name two, as classes = [{first}, {second}]"
        elif min(survey.counts(survey.train), default=0) < 0:  # not for one-hot
            help = 'number the classes from 0 and use targets = "one-hot", or use "raw"'
        yield data_fault("CE202", message, "targets", help)


def _asked_are_there(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    train, test = available(spec, survey)
    if survey.cut and spec.train is not None and spec.train > train:
        yield from _too_many_to_cut(spec, train)
        return  # those for the test are the rest
    yield from fewer_than(spec.train, train, "train")
    yield from fewer_than(spec.test, test, "test")


def _too_many_to_cut(spec: Labelled, there: int) -> Iterator[Fault]:
    """Yield the fault of more training examples than there are of both parts together."""
    if not spec.test or spec.test >= there:
        yield from fewer_than(spec.train, there, "train")
        return
    message = f"{spec.train} training and {spec.test} test examples asked for, {there} there"
    help = f"set data.train to {there - spec.test} or less"
    yield data_fault("CE304", message, "train", help)


def fewer_than(asked: int | None, there: int, key: str) -> Iterator[Fault]:
    """Yield a fault if a spec asks for more examples than there are."""
    if asked is not None and asked > there:
        message = f"{asked} examples asked for, {there} there"
        help = f"set data.{key} to {there}" + (" or less" if there else "")
        yield data_fault("CE304", message, key, help)


def _data_fit(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    """Check that the data fit into memory, before anything is decompressed."""
    size, memory = _extent(spec, survey), _machine.memory()
    rows = size.train * spec.copies + size.test
    needed = 8 * rows * (size.inputs + size.outputs)
    if needed > memory:
        message = f"the data would take {needed / 1e9:,.1f} GB of memory"
        help = "lower data.train" + (" or data.test" if size.test else "")
        there = f"this machine has {memory / 1e9:,.1f} GB"
        yield data_fault("CE401", f"{message}; {there}", "train", help)


def _numbers_are_finite(spec: Labelled, survey: Survey) -> Iterator[Fault]:
    size = _extent(spec, survey)
    for part, count in ((survey.train, size.train), (survey.test, size.test)):
        if part and part.scan and count:
            yield from part.scan(count)


Check = Callable[[Labelled, Survey], Iterator[Fault]]

CHECKS: tuple[tuple[Check, ...], ...] = (
    (_checksums_agree,),
    (_rows_agree, _examples_are_there),
    (_examples_have_numbers, _parts_are_alike, _examples_have_one_label),
    (_labels_are_labels, _labels_have_names),
    (_classes_are_known,),
    (_classes_occur, _test_labels_are_known, _signed_means_two),
    (_asked_are_there,),
    (_data_fit,),
    (_numbers_are_finite,),
)
"""Checks by steps: those of a step run only if all earlier steps found no fault."""
