"""CIFAR-10 and CIFAR-100, binary versions: records of labels and 3 x 32 x 32 image bytes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ceflow.data.checks import Part, Survey
from ceflow.data.dataset import data_error
from ceflow.data.files import content, contents, find, read_start, remembered
from ceflow.data.stored import Chain, Contents, file_records
from ceflow.spec import Cifar10, Cifar100, SpecError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

IMAGE_SHAPE = (3, 32, 32)
IMAGE_BYTES = 3 * 32 * 32

CLASSES_10, FINE_CLASSES, COARSE_CLASSES = (
    names.split()
    for names in (
        "airplane automobile bird cat deer dog frog horse ship truck",
        """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
        butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach
        couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster
        house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
        motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
        pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket
        rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
        sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip
        turtle wardrobe whale willow_tree wolf woman worm
        """,
        """
        aquatic_mammals fish flowers food_containers fruit_and_vegetables
        household_electrical_devices household_furniture insects large_carnivores
        large_man-made_outdoor_things large_natural_outdoor_scenes
        large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles
        small_mammals trees vehicles_1 vehicles_2
        """,
    )
)
"""Names of the classes in the order of their labels, as the `.txt` files beside the data have
them."""


def survey(spec: Cifar10 | Cifar100, folder: Path) -> Survey:
    root = find(spec, folder)
    training, testing = _batches(spec, root, "train"), _batches(spec, root, "test")
    if not training:
        raise _no_batches(spec, root)
    testing = [] if spec.test == 0 else testing
    parts = [_part(spec, batches) for batches in (training, testing) if batches]
    return Survey(str(root), *parts, names=_names(spec), files=training + testing)


def opened(spec: Cifar10 | Cifar100, folder: Path, part: str) -> Contents:
    batches = _batches(spec, find(spec, folder), part)
    labels = [_labels(path, *_format(spec)) for path in batches]
    counts, (before, _) = [len(each) for each in labels], _format(spec)
    records = [
        file_records(path, count, before + IMAGE_BYTES, skip=before)
        for path, count in zip(batches, counts, strict=True)
    ]
    return Contents(Chain(records, counts), lambda: _joined(labels), unit=255)


def _joined(labels: Sequence[bytes]) -> "UInt8[np.ndarray, ' n']":
    import numpy as np

    return np.frombuffer(b"".join(labels), np.uint8)


def _names(spec: Cifar10 | Cifar100) -> Sequence[str]:
    if spec.source == "cifar10":
        return CLASSES_10
    return FINE_CLASSES if spec.labels == "fine" else COARSE_CLASSES


def _format(spec: Cifar10 | Cifar100) -> tuple[int, int]:
    """Return how many labels a record begins with, and the place of the one that is its class."""
    return (1, 0) if spec.source == "cifar10" else (2, ("coarse", "fine").index(spec.labels))


def _part(spec: Cifar10 | Cifar100, batches: list[Path]) -> Part:
    counts = sum((Counter(_labels(path, *_format(spec))) for path in batches), Counter[int]())
    count, name = sum(counts.values()), batches[0].name
    return Part(name, name, (count, *IMAGE_SHAPE), (count,), lambda: counts)


def _batches(spec: Cifar10 | Cifar100, root: Path, part: str) -> list[Path]:
    """List the files of a part."""
    if spec.source == "cifar10":
        return sorted(root.glob({"train": "data_batch_*.bin", "test": "test_batch.bin"}[part]))
    return sorted(root.glob(f"{part}.bin"))


def _no_batches(spec: Cifar10 | Cifar100, root: Path) -> SpecError:
    """Say that there are no training files; raise if those of the Python version are there."""
    stem, binary = ("data_batch_*", ".bin") if spec.source == "cifar10" else ("train", ".bin")
    for path in sorted(root.glob(stem)):
        read_start(path, 2)  # raises if it is a pickle, as in the Python version
    return data_error("CE301", f"no {stem}{binary} in {root}", help=contents(root))


@remembered
def _labels(path: Path, before: int, place: int) -> bytes:
    """Read the label at a place in each record of a file, after checking the file's length."""
    labels, size, width = bytearray(), 0, before + IMAGE_BYTES
    with content(path) as stream:
        while block := stream.read(1000 * width):
            labels += block[place::width]
            size += len(block)
    if not size or size % width:
        message = f"{path} is damaged: {size} bytes are not a whole number of {width}-byte"
        raise data_error("CE302", f"{message} records", help="fetch the file again")
    return bytes(labels)
