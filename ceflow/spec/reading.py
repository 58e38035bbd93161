"""From texts to a document, or to every fault in them."""

import copy
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.document import VERSION, Document
from ceflow.spec.faults import faults_of
from ceflow.spec.origin import Origin, placing, stack
from ceflow.spec.text import Text, read
from ceflow.spec.trees import child, remove


def load(path: str | os.PathLike[str], settings: Sequence[str] = ()) -> Document:
    """Read a document from a TOML or JSON file, with `KEY=VALUE` settings on top of it.

    Raises `SpecError` with every fault in it, each at its place in the file that wrote it.
    """
    return read_document(stack(read(path), settings))


def loads(
    text: str, syntax: Literal["toml", "json"] = "toml", settings: Sequence[str] = ()
) -> Document:
    """Read a document from a string. Raises `SpecError` with every fault in it.

    >>> loads('model = {type = "mlp", widths = [3]}', settings=["model.widths=[4]"]).model.widths
    (4,)
    """
    return read_document(stack(Text("<string>", text, syntax, Path()), settings))


def read_document(origin: Origin) -> Document:
    """The document that texts say together. Raises `SpecError` with every fault found."""
    with placing(origin):
        try:
            document = validate(origin.tree)
        except SpecError as error:
            beside = []
            with suppress(RecursionError):  # so deep a tree is not worth a second look
                beside = _faults_beside(error.faults, origin.tree)
            raise SpecError(*error.faults, *beside) from None
        document._origin = origin
        check(document)
    return document


def validate(tree: dict[str, Any]) -> Document:
    """The document that a tree describes; its keys and types are checked, not yet its meaning."""
    version = tree.get("ceflow", VERSION)
    if isinstance(version, int) and version > VERSION:
        written = version if version < 10**9 else "past all numbers"
        message = f"language version {written}; this ceflow reads version {VERSION}"
        raise SpecError(Fault("CE003", message, ("ceflow",), help="install a later ceflow"))
    try:
        return Document.model_validate(tree)
    except ValidationError as error:
        raise SpecError(*faults_of(error, tree, Document)) from None


def _faults_beside(faults: tuple[Fault, ...], tree: dict[str, Any]) -> list[Fault]:
    """What is wrong in the meaning of the rest, when what cannot be read is taken out.

    A stage with a fault goes whole; elsewhere the faulty key goes. References to what went are not
    blamed. Nothing, where too little is left to be a document.
    """
    rest, gone = copy.deepcopy(tree), set()
    for fault in faults:
        whole = fault.path[:1] == ("stages",) and fault.code != "CE101"
        swept = fault.path[:1] == ("sweep",)
        remove(rest, fault.path[:2] if whole else ("sweep",) if swept else fault.path)
        gone |= set(fault.path[1:2]) if whole else set()
    if "sweep" not in rest:
        rest.pop("collect", None)  # has nothing to stand on
    if any(fault.path[:1] == ("data",) and fault.code != "CE101" for fault in faults):
        rest["data"] = {"source": "gaussian", "inputs": 1}  # stands in: stages ask for some data
    if isinstance(rest.get("model"), dict):
        rest["model"].setdefault("widths", [1])
    try:
        found = validate(rest).faults()
    except SpecError:
        return []
    return [fault for fault in found if _referred_to(fault, rest) not in gone]


def _referred_to(fault: Fault, tree: dict[str, Any]) -> str | None:
    """The stage that a dangling reference names; None for any other fault."""
    if fault.code != "CE201":
        return None
    value: Any = tree
    for step in fault.path:
        value = child(value, step)
    return str(value).removeprefix("stages.").partition(".")[0]


def check(document: Document) -> None:
    """Raise `SpecError` with what is wrong in the meaning of a document."""
    faults = document.faults()
    if faults:
        raise SpecError(*faults)
