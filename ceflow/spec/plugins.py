"""Sources, activations, layers and stages that other packages add to the language.

A package names the class of each by an entry point of the group `ceflow.plugins`, whose name begins
with what it is, such as `source.line`. The class says where its meaning is: see CONTRIBUTING.md.
"""

import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any, Literal, Union, get_args

GROUP = "ceflow.plugins"

Kind = Literal["source", "activation", "layer", "stage"]


def with_plugins(known: Any, kind: Kind, base: type[Any], tag: str) -> Any:
    """Return a union of classes together with those that plugins add; `tag` is the key that tells
    them apart.
    """
    names = [_name(each, tag) for each in get_args(known)]
    kinds = (*get_args(known), *plugins(kind, base, tag, names))
    return Union[kinds]  # noqa: UP007 (of a computed tuple)


def plugins(
    kind: Kind, base: type[Any], tag: str, taken: Iterable[str | None]
) -> Iterator[type[Any]]:
    """Yield the classes that plugins add, of other names than those that are taken. A class that
    cannot be added is left out, with a warning.
    """
    names = {*taken}
    for entry in _entries():
        if entry.name.partition(".")[0] != kind:
            continue
        try:
            found = _checked(entry.load(), base, tag, names)
        except Exception as error:  # a package may raise anything as it is imported
            why = f"{type(error).__name__}: {error}"
            message = f"the plugin {entry.name} = {entry.value} of {_package(entry)} is left out"
            warnings.warn(f"{message}: {why}", stacklevel=2)
            continue
        names.add(_name(found, tag))
        yield found


@cache
def _entries() -> EntryPoints:
    return entry_points(group=GROUP)


def _package(entry: Any) -> str:
    return entry.dist.name if entry.dist else "an unknown package"


def _checked(found: Any, base: type[Any], tag: str, names: set[str | None]) -> type[Any]:
    """Return a class, checked to be one that can be added. Raises `TypeError` if it is not."""
    if not (isinstance(found, type) and issubclass(found, base)):
        raise TypeError(f"it is no class derived from {base.__module__}.{base.__name__}")
    name = _name(found, tag)
    if name is None:
        key = (
            f'{tag}: Literal["mine"] = "mine"'
            if hasattr(base, "model_fields")
            else f'{tag} = "mine"'
        )
        raise TypeError(f"it has no key {tag}, as {key}")
    if name in names:
        raise TypeError(f"the name {name!r} is taken")
    return found


def _name(kind: type[Any], tag: str) -> str | None:
    """Return the value of the key, or of the attribute, that tells a class from others."""
    if not hasattr(kind, "model_fields"):
        name = getattr(kind, tag, None)
        return name if isinstance(name, str) else None
    field = kind.model_fields.get(tag)
    names = get_args(field.annotation) if field else ()
    return names[0] if len(names) == 1 else None
