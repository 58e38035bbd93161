"""Reading a document from texts, and finding every fault in them."""

import copy
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ceflow.spec.base import KeyPath, Spec
from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.document import VERSION, Document, Examined
from ceflow.spec.faults import faults_of
from ceflow.spec.origin import Origin, placing, stack
from ceflow.spec.text import Text, read
from ceflow.spec.trees import child, remove


def load(path: str | os.PathLike[str], settings: Sequence[str] = ()) -> Document:
    """Read a document from a TOML or JSON file; `KEY=VALUE` settings take precedence.

    Raises `SpecError` with all its faults, each at its place in the file that set the value.
    """
    return examined(stack(read(path), settings)).document


def loads(
    text: str, syntax: Literal["toml", "json"] = "toml", settings: Sequence[str] = ()
) -> Document:
    """Read a document from a string. Raises `SpecError` with all its faults.

    >>> loads('model = {type = "mlp", widths = [3]}', settings=["model.widths=[4]"]).model.widths
    (4,)
    """
    if not isinstance(text, str):
        kind = type(text).__name__
        raise TypeError(f"loads reads a text, not a {kind}; ceflow.load reads a file")
    return examined(stack(Text("<string>", text, syntax, Path()), settings)).document


def examined(origin: Origin) -> Examined:
    """Read the document that the texts make together, and check its meaning.

    Raises `SpecError` with every fault found.
    """
    with placing(origin):
        try:
            document = validate(origin.tree)
        except SpecError as error:
            beside = []
            with suppress(RecursionError):  # so deep a tree is not worth a second look
                beside = _faults_beside(error.faults, origin.tree)
            raise SpecError(*error.faults, *beside) from None
        document._origin = origin
        found = check(document)
        if unused := list(_unused(origin, document)):
            raise SpecError(*unused)
        return found


def _unused(origin: Origin, document: Document) -> Iterator[Fault]:
    """Find settings of swept paths, whose values no run would have."""
    for path in document.sweep.paths if document.sweep else ():
        steps = tuple(path.split("."))
        if any(layer.reach(steps) == len(steps) for layer in origin.settings):
            help = f"""set the values of the sweep, as --set 'sweep."{path}"=[...]'"""
            yield Fault("CE202", f"no run would have this value: {path} is swept", steps, help=help)


def validate(tree: dict[str, Any]) -> Document:
    """Read a document from a tree; keys and types are checked, but not the meaning."""
    version = tree.get("ceflow", VERSION)
    if isinstance(version, int) and version > VERSION:
        written = version if version < 10**9 else "past all numbers"
        message = f"language version {written}; this ceflow reads version {VERSION}"
        raise SpecError(Fault("CE003", message, ("ceflow",), help="install a later ceflow"))
    try:
        return Document.model_validate(tree)
    except ValidationError as error:
        raise SpecError(*faults_of(error, tree, Document)) from None


def revalidated(document: Document) -> Document:
    """Check the keys and types of a document again, since pydantic's `model_construct` skips that.
    Raises `SpecError` if they are wrong, `TypeError` if it is not a document.
    """
    if not isinstance(document, Document):
        kind = type(document).__name__
        raise TypeError(
            f"a ceflow.Document is wanted, not a {kind}: ceflow.load reads a file, and ceflow.loads"
            " a text"
        )
    again = validate(_given(document))
    if again == document:
        return document
    again._origin = document.origin
    return again


def _given(value: Any) -> Any:
    """Convert a document and everything in it to nested dictionaries."""
    if isinstance(value, Spec):
        return _given(dict(value))
    if isinstance(value, dict):
        return {key: _given(each) for key, each in value.items()}
    return value


MOST_REPAIRS = 4
"""Maximum number of repairs of a tree in search of more faults: a repair may reveal another
fault."""

STAND_INS: dict[str, Any] = {
    "widths": [1000, 1000],
    "blocks": [3, 3, 3],
    "base_width": 64,
    "multiplicity": 2,
    "size": 10,
    "path": ".",
    "inputs": 1,
    "member": {"type": "mlp", "widths": [1000, 1000]},
    "encoder": {"type": "mlp", "widths": [math.inf]},
    "decoder": {"type": "mlp", "widths": [math.inf]},
}
"""Replacements for missing keys of data and models, used while the rest is checked."""

