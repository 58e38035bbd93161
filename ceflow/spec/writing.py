"""Writing a document as text."""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from ceflow.spec.base import TAGS, KeyPath, Spec
from ceflow.spec.diagnostics import SpecError
from ceflow.spec.document import Document
from ceflow.spec.models.layers import LayerSpec, short_form
from ceflow.spec.origin import Origin
from ceflow.spec.reading import validate
from ceflow.spec.text import Text, parse


def tree_of(spec: Spec, *, defaults: bool = False) -> dict[str, Any]:
    """Convert a part of a document to a tree of plain values.

    Keys with default values are left out unless `defaults`; keys that are not set always are.
    """
    tree = {}
    for name, field in sorted(
        type(spec).model_fields.items(), key=lambda item: item[0] not in TAGS
    ):
        value = getattr(spec, name)
        needed = (
            defaults
            or name in (*TAGS, "ceflow")
            or value != field.get_default(call_default_factory=True)
        )
        if value is not None and needed:
            tree[name] = _plain(value, defaults)
    return tree | (spec.__pydantic_extra__ or {})


def dumps(
    document: Document, syntax: Literal["toml", "json"] = "toml", *, defaults: bool = False
) -> str:
    """Write a document as text, such that `loads(dumps(document)) == document`.

    A document that was read from TOML and then changed by `model_copy` is written as an edit of
    that text, with its comments, order and spelling. If such an edit would not give the same
    document, it is written anew, with the comments on the entries that both have. With `defaults`
    every key is written.

    >>> from ceflow.spec import Document, Mlp
    >>> print(dumps(Document(model=Mlp(widths=[3, float("inf")]))), end="")
    ceflow = 1
    <BLANKLINE>
    [model]
    type = "mlp"
    widths = [3, inf]
    """
    if not isinstance(document, Document):
        raise TypeError(f"dumps writes a ceflow.Document, not a {type(document).__name__}")
    tree = tree_of(document, defaults=defaults)
    if syntax == "json":
        return json.dumps(_json(tree), indent=2, ensure_ascii=False) + "\n"
    anew = _written(tree)
    origin = document.origin
    if defaults or not origin or origin.text.syntax != "toml":
        return anew
    wanted = repr(tree)
    edits = _edits(document, origin, anew)
    return next((text for text in edits if repr(_read_back(text)) == wanted), anew)


def dumps_origins(document: Document, resolved: Document) -> str:
    """Write the resolved document as TOML with every key, and where each value came from."""
    import tomlkit

    text = tomlkit.parse(dumps(resolved, defaults=True))
    _annotate(text, (), document)
    return tomlkit.dumps(text)


def _edits(document: Document, origin: Origin, anew: str) -> Iterator[str]:
    """Yield texts that may give the document, the nearest to the original first."""
    from ceflow.spec.comments import with_comments, with_tables_in_order

    files = origin.without_settings
    with suppress(SpecError):  # without the settings it may be no document
        if len(files.layers) == 1:
            old = tree_of(validate(files.tree))
            edited = _edited(origin.text.content, old, tree_of(document))
            yield edited
            yield with_tables_in_order(edited, "stages", document.stages)
    yield with_comments(anew, origin.text.content)


def _read_back(text: str) -> dict[str, Any] | None:
    """Read a text as the tree of a document; None if it is not a document."""
    try:
        return tree_of(validate(parse(Text("", text, "toml", Path()))))
    except SpecError:
        return None


def _edited(content: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    """Edit a text for `old` so that it gives `new`; unchanged entries keep their form."""
    import tomlkit  # not needed to read a document, so not loaded by `check`

    try:
        text = tomlkit.parse(content)
        _edit(text, old, new)
        return tomlkit.dumps(text)
    except Exception:  # of many kinds, where dotted keys or scattered tables are edited
        return ""


def _edit(table: Any, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Edit a table of a text for `old` so that it gives `new`, changing nothing else."""
    for key in old.keys() - new.keys():
        if key in table:
            del table[key]
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and key in table:
            _edit(table[key], before, value)
        elif value != before:
            table[key] = _item(value)


def _written(tree: dict[str, Any]) -> str:
    """Write the TOML text of a tree."""
    import tomlkit

    return tomlkit.dumps(_item(tree))


def _item(value: Any) -> Any:
    """Convert a value for tomlkit; tables inside an array are written inline."""
    import tomlkit

    if isinstance(value, dict):
        return {key: _item(each) for key, each in value.items()}
    if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        array = tomlkit.array()
        array.extend(value)
        return array
    return value


def _annotate(table: Any, path: KeyPath, document: Document) -> None:
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict):
            _annotate(value, here, document)
        else:
            table.item(key).comment(_source(here, document))


def _source(path: KeyPath, document: Document) -> str:
    """Say where the value at a path came from."""
    from ceflow.spec.positions import positions_in

    origin = document.origin
    writer = origin.writer(path) if origin else None
    if writer and writer.reach(path) == len(path):
        return str(positions_in(writer.text).find(path))
    sized = document.data is not None and path[0] == "model" and path[-1] in ("inputs", "outputs")
    return "from the data" if sized else "default"


def _plain(value: Any, defaults: bool) -> Any:
    if isinstance(value, LayerSpec) and (name := short_form(value)):
        return name
    if isinstance(value, Spec):
        return tree_of(value, defaults=defaults)
    if isinstance(value, dict):
        return {key: _plain(item, defaults) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item, defaults) for item in value]
    return value


def _json(value: Any) -> Any:
    """Replace infinity by the string "inf", as JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return "inf" if value == math.inf else value
