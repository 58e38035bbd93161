"""Files that are whole or not there, arrays that come back as they went."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from ceflow.store import Damaged, RunDirectory
from ceflow.store import atomic as atomic_module
from ceflow.store.arrays import read_array, write_array
from ceflow.store.atomic import write_text


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


class Full(OSError):
    """A disk without space."""


def fail(*_: Any, **__: Any) -> None:
    raise Full


@pytest.mark.parametrize("text", ["", "one\n", "two\r\nlines\r\n", "α = 3.44 ± ρ"])
def test_text_comes_back_as_it_went(tmp_path, text):
    write_text(tmp_path / "new" / "folder" / "file", text)
    assert (tmp_path / "new" / "folder" / "file").read_bytes() == text.encode()
    assert files(tmp_path / "new" / "folder") == ["file"]


def test_text_replaces_what_was_there(tmp_path):
    for text in ("a long one", "short"):
        write_text(tmp_path / "file", text)
    assert (tmp_path / "file").read_text() == "short"
    assert files(tmp_path) == ["file"]


def break_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_module.os, "fsync", fail)


def break_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", fail)
    monkeypatch.setattr(os, "replace", fail)


@pytest.mark.parametrize("breaking", [break_flush, break_rename])
def test_old_text_stays_where_writing_fails(tmp_path, monkeypatch, breaking):
    write_text(tmp_path / "file", "old")
    breaking(monkeypatch)
    with pytest.raises(Full):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


def test_old_text_stays_where_the_new_cannot_be_encoded(tmp_path):
    write_text(tmp_path / "file", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "file", "\ud800")
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("breaking", [break_flush, break_rename])
def test_no_temporary_file_stays_where_writing_fails(tmp_path, monkeypatch, breaking):
    breaking(monkeypatch)
    with pytest.raises(Full):
        write_text(tmp_path / "file", "new")
    assert files(tmp_path) == []


def test_new_text_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    seen = []

    def flushed(descriptor: int) -> None:
        seen.append((os.fstat(descriptor).st_size, files(tmp_path) == ["file"]))

    monkeypatch.setattr(atomic_module.os, "fsync", flushed)
    write_text(tmp_path / "file", "12345")
    assert seen == [(5, False)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (3,), (4, 5), (2, 2, 3, 3), (0,), (0, 3), (700, 900)])
def test_arrays_come_back_bit_for_bit(tmp_path, dtype, shape):
    array = np.asarray(np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    write_array(tmp_path / "a.zarr", array)
    found = read_array(tmp_path / "a.zarr")
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


def test_special_numbers_come_back(tmp_path):
    array = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7e308])
    write_array(tmp_path / "a.zarr", array)
    assert read_array(tmp_path / "a.zarr").tobytes() == array.tobytes()


def test_array_is_readable_as_zarr_by_anyone(tmp_path):
    write_array(tmp_path / "a.zarr", np.arange(6.0).reshape(2, 3))
    found: Any = zarr.open_array(str(tmp_path / "a.zarr"), mode="r")
    np.testing.assert_array_equal(found[...], [[0, 1, 2], [3, 4, 5]])


def test_array_replaces_one_of_another_shape_and_type(tmp_path):
    write_array(tmp_path / "a.zarr", np.zeros((50, 50)))
    write_array(tmp_path / "a.zarr", np.ones(3, "float32"))
    np.testing.assert_array_equal(read_array(tmp_path / "a.zarr"), np.ones(3, "float32"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_old_array_stays_where_writing_fails(tmp_path, monkeypatch):
    write_array(tmp_path / "a.zarr", np.ones(3))
    monkeypatch.setattr(zarr, "save_array", fail)
    with pytest.raises(Full):
        write_array(tmp_path / "a.zarr", np.zeros(3))
    np.testing.assert_array_equal(read_array(tmp_path / "a.zarr"), np.ones(3))


DAMAGES = {
    "a chunk is gone": ("c/0/1", None, "1 of its 8 chunks are missing"),
    "a chunk is garbage": ("c/0/1", b"garbage", "is not what a run writes"),
    "a chunk is cut": ("c/3/1", b"", "is not what a run writes"),
    "its description is gone": ("zarr.json", None, "is not what a run writes"),
    "its description is no JSON": ("zarr.json", b"{", "is not what a run writes"),
    "its description is JSON of something else": ("zarr.json", b"[]", "is not what a run writes"),
    "its description is of a group": (
        "zarr.json",
        b'{"zarr_format": 3, "node_type": "group", "attributes": {}}',
        "is not what a run writes",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_array_is_told_and_gives_no_numbers(tmp_path, damage):
    name, content, says = DAMAGES[damage]
    directory = RunDirectory(tmp_path)
    directory.write_array("k", np.zeros((700, 900)))  # zeros, which no lost chunk must look like
    file = directory.array_path("k") / name
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(Damaged, match=rf"k\.zarr is damaged: .*{says}; run its document"):
        directory.read_array("k")


def test_what_a_killed_writer_left_is_no_obstacle(tmp_path):
    left = tmp_path / f".a.zarr.{os.getpid()}.tmp"
    left.mkdir()
    (left / "zarr.json").write_text("{")
    write_array(tmp_path / "a.zarr", np.ones(3))
    np.testing.assert_array_equal(read_array(tmp_path / "a.zarr"), np.ones(3))
    assert not left.exists()


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=30, deadline=None)  # each example is flushed to disk
@given(content=plain)
def test_plain_values_come_back_from_json(tmp_path_factory, content):
    directory = RunDirectory(tmp_path_factory.mktemp("json"))
    directory.write_json("values.json", content)
    assert directory.read_json("values.json") == content


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_written(tmp_path, number):
    directory = RunDirectory(tmp_path)
    directory.write_json("results.json", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        directory.write_json("results.json", {"a": number})
    assert json.loads((tmp_path / "results.json").read_text()) == {"a": 1}
    assert files(tmp_path) == ["results.json"]


def test_missing_json_is_its_default(tmp_path):
    assert RunDirectory(tmp_path).read_json("results.json", {"stages": {}}) == {"stages": {}}
    assert RunDirectory(tmp_path).read_json("results.json") is None


@pytest.mark.parametrize(
    ("content", "free", "exists"),
    [(None, True, False), ([], True, False), (["x"], False, False), (["run.json"], False, True)],
)
def test_directory_is_free_or_holds_a_run(tmp_path, content, free, exists):
    folder = tmp_path / "run"
    if content is not None:
        folder.mkdir()
        for name in content:
            (folder / name).write_text("{}")
    directory = RunDirectory(folder)
    assert (directory.is_free, directory.exists) == (free, exists)


def test_file_in_place_of_a_directory_is_not_free(tmp_path):
    (tmp_path / "run").write_text("")
    assert not RunDirectory(tmp_path / "run").is_free


def test_arrays_lie_where_the_contract_says(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.write_array("kernel", np.eye(2))
    assert directory.array_name("kernel") == "arrays/kernel.zarr"
    assert (tmp_path / "arrays" / "kernel.zarr").is_dir()
    np.testing.assert_array_equal(directory.read_array("kernel"), np.eye(2))


@pytest.mark.parametrize("lines", ["5\n", "null\n", '{"time": 0}\n{"ti\n{"time": 1}\n'])
def test_metrics_that_are_no_moments_are_damaged(tmp_path, lines):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/flow.jsonl").write_text(lines)
    with pytest.raises(Damaged, match=r"flow.jsonl is damaged: its line \d is no moment"):
        RunDirectory(tmp_path).read_metrics("flow")