OF_DATA: dict[Any, Any] = {"test": 1, "targets": "one-hot"}
"""Replacements for unreadable values of data, for which stages may ask."""


def _faults_beside(faults: tuple[Fault, ...], tree: dict[str, Any]) -> list[Fault]:
    """Find the semantic faults of the rest of a document, after its unreadable values were repaired
    or removed.

    References to removed stages are not reported. The list is empty if too little is left to be a
    document.
    """
    rest, gone, broken = copy.deepcopy(tree), set(), {fault.path for fault in faults}
    unknown = {fault.path[:-1] for fault in faults if fault.code == "CE101"}
    for _ in range(MOST_REPAIRS):
        for fault in faults:
            gone |= _mend(rest, fault)
        if "sweep" not in rest:
            rest.pop("collect", None)  # has nothing to stand on
        try:
            found = validate(rest).faults()
        except SpecError as error:
            faults = error.faults
        else:
            return [
                fault
                for fault in found
                if fault.path not in broken
                and _referred_to(fault, rest) not in gone
                and not _is_emptied(fault, unknown)
            ]
    return []


def _mend(tree: dict[str, Any], fault: Fault) -> set[Any]:
    """Replace a wrong value by the one probably meant, or else remove it. Returns the names of
    removed stages; a stage is removed whole, except for an unknown key.
    """
    table, key = _at(tree, fault.path[:-1]), fault.path[-1] if fault.path else ""
    mendable = fault.meant and isinstance(table, dict) and key in table
    if fault.path[:1] == ("model",) and "layers" in (*fault.path, fault.missing):
        tree["model"] = copy.deepcopy(STAND_INS["member"])  # of half a network, all else is wrong
        remove(tree, ("sweep",))
    elif mendable and fault.code == "CE105":
        table[key] = fault.meant
    elif mendable and fault.meant not in table:
        table[fault.meant] = table.pop(key)
    elif fault.code != "CE101" and fault.path[:1] == ("model",) and _is_of_chain(fault):
        halves = {key: STAND_INS[key] for key in ("size", "encoder", "decoder")}
        tree["model"] = copy.deepcopy({"type": "bottleneck", **halves})
    elif fault.path[:1] == ("stages",) and fault.code != "CE101":
        remove(tree, fault.path[:2])
        return set(fault.path[1:2])
    elif fault.path[:1] == ("sweep",):
        remove(tree, ("sweep",))
    elif fault.missing in STAND_INS:
        _at(tree, fault.path)[fault.missing] = copy.deepcopy(STAND_INS[fault.missing])
    elif fault.path in (("data",), ("data", "source")):
        tree["data"] = {"source": "digits"}  # has test examples and classes, as stages may ask
    elif fault.path[:1] == ("data",) and fault.code != "CE101" and fault.path[-1] in OF_DATA:
        tree["data"][fault.path[-1]] = OF_DATA[fault.path[-1]]
    else:
        remove(tree, fault.path)
    return set()


def _is_of_chain(fault: Fault) -> bool:
    """Tell whether a fault is of the segments of a chain or of the sizes between them."""
    return bool({*fault.path[1:2], fault.missing} & {"segments", "sizes"})


def _is_emptied(fault: Fault, unknown: set[KeyPath]) -> bool:
    """Tell whether a key is missing only because an unknown key was removed from its table."""
    return fault.code == "CE102" and fault.path in unknown


def _at(tree: Any, path: KeyPath) -> Any:
    for step in path:
        tree = child(tree, step)
    return tree


def _referred_to(fault: Fault, tree: dict[str, Any]) -> str | None:
    """Return the stage named by a dangling reference; None for any other fault."""
    if fault.code != "CE201":
        return None
    return str(_at(tree, fault.path)).removeprefix("stages.").partition(".")[0]


def check(document: Document) -> Examined:
    """Check the meaning of a document. Raises `SpecError` with its faults."""
    found = document.examine()
    if found.faults:
        raise SpecError(*found.faults)
    return found
