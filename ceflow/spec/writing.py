"""Writing a document as text."""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeGuard

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
        elif _are_layers(value, key) and _are_layers(before, key) and len(value) == len(before):
            _edit_layers(table[key], before, value)
        elif value != before:
            table[key] = _item(value, key)


def _edit_layers(array: Any, old: list[Any], new: list[Any]) -> None:
    """Edit an array of as many layers of a text; those that are the same keep their form."""
    for index, (before, value) in enumerate(zip(old, new, strict=True)):
        if isinstance(value, dict) and isinstance(before, dict) and before != value:
            _edit(array[index], before, value)
        elif value != before:
            array[index] = _item(value)


def _written(tree: dict[str, Any]) -> str:
    """Write the TOML text of a tree."""
    import tomlkit

    return tomlkit.dumps(_item(tree))


def _item(value: Any, key: str = "") -> Any:
    """Convert a value for tomlkit; tables inside an array are written inline, and layers in lines
    of their own.
    """
    import tomlkit

    if isinstance(value, dict):
        return {key: _item(each, key) for key, each in value.items()}
    if _are_layers(value, key):
        return tomlkit.parse(f"{key} = [\n  {_lines(value, '  ')},\n]\n")[key]
    if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        array = tomlkit.array()
        array.extend(value)
        return array
    return value


WIDEST = 100
"""Largest number of characters in a line of layers, unless one value needs more."""


def _are_layers(value: Any, key: str) -> TypeGuard[list[Any]]:
    """Tell whether a value is an array of layers, tables among them."""
    return (
        key in ("layers", "body", "shortcut")
        and isinstance(value, list)
        and any(isinstance(each, dict) for each in value)
    )


def _lines(layers: list[Any], indent: str) -> str:
    """Write layers one a line; names stand behind the layer before."""
    text = ""
    for layer in layers:
        written = _inline(layer)
        room = WIDEST - len(text) + text.rfind("\n") + 1 - len(",, ") - len(written)
        if isinstance(layer, str) and text and room >= (0 if "\n" in text else len(indent)):
            text += f", {written}"
            continue
        if len(indent) + len(written) + len(",") > WIDEST:
            written = _broken(layer, indent)
        text += f",\n{indent}{written}" if text else written
    return text


def _broken(layer: Any, indent: str) -> str:
    """Write a layer in several lines, if it holds others: these are indented."""
    if not isinstance(layer, dict):
        return _inline(layer)
    pairs = [(key, value) for key, value in layer.items() if not _are_layers(value, key)]
    parts = [(key, value) for key, value in layer.items() if _are_layers(value, key)]
    deeper = f"{indent}  "
    written = [f"{key} = {_inline(value)}" for key, value in pairs]
    written += [f"{key} = [\n{deeper}{_lines(value, deeper)}]" for key, value in parts]
    return f"{{{', '.join(written)}}}"


def _inline(value: Any) -> str:
    """Write a value in one line."""
    import tomlkit

    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_inline(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return tomlkit.item(value).as_string()


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
