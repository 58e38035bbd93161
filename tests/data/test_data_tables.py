"""Tables of numbers: CSV and Parquet, labels and targets, and cells that are no numbers."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_sources import TABLE, write_table

from ceflow.data import extent, load
from ceflow.seeding import Seed
from ceflow.spec import DataTable, SpecError

SEED = Seed(0)


def spec_of(**keys: Any) -> DataTable:
    values: dict[str, Any] = {"path": "t.csv", "label": "kind"} | keys
    return DataTable(**values)


def rows(spec: DataTable, folder: Path) -> list[tuple[float, ...]]:
    """All examples of a table that is not cut, inputs and targets."""
    write_table(folder / "none.csv", TABLE.splitlines()[0] + "\n1,cat,2\n")
    train = load(spec.model_copy(update={"test_path": "none.csv", "test": 0}), folder, SEED).train
    return [(*x, *y) for x, y in zip(train.x.tolist(), train.y.tolist(), strict=True)]


EXPECTED = [(1.5, 4, 1), (2, 30, 2), (0.5, 3.5, 1), (1, 0.25, 0), (2.5, 25, 2)]
"""The rows of TABLE, with classes bird, cat and dog."""


def one_hot(expected: Sequence[tuple[float, ...]], classes: int) -> list[tuple[float, ...]]:
    return [(*inputs, *np.eye(classes)[int(label)]) for *inputs, label in expected]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_csv_file_is_read_whatever_separates_its_cells(separator: str, ends: str, tmp_path: Path):
    text = TABLE.replace(",", separator).replace("\n", ends)
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert rows(spec_of(), tmp_path) == one_hot(EXPECTED, 3)
    (tmp_path / "t.csv").write_bytes(gzip.compress(text.replace("cat", '"cat"').encode()))
    assert rows(spec_of(), tmp_path) == one_hot(EXPECTED, 3)


def test_columns_and_classes_are_chosen_by_name(tmp_path: Path):
    write_table(tmp_path / "t.csv")
    found = rows(spec_of(columns=["weight", "height"], classes=["dog", "bird"]), tmp_path)
    assert found == [(30, 2, 1, 0), (0.25, 1, 0, 1), (25, 2.5, 1, 0)]
    raw = rows(spec_of(label="weight", columns=["height"], targets="raw"), tmp_path)
    assert raw == [(x, y) for x, y, _ in EXPECTED]


def test_whole_numbers_are_labels_in_their_order(tmp_path: Path):
    write_table(tmp_path / "t.csv", "x,kind\n1,10\n2,9\n3,9.0\n4, -1\n")
    found = rows(spec_of(targets="one-hot"), tmp_path)
    assert found == one_hot([(1, 2), (2, 1), (3, 1), (4, 0)], 3)
    assert rows(spec_of(classes=["9", "10"], targets="signed"), tmp_path) == [
        (1, 1),
        (2, -1),
        (3, -1),
    ]


def test_zeros_before_a_number_make_it_a_name(tmp_path: Path):
    write_table(tmp_path / "t.csv", "x,kind\n1,01\n2,1\n3,1.0\n4,001\n")
    found = rows(spec_of(targets="one-hot"), tmp_path)
    assert found == one_hot([(1, 1), (2, 2), (3, 2), (4, 0)], 3)


def test_one_table_is_shuffled_and_cut_and_two_are_not(tmp_path: Path):
    lines = [f"{number},{number % 2}" for number in range(10)]
    write_table(tmp_path / "t.csv", "\n".join(["x,kind", *lines]))
    size = extent(spec_of(), tmp_path)
    assert (size.train, size.test) == (8, 2)
    found = load(spec_of(), tmp_path, SEED)
    x = np.concatenate([found.train.x, found.test.x])[:, 0]
    assert sorted(x) == list(range(10))
    assert x.tolist() != list(range(10))
    np.testing.assert_array_equal(np.concatenate([found.train.y, found.test.y])[:, 1], x % 2)
    assert extent(spec_of(train=3), tmp_path).test == 7
    assert extent(spec_of(train=3, test=2), tmp_path).test == 2
    with pytest.raises(SpecError, match="8 examples asked for, 7 there"):
        extent(spec_of(train=3, test=8), tmp_path)
    with pytest.raises(SpecError, match="11 examples asked for, 10 there"):
        extent(spec_of(train=11), tmp_path)
    write_table(tmp_path / "u.csv", "kind,x\n0,5\n")
    two = load(spec_of(test_path="u.csv"), tmp_path, SEED)
    assert (two.train.x[:, 0].tolist(), two.test.x.tolist()) == (list(range(10)), [[5]])


HEAD = "x,y,kind\n"
BAD: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "text": (f"{HEAD}1,2,a\n1,Paris,a\n", {}, "path", "'y' in row 3 of .* holds 'Paris'"),
    "empty cell": (f"{HEAD}1,,a\n", {}, "path", "'y' in row 2 of .* is empty"),
    "nan": (f"{HEAD}nan,2,a\n", {}, "path", "'x' in row 2 of .* holds 'nan'"),
    "infinity": (f"{HEAD}1e999,2,a\n", {}, "path", "holds '1e999', not a number"),
    "underscore": (f"{HEAD}1_000,2,a\n", {}, "path", "holds '1_000'"),
    "decimal comma": ("x;kind\n1,5;a\n", {}, "path", "holds '1,5'"),
    "rounded": (f"{HEAD}9007199254740993,2,a\n", {}, "path", "would be rounded"),
    "ends early": (f"{HEAD}1,2,a\n1,2", {}, "path", "row 3 of .* has 2 cells"),
    "too many cells": (f"{HEAD}1,2,a,4\n", {}, "path", "has 4 cells"),
    "open quote": (f'{HEAD}1,"2,a\n', {}, "path", "is not CSV"),
    "no header": ("", {}, "path", "does not begin with the names"),
    "no rows": (HEAD, {}, "path", "no examples to train on"),
    "latin": ("x,kind\n1,é\n", {}, "path", "not text in UTF-8"),
    "no such label": (HEAD, {"label": "knd"}, "label", "no column 'knd'"),
    "no such column": (HEAD, {"columns": ["z"]}, "columns", "no column 'z'"),
    "label among inputs": (HEAD, {"columns": ["kind"]}, "columns", "among the inputs"),
    "two of a name": ("x,x,kind\n1,2,a\n", {}, "columns", "2 columns 'x'"),
    "index": (",x,kind\n0,1,a\n", {}, "columns", "column 1 of .* has no name"),
    "label alone": ("kind\na\n", {}, "path", "no column besides"),
    "label missing": (f"{HEAD}1,2,\n", {}, "label", "'kind' in row 2 of .* is empty"),
    "a number as label": (f"{HEAD}1,2,0.5\n", {}, "targets", "holds '0.5'"),
    "classes of numbers": (HEAD, {"targets": "raw", "classes": ["a"]}, "classes", "no classes"),
    "no such class": (f"{HEAD}1,2,a\n", {"classes": ["b"]}, "classes", "no class 'b'"),
    "raw text": (f"{HEAD}1,2,a\n", {"targets": "raw"}, "path", "'kind' in row 2 .* holds 'a'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_table_is_told_with_its_row(name: str, tmp_path: Path):
    text, keys, key, says = BAD[name]
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(SpecError, match=says) as caught:
        extent(spec_of(**keys), tmp_path)
    (fault,) = caught.value.faults
    assert fault.path == ("data", key)
    assert fault.help


def test_test_labels_occur_in_training_or_are_left_out_by_classes(tmp_path: Path):
    write_table(tmp_path / "t.csv")
    write_table(tmp_path / "u.csv", "height,kind,weight\n1,cow,2\n3,cat,4\n")
    with pytest.raises(SpecError, match="'cow', which no training example has") as caught:
        extent(spec_of(test_path="u.csv"), tmp_path)
    assert caught.value.faults[0].path == ("data", "test_path")
    found = load(spec_of(test_path="u.csv", classes=["cat", "dog"]), tmp_path, SEED)
    assert (found.test.x.tolist(), found.test.y.tolist()) == ([[3, 4]], [[1, 0]])
    with pytest.raises(SpecError, match="no data at") as caught:
        extent(spec_of(test_path="v.csv"), tmp_path)
    assert caught.value.faults[0].path == ("data", "test_path")


# Parquet


def write_parquet(path: Path, **columns: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    parquet.write_table(pa.table(columns), path, row_group_size=2)


COLUMNS: dict[str, Any] = {
    "height": [1.5, 2.0, 0.5, 1.0, 2.5],
    "kind": ["cat", "dog", "cat", "bird", "dog"],
    "weight": np.array([4, 30, 3, 0, 25], np.int32),
}


def test_parquet_is_read_as_csv_is(tmp_path: Path):
    write_parquet(tmp_path / "t.parquet", **COLUMNS)
    found = rows(spec_of(path="t.parquet"), tmp_path)
    expected = [(x, int(y), label) for x, y, label in EXPECTED]
    assert found == one_hot(expected, 3)
    raw = rows(
        spec_of(path="t.parquet", label="weight", columns=["height"], targets="raw"), tmp_path
    )
    assert raw == [(x, y) for x, y, _ in expected]


def test_what_is_wrong_with_a_parquet_file_is_told(tmp_path: Path):
    path = tmp_path / "t.parquet"
    for columns, says in (
        ({"height": ["a"] * 5}, "'height' of .* holds string"),
        ({"height": [1.0, None, 1.0, 1.0, 1.0]}, "'height' in row 2 .* is empty"),
        ({"height": [1.0, 1.0, float("nan"), 1.0, 1.0]}, "'height' in row 3"),
        ({"weight": np.full(5, 2**53 + 1)}, "would be rounded"),
        ({"kind": [None, "a", "b", "c", "d"]}, "'kind' in row 1 of .* is empty"),
    ):
        write_parquet(path, **(COLUMNS | columns))
        with pytest.raises(SpecError, match=says):
            extent(spec_of(path="t.parquet"), tmp_path)
    write_parquet(path, **COLUMNS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SpecError, match="not a sound Parquet file"):
        extent(spec_of(path="t.parquet"), tmp_path)


def test_parquet_without_pyarrow_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sys

    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SpecError, match="pyarrow is not installed") as caught:
        extent(spec_of(path="t.parquet"), tmp_path)
    assert "ceflow[parquet]" in caught.value.faults[0].help
