"""Write the tables of `spec/*.md` from the classes that they are about, or check that they are so.

A table stands from `<!-- table: Search -->` to `<!-- end -->`, with the name of a class of the
language or of the results. A row is a field, and its meaning is the field's docstring. Fields that
a class has from another whose table stands too are in that one alone.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Collection, Iterator
from functools import cache
from inspect import get_annotations
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ceflow.runs.collected import CollectedCurves, CollectedPoints, CollectedTable
from ceflow.spec import Document
from ceflow.spec.base import TAGS, Spec
from ceflow.spec.schema import EXTENDS
from ceflow.spec.terms import TERMS
from ceflow.stages import KINDS, Record

FOLDER = Path(__file__).parents[1] / "spec"
PLACE = re.compile(r"(<!-- table: (\w+) -->\n)(?:(?!<!-- table).)*?(?=<!-- end -->)", re.S)
ROOTS = (
    *(Document, CollectedPoints, CollectedTable, CollectedCurves),
    *(kind.result for kind in KINDS.values()),
)
"""What all other classes of the tables are parts of."""

GLOSSARY, BAR = "Glossary", r"\|"
Schema = dict[str, Any]
NULL = {"type": "null"}
NUMERALS = {1: "one", 2: "two", 3: "three"}


def main() -> int:
    """Write the chapters anew, or tell which ones that would change."""
    parser = argparse.ArgumentParser(description="Write the tables of spec/*.md.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it would")
    check = parser.parse_args().check
    chapters = {path: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
    placed = {name for text in chapters.values() for _, name in PLACE.findall(text)}
    faults = sorted(faults_of(placed))
    for path, text in chapters.items() if not faults else ():
        written = PLACE.sub(lambda found: f"{found[1]}{table(found[2], placed)}\n\n", text)
        if written != text and check:
            fault = "a table is not what its class says: run `make reference`"
            faults.append(f"spec/{path.name}: {fault}")
        elif written != text:
            path.write_text(written, encoding="utf-8")
    print("\n".join(faults), end="\n" if faults else "")
    return bool(faults)


def faults_of(placed: Collection[str]) -> Iterator[str]:
    """Tell what keeps the tables from saying all that there is to say."""
    parts = {name for root in ROOTS for name in schema_of(root).get("$defs", ())}
    for name in parts | {root.__name__ for root in ROOTS} | set(placed):
        found = classes_called(name)
        if name == GLOSSARY:
            continue
        if len(found) != 1:
            yield f"{len(found)} classes are called {name}: a table is of one"
        elif name not in placed and keys(found[0], placed):
            yield f"spec/ has no table of {name}: add <!-- table: {name} -->, <!-- end -->"
        for key in keys(found[0], placed) if len(found) == 1 else ():
            if not properties(found[0])[key]["description"]:
                yield f"{name}.{key} has no meaning: write a docstring below it"


def classes_called(name: str) -> list[type[BaseModel]]:
    """Find the classes of a name, in the language and in the results."""
    waiting: list[type[BaseModel]] = [Spec, Record]
    found = []
    while waiting:
        kind = waiting.pop()
        found += [kind] if kind.__name__ == name else []
        waiting += kind.__subclasses__()
    return list(dict.fromkeys(found))


@cache
def schema_of(kind: type[BaseModel]) -> Schema:
    schema = kind.model_json_schema(mode="serialization")
    itself = schema.get("$ref", "").rpartition("/")[2]  # of a class that can hold itself
    return schema | schema["$defs"][itself] if itself else schema


def properties(kind: type[BaseModel]) -> Schema:
    """Make the schema of each key of a table, described by its field."""
    found = {
        key: schema | {"description": kind.model_fields[key].description}
        for key, schema in schema_of(kind)["properties"].items()
    }
    return found | ({"extends": EXTENDS} if kind is Document else {})


def keys(kind: type[BaseModel], placed: Collection[str]) -> list[str]:
    """List the keys of a table: what tells kinds apart, then its own, then those it shares."""
    tabled = [each for each in kind.__mro__[1:] if each.__name__ in placed]
    elsewhere = {each for base in tabled for each in base.__mro__}
    here = [each for each in kind.__mro__ if each not in elsewhere]
    fields = dict.fromkeys(key for each in here for key in get_annotations(each))
    found = properties(kind)
    own = [key for key in (*fields, *(found.keys() - kind.model_fields)) if key in found]
    return sorted(own, key=lambda key: key not in TAGS)


def table(name: str, placed: Collection[str]) -> str:
    """Write the table of a class; results have no defaults: what was not asked for is not there."""
    if name == GLOSSARY:
        return glossary()
    (kind,) = classes_called(name)
    columns = ["key", "type", *(["default"] if issubclass(kind, Spec) else []), "meaning"]
    rows = [columns, ["---"] * len(columns)]
    for key in keys(kind, placed):
        cells = cells_of(kind, key)
        rows.append([cells[column] for column in columns])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def glossary() -> str:
    """Write the table of the words of reports, each with where it is defined."""
    rows = [("word", "also", "meaning"), ("---",) * 3]
    for name, term in TERMS.items():
        others = ", ".join(term.also)
        rows.append((f"[{name}]({term.chapter})", others, term.text))
    return "\n".join(f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |" for row in rows)


def cells_of(kind: type[BaseModel], key: str) -> dict[str, str]:
    """Write the row of a key, by columns."""
    schema = properties(kind)[key]
    undefined = "default" not in schema and NULL in schema.get("anyOf", ())
    required = key in TAGS or key in schema_of(kind).get("required", ())
    return {
        "key": f"`{key}`",
        "type": alternatives([type_of(schema), *(["null"] if undefined else [])]),
        "default": "required" if required else default_of(schema),
        "meaning": " ".join(schema["description"].split()).replace("|", r"\|"),
    }


def default_of(schema: Schema) -> str:
    """Write a default as TOML; those of tables are of few and plain keys."""
    value = schema.get("default")
    if value is None:
        return "none"
    if not isinstance(value, dict):
        return f"`{json.dumps(value)}`"
    pairs = (f"{key} = {json.dumps(each)}" for key, each in value.items() if each is not None)
    return f"`{{{', '.join(pairs)}}}`"


def type_of(schema: Schema) -> str:
    """Tell in words what a value may be, null aside."""
    if "discriminator" in schema or "$ref" in schema:
        return "table"
    if schema == {"const": "inf"}:  # as TOML has it, while a text of results is of a type
        return "`inf`"
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if "enum" in schema:
        return alternatives([f'`"{each}"`' for each in schema["enum"]])
    if "anyOf" in schema or "oneOf" in schema:
        options = schema.get("anyOf") or schema["oneOf"]
        if {"type": "number"} in options:
            options = [option for option in options if option != {"type": "integer"}]
        return alternatives([type_of(option) for option in options if option != NULL])
    match schema["type"]:
        case "integer":
            return f"whole number{range_of(schema)}"
        case "number":
            return f"number{range_of(schema)}"
        case "string":
            return "name" if "maxLength" in schema else "string"
        case "array":
            return array_of(schema)
        case "object":
            return "table of tables" if "patternProperties" in schema else "table"
    return schema["type"]


def alternatives(texts: list[str]) -> str:
    """Join what a value may be, with a comma before the last where others have one, or an "or"."""
    if len(texts) == 1:
        return texts[0]
    comma = "," if any("," in text or " or " in text for text in texts[:-1]) else ""
    return f"{', '.join(texts[:-1])}{comma} or {texts[-1]}"


def range_of(schema: Schema) -> str:
    """Tell where numbers lie.

    >>> range_of({"exclusiveMinimum": 0, "maximum": 10**18}), range_of({"minimum": 1, "maximum": 8})
    (' above 0, at most 10^18', ', 1 to 8')
    """
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {number(least)}" + (f" to {number(most)}" if most > least else "")
    words = {"exclusiveMinimum": " above", "minimum": ", at least", "exclusiveMaximum": ", below"}
    words["maximum"] = ", at most"
    return "".join(f"{word} {number(schema[key])}" for key, word in words.items() if key in schema)


def number(value: float) -> str:
    """Write a bound, powers as such.

    >>> [number(each) for each in (1, 0.001, 1e-14, 10**12, 2**63)]
    ['1', '0.001', '10^-14', '10^12', '2^63']
    """
    if value >= 10**4 or 0 < value < 1e-3:
        for base in (10, 2):
            power = round(math.log(value, base))
            if base**power == value:
                return f"{base}^{power}"
    return str(value) if isinstance(value, int) else f"{value:g}"


def array_of(schema: Schema) -> str:
    """Tell what an array holds, and how many of it."""
    items = schema.get("items") or schema["prefixItems"][0]
    least, most = schema.get("minItems"), schema.get("maxItems")
    held = re.sub(r"^(whole number|number|string|array|table)\b", r"\1s", type_of(items))
    of = "of " if "enum" in items else ""
    if least is None:
        return f"array of {'any ' if of else ''}{of}{held}"
    several = NUMERALS.get(least, str(least))
    if most is None:
        several += " or more"
    elif most > least:
        several = f"{least} to {most}"
    return f"array of {several} {of}{held}"


if __name__ == "__main__":
    sys.exit(main())
