"""The JSON Schema of the language, for editors."""

import re
import sys
from typing import Any

from ceflow.spec.document import Document

LINK = r"\[([^\]]+)\]\([\w-]+\.md[^)]*\)"

EXTENDS = {
    "type": "string",
    "description": "Path of a document to extend, or `ceflow:NAME` for a ready-made network. Its"
    " keys apply unless this document sets them: see [extends](sweeps.md#extends).",
}
"""Schema of the key `extends`: it is resolved on reading, so it is no field of `Document`."""


def json_schema() -> dict[str, Any]:
    """Return the schema of a document: every key with its type, range and description.

    The kind of a model, stage or data is selected by its tag with `if` and `then`: with a plain
    `oneOf`, editors only say that nothing matches, and mark the whole table.

    >>> json_schema()["properties"]["seed"]["description"]
    'The seed from which all random numbers of the run are derived.'
    """
    written = Document.model_json_schema()
    schema = _for_editors(written, written["$defs"])
    schema["properties"]["extends"] = EXTENDS
    _let_what_is_extended_say_the_rest(schema)
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return without_links(dialect | schema | {"title": "ceflow"})


def _let_what_is_extended_say_the_rest(schema: dict[str, Any]) -> None:
    """Ask for the model, and for the tags of tables, only in a document that extends none."""
    whole: dict[str, Any] = {"required": schema.pop("required"), "properties": {}}
    for key, table in schema["properties"].items():
        (pattern, each), *_ = [*table.get("patternProperties", {}).items(), ("", table)]
        if "discriminator" in each:
            tag = {"required": each.pop("required")}
            whole["properties"][key] = {"patternProperties": {pattern: tag}} if pattern else tag
    schema |= {"if": {"not": {"required": ["extends"]}}, "then": whole}


def without_links(schema: Any) -> Any:
    """Replace links in descriptions by their text, since they lead to chapters of the reference.

    >>> without_links({"description": "See [paths](data.md#paths)."})
    {'description': 'See paths.'}
    """
    if isinstance(schema, list):
        return [without_links(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: without_links(value) for key, value in schema.items()}
    if isinstance(found.get("description"), str):
        found["description"] = re.sub(LINK, r"\1", found["description"])
    return found


def _for_editors(node: Any, tables: dict[str, Any]) -> Any:
    """Rewrite a schema in forms that TOML editors understand, from the leaves up."""
    if isinstance(node, list):
        return [_for_editors(item, tables) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _for_editors(value, tables) for key, value in node.items()}
    if "oneOf" in node and isinstance(node.get("discriminator"), dict):
        node = _chosen_by_tag(node, tables)
    if {"type": "null"} in node.get("anyOf", []):
        node = _without_null(node)
    if isinstance(node.get("default"), dict):
        node["default"] = {
            key: value for key, value in node["default"].items() if value is not None
        }
    if node.get("anyOf", [{}])[-1] == {"const": "inf"}:
        # TOML's own inf: editors pass it on as a number past all others, or as null.
        node["anyOf"] += [{"type": "number", "minimum": sys.float_info.max}, {"type": "null"}]
    return node


def _chosen_by_tag(node: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
    """Rewrite a tagged union as `if` the tag is this, `then` that; `discriminator` stays as a note.

    A table may leave the tag out where the note names the kind that it then is, `defaultMapping`.
    The keys of all kinds are listed as well, with their descriptions, so that editors can complete
    them.
    """
    del node["oneOf"]
    name, kinds = node["discriminator"]["propertyName"], node["discriminator"]["mapping"]
    cases = [
        {"if": {"properties": {name: {"const": tag}}, "required": [name]}, "then": {"$ref": kind}}
        for tag, kind in kinds.items()
    ]
    required = [name]
    if usual := node["discriminator"].get("defaultMapping"):
        cases.append({"if": {"not": {"required": [name]}}, "then": {"$ref": kinds[usual]}})
        required = []
    keys = {
        key: {"description": value["description"]}
        for kind in kinds.values()
        for key, value in tables[kind.rpartition("/")[2]]["properties"].items()
    }
    keys[name] = {"enum": list(kinds)}
    tagged = {"type": "object", "required": required, "properties": keys}
    return node | tagged | {"additionalProperties": True, "allOf": cases}


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """Remove null, which TOML does not have, from the types of an optional key."""
    others = [option for option in node.pop("anyOf") if option != {"type": "null"}]
    if node.get("default", 0) is None:
        del node["default"]
    return others[0] | node if len(others) == 1 else node | {"anyOf": others}
