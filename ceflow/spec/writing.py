"""From a document back to text."""

import json
import math
from typing import Any, Literal

from ceflow.spec.base import TAGS, Spec, Steps
from ceflow.spec.document import Document
from ceflow.spec.reading import read_document


def tree_of(spec: Spec, *, defaults: bool = False) -> dict[str, Any]:
    """The tree of plain values that describes a piece of a document.

    Keys at their default are left out unless `defaults`; keys that are not set always are.
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
    """The text of a document, such that `loads(dumps(document)) == document`.

    A document that was read from TOML, and then changed by `model_copy`, is written as an edit of
    that text: its comments, order and spelling stay. With `defaults` every key is written.

    >>> from ceflow.spec import Document, Mlp
    >>> print(dumps(Document(model=Mlp(widths=[3, float("inf")]))), end="")
    ceflow = 1
    <BLANKLINE>
    [model]
    type = "mlp"
    widths = [3, inf]
    """
    if syntax == "json":
        tree = _json(tree_of(document, defaults=defaults))
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    import tomlkit  # not needed to read a document, so not loaded by `check`

    origin = document.origin
    if origin and not defaults and [layer.text.syntax for layer in origin.layers] == ["toml"]:
        text = tomlkit.parse(origin.text.content)
        _edit(text, tree_of(read_document(origin)), tree_of(document))
        return tomlkit.dumps(text)
    return tomlkit.dumps(tree_of(document, defaults=defaults))


def dumps_origins(document: Document, resolved: Document) -> str:
    """The resolved document as TOML with every key, and beside each value where it came from."""
    import tomlkit

    text = tomlkit.parse(dumps(resolved, defaults=True))
    _annotate(text, (), document)
    return tomlkit.dumps(text)


def _edit(table: Any, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Make a table of a text that says `old` say `new`, and touch nothing else."""
    for key in old.keys() - new.keys():
        if key in table:
            del table[key]
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and key in table:
            _edit(table[key], before, value)
        elif value != before:
            table[key] = value


def _annotate(table: Any, path: Steps, document: Document) -> None:
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict):
            _annotate(value, here, document)
        else:
            table.item(key).comment(_source(here, document))


def _source(path: Steps, document: Document) -> str:
    """Where the value at a path came from."""
    from ceflow.spec.positions import positions_in

    origin = document.origin
    writer = origin.writer(path) if origin else None
    if writer and writer.reach(path) == len(path):
        return str(positions_in(writer.text).find(path))
    return "from the data" if path[-1] in ("inputs", "outputs") else "default"


def _plain(value: Any, defaults: bool) -> Any:
    if isinstance(value, Spec):
        return tree_of(value, defaults=defaults)
    if isinstance(value, dict):
        return {key: _plain(item, defaults) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item, defaults) for item in value]
    return value


def _json(value: Any) -> Any:
    """JSON has no infinity; the language spells it as a string there."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return "inf" if value == math.inf else value
