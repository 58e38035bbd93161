"""What a source gives: counts before anything is read, arrays after."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ceflow.spec import Fault, SpecError

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


@dataclass(frozen=True)
class Extent:
    """The size of a data set, as far as a plan needs to know of it."""

    inputs: int
    outputs: int
    train: int
    test: int
    image: tuple[int, int, int] | None = None
    """Channels, height and width, where the inputs are images."""


@dataclass(frozen=True)
class Examples:
    """Inputs and targets, one row an example, float64; sources give inputs as vectors."""

    x: "Float[ndarray, 'examples ...']"
    y: "Float[ndarray, 'examples outputs']"


@dataclass(frozen=True)
class Dataset:
    """Training and test examples."""

    train: Examples
    test: Examples


def data_fault(code: str, message: str, key: str = "path", help: str = "") -> Fault:
    """Make a fault of the document's [data], blamed on one of its keys."""
    return Fault(code, message, ("data", key), help=help)


def data_error(code: str, message: str, key: str = "path", help: str = "") -> SpecError:
    """Make an error with that one fault."""
    return SpecError(data_fault(code, message, key, help))
