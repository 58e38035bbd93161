"""The arrays of a run's stages, read from their files on demand."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ceflow.runs.numbers import listed
from ceflow.store import RunDirectory

if TYPE_CHECKING:
    import numpy as np

MAIN = "array"
"""Key of the array whose file has the name of its stage alone, such as a kernel."""


class StageArrays(Mapping[str, "np.ndarray"]):
    """The arrays of one stage, by the keys that they have in its result: `arrays.predictions` is
    `arrays["predictions"]`. Each is read from its file whenever it is asked for.
    """

    def __init__(self, directory: RunDirectory, stage: str):
        self._directory, self._stage = directory, stage

    def __getitem__(self, key: str) -> "np.ndarray":
        """Read an array. Raises `KeyError` if there is none of this name, and `Damaged` (a
        `ValueError`) if its file was changed.
        """
        if key not in [*self]:
            there_are = f"its arrays are {listed([*self])}" if len(self) else "it left none"
            raise KeyError(f"the stage {self._stage!r} left no array {key!r}; {there_are}")
        name = self._stage if key == MAIN else f"{self._stage}.{key}"
        return self._directory.read_array(name)

    def __getattr__(self, key: str) -> "np.ndarray":
        if key.startswith("_"):
            raise AttributeError(key)
        try:
            return self[key]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __iter__(self) -> Iterator[str]:
        names = self._directory.array_names(self._stage)
        return (name.partition(".")[2] or MAIN for name in names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<arrays of {self._stage!r}: {', '.join(self) or 'none'}>"


class RunArrays(Mapping[str, StageArrays]):
    """The arrays of all stages that are done, by the name of the stage, or `"RUN/STAGE"`."""

    def __init__(self, names: list[str], find: Callable[[str], StageArrays]):
        self._names, self._find = names, find

    def __getitem__(self, stage: str) -> StageArrays:
        return self._find(stage)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<arrays of the stages {', '.join(self._names)}>"
