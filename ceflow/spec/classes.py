"""The classes of the language: which class a table is read as, and where a key belongs."""

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ceflow.spec.base import TAGS, KeyPath, Spec
from ceflow.spec.suggest import likeliest
from ceflow.spec.trees import child
from ceflow.spec.vocabulary import KEYS


def keys_at(path: KeyPath, tree: Any, root: type[Spec]) -> list[str]:
    """List the keys that the language knows in the table at `path`."""
    classes = classes_at(path, tree, root)
    keys = list(classes[0].model_fields) if len(classes) == 1 else []
    return keys if path else [*keys, "extends"]


def kinds_at(path: KeyPath, tree: Any, root: type[Spec]) -> list[str]:
    """List the kinds of model, stage or data that the table at `path` could be."""
    return [
        get_args(field.annotation)[0]
        for kind in classes_at(path, tree, root)
        for tag, field in kind.model_fields.items()
        if tag in TAGS
    ]


def classes_at(path: KeyPath, tree: Any, root: type[Spec]) -> list[type[Spec]]:
    """List the classes that a table could be; only one if its tag tells which."""
    annotation: Any = root
    holders, name = [root], ""
    for step in path:
        tree = child(tree, step)
        if isinstance(step, str):  # the holders of an array are those of what is in it
            holders, name = specs(annotation), step
        annotation = _step(annotation, step)
        classes = specs(annotation)
        if len(classes) > 1 and isinstance(tree, dict):
            tagged = [kind for kind in classes if _is_tagged(kind, tree)]
            if not tagged and not any(tag in tree for tag in TAGS):
                tagged = [kind for each in holders if (kind := each.usual_kinds.get(name))]
            if get_origin(annotation) is not dict and any(kind.told_by for kind in classes):
                tagged = sorted(
                    (kind for kind in classes if kind.told_by in ("", *tree)),
                    key=lambda kind: not kind.told_by,
                )
            annotation = tagged[0] if tagged else annotation
    return specs(annotation)


def kind_meant(path: KeyPath, tree: Any, root: type[Spec]) -> type[Spec] | None:
    """Find the kind that a table means if it names another: one that has all keys which the kind
    that it names lacks, and requires one of them that is like none of the latter's.
    """
    here = classes_at(path, tree, root)
    table = tree
    for step in path:
        table = child(table, step)
    if len(here) != 1 or not path or not isinstance(table, dict):
        return None
    known = here[0].model_fields
    strange = [key for key in table if key not in known]
    telling = [key for key in strange if likeliest(key, known, KEYS) is None]
    for kind in specs(_annotation(path, tree, root)):
        fields = kind.model_fields
        all_known = all(key in fields for key in strange)
        if all_known and any(fields[key].is_required() for key in telling):
            return kind
    return None


def tag_of(kind: type[Spec]) -> str:
    """Write the tag of a kind, as it stands in its table.

    >>> from ceflow.spec import Mlp
    >>> tag_of(Mlp)
    'type = "mlp"'
    """
    tag = next(tag for tag in TAGS if tag in kind.model_fields)
    return f'{tag} = "{kind.model_fields[tag].default}"'


def _annotation(path: KeyPath, tree: Any, root: type[Spec]) -> Any:
    """Return the annotation of a table, whatever kind it names."""
    *above, last = path
    found = [_step(holder, last) for holder in classes_at(tuple(above), tree, root)]
    return next((each for each in found if each is not None), None)


def _step(annotation: Any, step: int | str) -> Any:
    if get_origin(annotation) is Annotated:
        return _step(get_args(annotation)[0], step)
    if get_origin(annotation) is dict:  # whose names may be those of keys
        return get_args(annotation)[1]
    if isinstance(step, int):
        return get_args(annotation)[0] if get_origin(annotation) is Sequence else None
    for kind in specs(annotation):
        if step in kind.model_fields:
            return kind.model_fields[str(step)].annotation
    return None


def specs(annotation: Any) -> list[type[Spec]]:
    """List the classes of the language in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for option in get_args(annotation) for kind in specs(option)]
    if get_origin(annotation) is Annotated:
        return specs(get_args(annotation)[0])
    if get_origin(annotation) is dict:
        return specs(get_args(annotation)[1])
    return []


def _is_tagged(kind: type[Spec], tree: dict[str, Any]) -> bool:
    return any(
        get_origin(field.annotation) is Literal and tree.get(tag) in get_args(field.annotation)
        for tag, field in kind.model_fields.items()
        if tag in TAGS
    )


def home_of(key: str, here: list[type[Spec]], root: type[Spec], written: Sequence[str] = ()) -> str:
    """Say in which table a key belongs that is not known `here`; '' if it is unknown everywhere.

    A required table that is not among those `written` comes first.
    """
    if key in root.model_fields:
        return f"{key} stands at the top of a document, above its tables"
    inner = [name for name, field in _tables(here) if key in _keys_of(field)]
    if inner and here != [root]:
        return f"{key} stands in the table {' or '.join(inner)}"
    required = {name for name, field in root.model_fields.items() if field.is_required()}
    tables = sorted(_tables([root]), key=lambda table: table[0] not in required - set(written))
    for name, annotation in tables:
        kinds = specs(annotation)
        having = [kind for kind in kinds if key in kind.model_fields]
        if having:
            table = f"[{name}.NAME]" if get_origin(annotation) is dict else f"[{name}]"
            return f"{key} is a key of {table}{_of_kinds(having, kinds)}"
    return ""


def taken_by(value: Any, here: list[type[Spec]]) -> str:
    """Say which keys of a table take this value as one of a few names; '' if none does, or the
    class of the table is not known.

    >>> from ceflow.spec import Kernel
    >>> taken_by("empirical", [Kernel])
    '"empirical" is a value of another key: method = "empirical"'
    """
    if len(here) != 1 or not isinstance(value, str):
        return ""
    fields = {key: field for key, field in here[0].model_fields.items() if key not in TAGS}
    lines = [
        f'{key} = ["{value}"]' if _is_array(field.annotation) else f'{key} = "{value}"'
        for key, field in fields.items()
        if value in names_among(field.annotation)
    ]
    return f'"{value}" is a value of another key: {" or ".join(lines)}' if lines else ""


def names_among(annotation: Any) -> Iterator[Any]:
    """Yield the names among which a key chooses."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from names_among(part)


def _is_array(annotation: Any) -> bool:
    """Tell whether a key takes an array of names."""
    return get_origin(annotation) is Sequence


def _of_kinds(having: list[type[Spec]], kinds: list[type[Spec]]) -> str:
    """Name the kinds that have a key, unless all kinds have it."""
    if len(having) == len(kinds):
        return ""
    tag = next(tag for tag in TAGS if tag in kinds[0].model_fields)
    names = (kind.model_fields[tag].default for kind in having)
    return f" with {tag} = {' or '.join(map(repr, names))}".replace("'", '"')


def _tables(kinds: list[type[Spec]]) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a class that hold tables, each with its annotation."""
    for kind in kinds if len(kinds) == 1 else ():
        for name, field in kind.model_fields.items():
            if specs(field.annotation):
                yield name, field.annotation


def _keys_of(annotation: Any) -> list[str]:
    return [key for kind in specs(annotation) for key in kind.model_fields]
