"""The results of the examples as they once were, to see that they still are.

`tests/snapshots` holds what each example's results.json said in the first release, cut to a size
that a reader of a diff can bear. Run this file to write it anew after a change of results that is
meant: `python tests/snapshots.py quickstart`; the diff then shows what has changed.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "snapshots"
KEPT = 2
"""How many entries are kept at either end of a list; the rest is counted."""


def cut(value: Any) -> Any:
    """Leave out the middle of every long list, and the digits that no library repeats."""
    match value:
        case dict():
            return {key: cut(each) for key, each in value.items()}
        case list() if len(value) > 3 * KEPT:
            ends = [cut(each) for each in value[:KEPT] + value[-KEPT:]]
            return {"length": len(value), "ends": ends}
        case list():
            return [cut(each) for each in value]
        case float():
            return float(f"{value:.7g}")
        case _:
            return value


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Give every number, text and null with its place."""
    match value:
        case dict():
            for key, each in value.items():
                yield from leaves(each, f"{place}.{key}")
        case list():
            yield place, len(value)
            for position, each in enumerate(value):
                yield from leaves(each, f"{place}[{position}]")
        case _:
            yield place, value


def snapshot(name: str) -> Path:
    """Give the file of the example at this path below examples/."""
    return FOLDER / f"{Path(name).stem}.json"


def write(name: str, results: Path) -> None:
    """Write the snapshot of an example from the results.json of its run."""
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(cut(json.loads(results.read_text())), indent=1, allow_nan=False)
    snapshot(name).write_text(text + "\n")


if __name__ == "__main__":
    from tempfile import mkdtemp

    import ceflow

    for name in sys.argv[1:]:
        (path,) = (Path(__file__).parents[1] / "examples").rglob(f"{name}.toml")
        write(name, ceflow.run(ceflow.load(path), mkdtemp()).path / "results.json")
