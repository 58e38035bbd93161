"""Folders of image files: their order, their size, and those that cannot be decoded."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_sources import write_images
from test_mutations import mutated

from ceflow.data import extent, load, stream
from ceflow.seeding import Seed
from ceflow.spec import ImageFiles, SpecError

SEED = Seed(0)


def spec_of(**keys: Any) -> ImageFiles:
    values: dict[str, Any] = {"path": ".", "size": 4} | keys
    return ImageFiles(**values)


def refused(spec: ImageFiles, folder: Path) -> Any:
    with pytest.raises(SpecError) as caught:
        load(spec, folder, SEED)
    fault = caught.value.faults[0]
    assert fault.help
    return fault


def seen(path: Path) -> np.ndarray:
    """The pixels of a file, channels first."""
    return np.asarray(Image.open(path)).transpose(2, 0, 1) / 255


def test_images_come_in_turns_of_the_classes(tmp_path: Path):
    write_images(tmp_path / "train", {"b": 1, "a": 3, "c": 2}, size=(4, 4))
    write_images(tmp_path / "val", {"c": 2}, size=(4, 4))
    (tmp_path / "train" / "a" / "notes.txt").write_text("no image")
    (tmp_path / "train" / ".hidden").mkdir()
    found = load(spec_of(), tmp_path, SEED)
    assert found.train.y.argmax(axis=1).tolist() == [0, 1, 2, 0, 2, 0]
    assert found.test.y.argmax(axis=1).tolist() == [2, 2]
    order = [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2)]
    files = [tmp_path / "train" / name / f"{number}.png" for name, number in order]
    np.testing.assert_array_equal(found.train.x, [seen(file).ravel() for file in files])


def test_a_folder_without_parts_is_all_for_training(tmp_path: Path):
    write_images(tmp_path, {"cat": 2, "dog": 1})
    (tmp_path / "cat" / "more").mkdir()
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / "more" / "0.PNG")
    size = extent(spec_of(), tmp_path)
    assert (size.train, size.test, size.outputs, size.image) == (3, 0, 2, (3, 4, 4))
    chosen = load(spec_of(classes=["dog", "cat"], targets="raw"), tmp_path, SEED)
    assert chosen.train.y.tolist() == [[1], [0], [1]]


def test_cropping_takes_the_middle_and_stretching_all(tmp_path: Path):
    """A wide image: black, white in its middle square, black."""
    (tmp_path / "a").mkdir()
    strip = np.zeros((8, 24, 3), np.uint8)
    strip[:, 8:16] = 255
    Image.fromarray(strip).save(tmp_path / "a" / "0.png")
    crop = load(spec_of(), tmp_path, SEED).train.x.reshape(3, 4, 4)
    # a pixel is the mean under a triangle that ends 2 pixels to each side of its middle: at the
    # edge of the square an eighth of its mass is outside, on black
    np.testing.assert_allclose(crop[:, :, 1:3], 1)
    np.testing.assert_allclose(crop[:, :, [0, 3]], 7 / 8, atol=1 / 255)
    stretched = load(spec_of(fit="stretch", size=3), tmp_path, SEED).train.x.reshape(3, 3, 3)
    # each third is one pixel, with the neighbours that a triangle of twice its width covers
    assert (stretched[:, :, 1] > 0.7).all()
    assert (stretched[:, :, [0, 2]] < 0.2).all()
    Image.fromarray(strip.transpose(1, 0, 2)).save(tmp_path / "a" / "0.png")
    tall = load(spec_of(), tmp_path, SEED).train.x.reshape(3, 4, 4)
    np.testing.assert_array_equal(tall, crop.swapaxes(1, 2))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_pixel_becomes_grey_or_colour(mode: str, channels: Any, tmp_path: Path):
    (tmp_path / "a").mkdir()
    ending = "tif" if mode == "CMYK" else "png"
    grey = Image.new("L", (4, 4), 255).convert("RGB" if mode in ("P", "CMYK", "RGBA") else "L")
    grey.convert(mode).save(tmp_path / "a" / f"0.{ending}")
    x = load(spec_of(channels=channels), tmp_path, SEED).train.x
    assert x.shape == (1, channels * 16)
    np.testing.assert_allclose(x, 1, atol=2 / 255)


def test_a_photograph_lies_as_its_camera_was_held(tmp_path: Path):
    (tmp_path / "a").mkdir()
    turned = Image.fromarray(
        np.repeat(np.array([[0, 255]], np.uint8), 2, 0).repeat(2, 0).repeat(4, 1)
    )
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned.save(tmp_path / "a" / "0.png", exif=exif)
    x = load(spec_of(channels=1, fit="stretch"), tmp_path, SEED).train.x.reshape(4, 4)
    assert (x[:, 0] == 1).all()
    assert (x[:, -1] == 0).all()


def test_numbers_of_sixteen_bits_are_not_cut_off(tmp_path: Path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a" / "0.png")
    assert "more than 8 bits" in refused(spec_of(), tmp_path).message


CORRUPT: dict[str, tuple[Any, str]] = {
    "cut": (lambda content: content[:-60], "truncated"),
    "empty": (lambda content: b"", "format is not known"),
    "words": (lambda content: b"not an image", "format is not known"),
    "a page": (lambda content: b"<html>404</html>" * 9, "format is not known"),
}


@pytest.mark.parametrize("how", CORRUPT)
def test_a_corrupt_image_is_named_and_skipped_only_if_asked(how: str, tmp_path: Path):
    write_images(tmp_path / "train", {"a": 3, "b": 2})
    write_images(tmp_path / "test", {"a": 1, "b": 2})
    change, why = CORRUPT[how]
    bad = tmp_path / "train" / "a" / "1.png"
    bad.write_bytes(change(bad.read_bytes()))
    fault = refused(spec_of(), tmp_path)
    assert (fault.code, fault.path) == ("CE302", ("data", "path"))
    assert str(bad) in fault.message
    assert why in fault.message
    assert 'corrupt = "skip"' in fault.help
    skipping = spec_of(corrupt="skip")
    assert extent(skipping, tmp_path).train == 4
    assert extent(skipping, tmp_path).left_out == 1
    assert load(skipping, tmp_path, SEED).train.y.argmax(axis=1).tolist() == [0, 1, 1, 0]
    streamed = stream(spec_of(test=0), tmp_path, SEED) if how == "cut" else None
    if streamed:  # its beginning is right, so that it is found when it is read
        assert streamed.train.read(np.array([0, 1])).x.shape == (2, 48)
        with pytest.raises(SpecError, match=re.escape(str(bad))):
            streamed.train.read(np.array([2]))


def test_several_images_that_are_none_are_named_at_once(tmp_path: Path):
    write_images(tmp_path, {"a": 9})
    for number in range(7):
        (tmp_path / "a" / f"{number}.png").write_bytes(b"words")
    with pytest.raises(SpecError) as caught:
        extent(spec_of(), tmp_path)
    assert len(caught.value.faults) == 5
    assert extent(spec_of(corrupt="skip"), tmp_path).train == 2


def test_whatever_bytes_change_an_image_is_read_or_left_out(tmp_path: Path):
    write_images(tmp_path, {"a": 2})
    path, random = tmp_path / "a" / "0.png", np.random.default_rng(0)
    sound, counts = path.read_bytes(), []
    for _ in range(60):
        path.write_bytes(mutated(sound, random))
        counts.append(extent(spec_of(corrupt="skip"), tmp_path).train)
        assert len(load(spec_of(corrupt="skip"), tmp_path, SEED).train.x) == counts[-1]
    assert set(counts) == {1, 2}


def test_images_are_decoded_once_to_find_those_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_images(tmp_path, {"a": 2})
    assert extent(spec_of(corrupt="skip"), tmp_path).train == 2

    def refuse(path: str, spec: ImageFiles) -> None:
        raise OSError("decoded")

    monkeypatch.setattr("ceflow.data.images.square", refuse)
    assert extent(spec_of(corrupt="skip"), tmp_path).train == 2
    (tmp_path / "a" / "1.png").write_bytes(b"changed")
    with pytest.raises(SpecError, match="no examples"):
        extent(spec_of(corrupt="skip"), tmp_path)


def test_folders_that_hold_no_classes_are_told(tmp_path: Path):
    assert "no folder with the images of a class" in refused(spec_of(), tmp_path).message
    write_images(tmp_path / "train", {"a": 1, "b": 0})
    fault = refused(spec_of(), tmp_path)
    assert fault.code == "CE304"
    assert "the class 'b' is empty" in fault.message
    assert extent(spec_of(classes=["a"]), tmp_path).train == 1
    assert "'b'" in refused(spec_of(classes=["a", "b"]), tmp_path).message
    (tmp_path / "train" / "b").rmdir()
    write_images(tmp_path / "val", {"c": 1})
    assert "'c', of which there is no training image" in refused(spec_of(), tmp_path).message
    assert extent(spec_of(test=0), tmp_path).outputs == 1
    (tmp_path / "file").touch()
    assert "is not a folder" in refused(spec_of(path="file"), tmp_path).message
