"""What a kind, a key or a value of the language means, as `ceflow explain` says it, from the
classes.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, get_args

from ceflow.spec.base import TAGS, Spec
from ceflow.spec.classes import names_among, specs
from ceflow.spec.document import Document
from ceflow.spec.models.layers import KINDS
from ceflow.spec.schema import LINK


class Meaning(NamedTuple):
    """A meaning says what a word of documents names, and which chapter is about it."""

    what: str
    text: str
    chapter: str


_CHAPTERS = {"model": "models.md", "layer": "models.md", "source of data": "data.md"}


def kinds() -> Iterator[tuple[str, type[Spec]]]:
    """Yield the class of every kind of model, layer, source and stage, with the word for it."""
    words = {"model": "model", "data": "source of data", "stages": "stage"}
    for key, word in words.items():
        for kind in specs(Document.model_fields[key].annotation):
            yield word, kind
    for kind in get_args(KINDS):
        yield "layer", kind


def name_of(kind: type[Spec]) -> str:
    """Return the value of the tag of a kind."""
    tag = next(tag for tag in TAGS if tag in kind.model_fields)
    return str(kind.model_fields[tag].default)


def meanings(word: str) -> list[Meaning]:
    """List what a word means as the name of a kind, as a key of documents, and as a value of one.

    >>> [each.what for each in meanings("kernel")][:4]
    ['a kind of stage', 'a key of flow', 'a key of convolution', 'a value of engine in flow']
    >>> meanings("flatten")[0].text
    'An image as a vector; a vector stays as it is.'
    >>> [each.what for each in meanings("history")]
    ['a value of engine in train']
    """
    return [*_as_kind(word), *_as_key(word), *_as_value(word)]


def _as_kind(word: str) -> Iterator[Meaning]:
    for what, kind in kinds():
        if name_of(kind) == word:
            tag = next(tag for tag in TAGS if tag in kind.model_fields)
            text = _text(kind.model_fields[tag].description)
            yield Meaning(f"a kind of {what}", text, f"{_CHAPTERS.get(what, 'stages.md')}#{word}")


def _as_key(word: str) -> Iterator[Meaning]:
    """Yield each description of a key, with the kinds that have it so."""
    if word in TAGS:
        return
    found: dict[str, list[tuple[str, str]]] = {}
    if word in Document.model_fields:
        text = _text(Document.model_fields[word].description)
        found[text] = [("a document", "README.md")]
    for what, kind in kinds():
        if word in kind.model_fields:
            text = _text(kind.model_fields[word].description)
            found.setdefault(text, []).append((name_of(kind), _CHAPTERS.get(what, "stages.md")))
    for text, having in found.items():
        names = ", ".join(dict.fromkeys(name for name, _ in having))
        yield Meaning(f"a key of {names}", text, having[0][1])


def _as_value(word: str) -> Iterator[Meaning]:
    """Yield each key that takes a word, with what the key means and the kinds that have it so."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for what, kind in kinds():
        for key, field in kind.model_fields.items():
            if key not in TAGS and word in names_among(field.annotation):
                having = (name_of(kind), _CHAPTERS.get(what, "stages.md"))
                found.setdefault((key, _text(field.description)), []).append(having)
    for (key, text), having in found.items():
        names = ", ".join(dict.fromkeys(name for name, _ in having))
        yield Meaning(f"a value of {key} in {names}", text, having[0][1])


def _text(description: str | None) -> str:
    """Return a description without its links, in one line."""
    return " ".join(re.sub(LINK, r"\1", description or "").split())
