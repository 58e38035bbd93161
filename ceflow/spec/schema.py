"""The JSON Schema of the language, for editors."""

from typing import Any

from ceflow.spec.document import Document


def json_schema() -> dict[str, Any]:
    """The schema of a document: every key with its type, range and description.

    >>> json_schema()["properties"]["seed"]["description"]
    'The one seed that all random numbers of the run come from.'
    """
    schema = Document.model_json_schema()
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "A document that this one lies over: its tables are merged key by key.",
    }
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | schema | {"title": "ceflow"}
