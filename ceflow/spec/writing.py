"""From a document back to text."""

import json
import math
from typing import Any, Literal

from ceflow.spec.base import TAGS, Spec
from ceflow.spec.document import Document


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

    >>> from ceflow.spec import Document, Mlp
    >>> print(dumps(Document(model=Mlp(widths=[3, float("inf")]))), end="")
    ceflow = 1
    <BLANKLINE>
    [model]
    type = "mlp"
    widths = [3, inf]
    """
    tree = tree_of(document, defaults=defaults)
    if syntax == "json":
        return json.dumps(_json(tree), indent=2, ensure_ascii=False) + "\n"
    import tomlkit  # not needed to read a document, so not loaded by `check`

    return tomlkit.dumps(tree)


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
