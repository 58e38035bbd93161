"""The results of a run's stages, read lazily from its directory."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from ceflow.blocks import Drawing
from ceflow.blocks.html import section
from ceflow.runs.collected import CollectedCurves, CollectedPoints, CollectedTable
from ceflow.runs.reading import read_as
from ceflow.spec import Document
from ceflow.spec.schema import without_links
from ceflow.stages import KINDS, Record, Result, Values, kind_of
from ceflow.store import Damaged, RunDirectory


class Results(Mapping[str, Result]):
    """The results of the stages that are done, by stage name; histories are read from
    their files.
    """

    def __init__(self, directory: RunDirectory, document: Document, found: Mapping[str, Values]):
        self.directory = directory
        self.document = document
        self.found = {name: found[name] for name in document.stages if name in found}
        self._read = cache(self._result)

    def __getitem__(self, name: str) -> Result:
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        """Name each stage that is done, with the main number of its result."""
        found = (f"{name} ({each.headline()})" for name, each in self.items())
        return f"<results of {', '.join(found) or 'no stage'}>"

    def _repr_html_(self) -> str:
        """Show the result of each stage in a notebook as in the terminal."""
        return "\n".join(
            section(f"{name}  {stage.type}", kind_of(stage).describe(self[name]))
            for name, stage in self.document.stages.items()
            if name in self
        )

    def drawings(self) -> Iterator[tuple[str, str, Drawing]]:
        """Yield every drawing of the stages, with the names of its stage and its own."""
        for name, result in self.items():
            for block in kind_of(self.document.stages[name]).describe(result):
                if isinstance(block, Drawing):
                    yield name, block.name, block

    def _result(self, name: str) -> Result:
        kind = kind_of(self.document.stages[name])
        try:
            result = read_as(kind.result, self.found[name])
        except ValidationError:
            raise Damaged(
                f"{self.directory.path / 'results.json'}: what it says of {name!r} is not what this"
                " version of ceflow writes"
            ) from None
        if result.history is None:
            return result
        file = self.directory.metrics_name(name)
        if not self.directory.has(file):
            raise Damaged(f"{self.directory.path / file} is missing: its stage is to be run again")
        return result.model_copy(update={"history": self.directory.read_metrics(name)})


def results_schema() -> dict[str, Any]:
    """Build the JSON Schema of results.json, for editors."""
    results = [kind.result for kind in KINDS.values()]
    collected = [CollectedPoints, CollectedTable, CollectedCurves]
    schemas, definitions = models_json_schema(
        [(each, "serialization") for each in (*results, *collected)]
    )

    def one_of(kinds: Iterable[type[Record]]) -> Values:
        return {"anyOf": [schemas[each, "serialization"] for each in dict.fromkeys(kinds)]}

    stages = {"type": "object", "additionalProperties": one_of(results)}
    gathered = {"type": "object", "additionalProperties": one_of(collected)}
    runs = {"type": "object", "additionalProperties": stages}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What a run of ceflow found",
        "type": "object",
        "required": ["stages"],
        "properties": {"stages": stages, "runs": runs, "collect": gathered},
        **without_links(definitions),
    }
