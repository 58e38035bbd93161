"""One list of checks for all sources: each, of every source in which it can fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import idx_bytes

from ceflow.data import checks, extent, load
from ceflow.seeding import Seed
from ceflow.spec import Cifar10, Data, Digits, Idx, Npz, SpecError

SOURCES = ("digits", "idx", "cifar10", "npz")
"""Those with files or labels; what is generated has none of this."""


class Files:
    """Writes small sound data, but for what a case asks for."""

    def __init__(self, folder: Path):
        self.folder = folder

    def idx(
        self,
        train: tuple[int, ...] = (0, 1, 2, 1),
        test: tuple[int, ...] = (2, 1),
        images: tuple[int, ...] | None = None,
        test_images: tuple[int, ...] | None = None,
    ) -> None:
        for part, labels, shape in (("train", train, images), ("t10k", test, test_images)):
            pixels = np.zeros(shape or (len(labels), 2, 3))
            (self.folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
            (self.folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.array(labels)))

    def cifar(self, train: tuple[int, ...] = (0, 1, 9), test: tuple[int, ...] = (3,)) -> None:
        for name, labels in (("data_batch_1.bin", train), ("test_batch.bin", test)):
            content = b"".join(bytes([label]) + bytes(3072) for label in labels)
            (self.folder / name).write_bytes(content)

    def npz(self, **arrays: Any) -> None:
        sound = {"x": X, "y": Y, "x_test": X[:2], "y_test": Y[:2]}
        np.savez(self.folder / "a.npz", **(sound | arrays))


X, Y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 2, 1])


class Case(NamedTuple):
    check: str
    source: str
    write: Callable[[Files], None]
    spec: Data
    code: str
    key: str
    says: str


def idx(check: str, code: str, key: str, says: str, spec: Any = None, **files: Any) -> Case:
    spec = Idx(path=".", **(spec or {}))
    return Case(check, "idx", lambda to: to.idx(**files), spec, code, key, says)


def npz(check: str, code: str, key: str, says: str, spec: Any = None, **arrays: Any) -> Case:
    spec = Npz(path="a.npz", **(spec or {}))
    return Case(check, "npz", lambda to: to.npz(**arrays), spec, code, key, says)


def cifar(check: str, code: str, key: str, says: str, labels: Any = (0, 1, 9), **spec: Any) -> Case:
    named = Cifar10(path=".", **spec)
    return Case(check, "cifar10", lambda to: to.cifar(labels), named, code, key, says)


def digits(check: str, code: str, key: str, says: str, **spec: Any) -> Case:
    return Case(check, "digits", lambda to: None, Digits(**spec), code, key, says)


ONE_HOT, SIGNED = {"targets": "one-hot"}, {"targets": "signed"}

CASES = [
    cifar("_labels_have_names", "CE302", "path", "label 10: the classes are 0 to 9", labels=(10,)),
    idx("_rows_agree", "CE302", "path", "rows", test_images=(3, 2, 3)),
    npz("_rows_agree", "CE302", "path", "x and y of", y=Y[:3]),
    npz("_rows_agree", "CE302", "path", "x_test and y_test", y_test=Y),
    idx("_examples_are_there", "CE304", "path", "no examples to train on", train=(), test=()),
    npz("_examples_are_there", "CE304", "path", "no examples", x=X[:0], y=Y[:0]),
    *(
        npz("_examples_are_there", "CE304", "path", "no examples", spec, x=X[:0], y=Y[:0])
        for spec in (ONE_HOT, SIGNED)
    ),
    idx(
        "_examples_have_numbers", "CE302", "path", "0 x 3", images=(4, 0, 3), test_images=(2, 0, 3)
    ),
    npz("_examples_have_numbers", "CE302", "path", "in x of", x=X[:, :0], x_test=X[:2, :0]),
    npz("_examples_have_numbers", "CE302", "path", "in y of", y=X[:, :0], y_test=X[:2, :0]),
    idx("_parts_are_alike", "CE302", "path", "5 x 5", test_images=(2, 5, 5)),
    npz("_parts_are_alike", "CE302", "path", "x_test", x_test=X[:2, :1]),
    npz("_parts_are_alike", "CE302", "path", "y_test", y_test=X[:2]),
    npz("_examples_have_one_label", "CE302", "targets", "one integer", ONE_HOT, y=X),
    npz("_examples_have_one_label", "CE302", "targets", "one integer", SIGNED, y_test=X[:2]),
    npz("_labels_are_labels", "CE302", "targets", "below 0", ONE_HOT, y=Y - 1),
    npz("_labels_are_labels", "CE302", "targets", "1000001: is it", ONE_HOT, y=Y + 999_999),
    npz("_labels_are_labels", "CE302", "targets", "is it a class label", ONE_HOT, y=Y * 2.0**62),
    npz("_labels_are_labels", "CE302", "targets", "y_test", ONE_HOT, y_test=Y[:2] + 10**9),
    npz("_labels_are_labels", "CE302", "targets", "is it a class label", SIGNED, y=10**7 * (Y > 0)),
    digits("_classes_are_known", "CE105", "classes", "'ten'", classes=["ten"]),
    digits("_classes_are_known", "CE105", "classes", "twice", classes=["1", "1"]),
    idx("_classes_are_known", "CE105", "classes", "'3'", {"classes": ["3"]}),
    cifar("_classes_are_known", "CE105", "classes", "'cow'", classes=["cow"]),
    idx("_classes_occur", "CE304", "classes", "'1'", {"classes": ["0", "1"]}, train=(0, 2)),
    cifar("_classes_occur", "CE304", "classes", "'cat'", classes=["cat"]),
    *(
        idx(
            "_test_labels_are_known",
            "CE302",
            "targets",
            "label 2",
            {"targets": targets},
            train=(0, 1),
        )
        for targets in ("one-hot", "raw", "signed")
    ),
    npz("_test_labels_are_known", "CE302", "targets", "label 3", ONE_HOT, y_test=[0, 3]),
    npz("_test_labels_are_known", "CE302", "targets", "label 2", SIGNED, y=Y % 2, y_test=[0, 2]),
    digits("_signed_means_two", "CE202", "targets", "not 10", **SIGNED),
    idx("_signed_means_two", "CE202", "targets", "not 3", SIGNED),
    cifar("_signed_means_two", "CE202", "targets", "not 10", **SIGNED),
    npz("_signed_means_two", "CE202", "targets", "not 3", SIGNED),
    npz("_signed_means_two", "CE202", "targets", "not 1", SIGNED, y=0 * Y, y_test=[0, 0]),
    digits("_asked_are_there", "CE304", "train", "1797", train=1798),
    idx("_asked_are_there", "CE304", "test", "3 examples asked for, 2", {"test": 3}),
    cifar("_asked_are_there", "CE304", "train", "3 there", train=4),
    npz("_asked_are_there", "CE304", "test", "2 there", {"test": 3}),
    digits("_data_fit", "CE401", "train", "of memory"),
    idx("_data_fit", "CE401", "train", "of memory"),
    cifar("_data_fit", "CE401", "train", "of memory"),
    npz("_data_fit", "CE401", "train", "of memory"),
    npz("_numbers_are_finite", "CE302", "path", "x[1] of a.npz", x=np.where(X == 3, np.nan, X)),
    npz("_numbers_are_finite", "CE302", "path", "x_test[1] of", x_test=[[0, 1], [np.nan, 1]]),
    npz("_numbers_are_finite", "CE302", "path", "y[2] of", y=np.array([0, 0, np.inf, 0], "f2")),
    npz(
        "_numbers_are_finite",
        "CE302",
        "path",
        "x[1] of",
        x=np.where(X == 3, np.inf, X).astype(">f4"),
    ),
]

CANNOT = {
    "digits": {"_classes_occur", "_test_labels_are_known", "_labels_have_names"}
    | {"_rows_agree", "_examples_are_there", "_examples_have_numbers", "_parts_are_alike"},
    "cifar10": {"_test_labels_are_known"}  # its ten labels are known
    # A record holds both, and a batch without records is damaged.
    | {"_rows_agree", "_examples_are_there", "_examples_have_numbers", "_parts_are_alike"},
    "idx": {"_labels_have_names"},  # its labels are the names
    "npz": {"_classes_are_known", "_classes_occur"}  # no key names classes
    | {"_labels_have_names"},
}
BYTES = {"_examples_have_one_label", "_labels_are_labels", "_numbers_are_finite"}
"""Of no source whose numbers are bytes."""


@pytest.mark.parametrize(
    ("keys", "message", "help"),
    [
        ({"train": 5000, "test": 500}, "5000 training and 500 test examples asked for, 1797 there",
         "set data.train to 1297 or less"),
        ({"train": 5000}, "5000 examples asked for, 1797 there", "set data.train to 1797 or less"),
        ({"train": 5000, "test": 2000}, "5000 examples asked for, 1797 there",
         "set data.train to 1797 or less"),
        ({"train": 5000, "test": 0}, "5000 examples asked for, 1797 there",
         "set data.train to 1797 or less"),
        ({"train": 1500, "test": 500}, "500 examples asked for, 297 there",
         "set data.test to 297 or less"),
        ({"targets": "signed"}, "signed targets need two classes, not 10",
         'name two, as classes = ["0", "1"]'),
        ({"targets": "signed", "classes": ["7", "3", "2"]},
         "signed targets need two classes, not 3", 'name two, as classes = ["7", "3"]'),
    ],
)  # fmt: skip
def test_one_slip_is_one_fault_with_a_help_that_is_right(keys, message, help):
    """The parts of the digits are cut from one, so that too many of one leave none of the other."""
    with pytest.raises(SpecError) as caught:
        extent(Digits.model_validate(keys), Path())
    assert [(fault.message, fault.help) for fault in caught.value.faults] == [(message, help)]


def test_every_check_has_a_case_of_every_source():
    named = {check.__name__ for step in checks.CHECKS for check in step}
    named.remove("_checksums_agree")  # of a file beside the data: tests/data/test_labelled_files.py
    wanted = {
        (check, source)
        for check in named
        for source in SOURCES
        if check not in CANNOT[source] and not (source != "npz" and check in BYTES)
    }
    assert {(case.check, case.source) for case in CASES} == wanted


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}{case.check}")
def test_a_check_finds_its_fault(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    case.write(Files(tmp_path))
    if case.check == "_data_fit":
        monkeypatch.setattr("ceflow._machine.memory", lambda: 50.0)
    monkeypatch.chdir(tmp_path)
    for find in (extent, lambda spec, folder: load(spec, folder, Seed(0))):
        with pytest.raises(SpecError) as caught:
            find(case.spec, Path())
        (fault,) = caught.value.faults
        assert (fault.code, fault.path) == (case.code, ("data", case.key))
        assert case.says in fault.message
        assert fault.help


@pytest.mark.parametrize(
    "source", [Idx(path="."), Cifar10(path="."), Npz(path="a.npz", targets="one-hot")]
)
def test_what_is_wrong_with_the_test_part_is_nothing_without_one(source: Data, tmp_path: Path):
    """No file or array of it is looked at."""
    files = Files(tmp_path)
    files.idx(test_images=(3, 5, 5))
    files.cifar()
    files.npz(x_test=X[:, :1] + np.nan, y_test=["a"])
    (tmp_path / "test_batch.bin").write_bytes(b"cut")
    with pytest.raises(SpecError):
        extent(source, tmp_path)
    assert extent(source.model_copy(update={"test": 0}), tmp_path).test == 0


def test_all_faults_of_a_step_are_said_at_once(tmp_path: Path):
    Files(tmp_path).npz(x=X[:3], x_test=X)
    with pytest.raises(SpecError) as caught:
        extent(Npz(path="a.npz"), tmp_path)
    assert len(caught.value.faults) == 2


def test_no_fault_of_labels_below_0_sends_to_targets_that_refuse_them(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=X, y=Y - 1)
    for targets in ("one-hot", "signed"):
        with pytest.raises(SpecError) as caught:
            extent(Npz(path="a.npz", targets=targets), tmp_path)
        assert "number the classes from 0" in caught.value.faults[0].help
