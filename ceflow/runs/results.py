"""What the stages of a run found, read from its directory as it is asked for."""

from collections.abc import Iterator, Mapping
from functools import cache

from pydantic import ValidationError

from ceflow.blocks.html import section
from ceflow.spec import Document
from ceflow.stages import Result, Values, kind_of
from ceflow.store import Damaged, RunDirectory


class Results(Mapping[str, Result]):
    """The result of each stage that is done, by its name; histories are read from their files."""

    def __init__(self, directory: RunDirectory, document: Document, found: Mapping[str, Values]):
        self.directory = directory
        self.document = document
        self.found = found
        self._read = cache(self._result)

    def __getitem__(self, name: str) -> Result:
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        return repr(dict(self))

    def _repr_html_(self) -> str:
        """Show in a notebook what each stage found, as the terminal does."""
        return "\n".join(
            section(f"{name}  {stage.type}", kind_of(stage).describe(self[name]))
            for name, stage in self.document.stages.items()
            if name in self
        )

    def _result(self, name: str) -> Result:
        kind = kind_of(self.document.stages[name])
        try:
            result = kind.result.model_validate(self.found[name])
        except ValidationError:
            raise Damaged(
                f"{self.directory.path / 'results.json'}: what it says of {name!r} is not what this"
                " version of ceflow writes"
            ) from None
        if result.history is None:
            return result
        return result.model_copy(update={"history": self.directory.read_metrics(name)})
