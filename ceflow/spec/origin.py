"""The origin of a document's values: the files that it extends, its own text, and --set
arguments.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ceflow.spec.base import TAGS, KeyPath
from ceflow.spec.diagnostics import Fault, SpecError, dotted
from ceflow.spec.text import LARGEST_TEXT, Text, is_too_dotted, parse, read
from ceflow.spec.trees import child, index_of, numbering

SET = "--set"
"""Name of a command-line setting in messages."""


TOP_KEYS = frozenset({"ceflow", "name", "seed", "precision", "extends"}) | {
    *("data", "model", "stages", "sweep", "collect"),
}
"""The top-level keys of a document."""

PREFIX = "ceflow:"
"""Prefix of the name of a ready-made network in `extends`."""

LONGEST_CHAIN = 16
"""Maximum number of documents in a chain of `extends`."""

MOST_SETTINGS = 1000
"""Maximum number of settings of one command."""


@dataclass(frozen=True)
class Layer:
    """One text and its parsed tree."""

    text: Text
    tree: dict[str, Any]

    def reach(self, path: KeyPath) -> int:
        """Count the leading steps of a path that this text contains."""
        here = self.tree
        for depth, step in enumerate(path):
            here = child(here, step)
            if here is None:
                return depth
        return len(path)


@dataclass(frozen=True)
class Origin:
    """The layers of a document, lowest first: a later one takes precedence."""

    layers: tuple[Layer, ...]

    @property
    def text(self) -> Text:
        """The document's own text."""
        return self.without_settings.layers[-1].text

    @property
    def without_settings(self) -> "Origin":
        """The layers that come from files."""
        return Origin(tuple(layer for layer in self.layers if layer.text.file != SET))

    @property
    def settings(self) -> tuple[Layer, ...]:
        """The layers that come from the command line."""
        return tuple(layer for layer in self.layers if layer.text.file == SET)

    @cached_property
    def tree(self) -> dict[str, Any]:
        """The tree of all layers merged.

        Raises `SpecError` for a number that names no entry of an array.
        """
        tree: dict[str, Any] = {}
        for layer in self.layers:
            _refuse_entries(tree, layer.tree)
            tree = overlay(tree, layer.tree)
        tree.pop("extends", None)
        return tree

    def writer(self, path: KeyPath) -> Layer:
        """Find the layer that set the value at `path`, or the nearest table around it."""
        return max(reversed(self.layers), key=lambda layer: layer.reach(path))

    def place(self, fault: Fault) -> Fault:
        """Add to a fault its place in the text that set the value at fault."""
        if fault.place:
            return fault
        from ceflow.spec.positions import positions_in  # loaded only where something is wrong

        writer = self.writer(fault.path)
        if fault.missing in TAGS and (name := self._name_below(fault.path, writer)):
            message = f"{dotted(fault.path)} is {json.dumps(name)}, a layer without keys"
            help = f"layers are numbered from 0; or set the whole layer, with its {fault.missing}"
            fault = replace(fault, message=message, help=help)
        written = positions_in(writer.text)
        return replace(fault, place=written.find(fault.path, fault.part))

    def _name_below(self, path: KeyPath, writer: Layer) -> str | None:
        """Return the name in the place of which a text sets a table; None if there is none."""
        below = Origin(self.layers[: self.layers.index(writer)]).tree
        for step in path:
            below = child(below, step)
        return below if isinstance(below, str) else None


def stack(text: Text, settings: Sequence[str] = ()) -> Origin:
    """Stack the layers of a text: the documents it extends, itself, then each setting `KEY=VALUE`.

    Raises `SpecError` if a text cannot be read or parsed, or extends itself.
    """
    if len(settings) > MOST_SETTINGS:
        place = Text(SET, settings[0], "toml", Path()).place(1, 1)
        raise SpecError(Fault("CE002", f"more than {MOST_SETTINGS} settings", place=place))
    return Origin((*_with_bases(text, ()), *map(_setting, settings)))


@contextmanager
def placing(origin: Origin | None) -> Iterator[None]:
    """Add places to the faults of a `SpecError`, and sort them by their order in the texts."""
    try:
        yield
    except SpecError as error:
        if origin is None:
            raise
        raise SpecError(*sorted(map(origin.place, error.faults), key=_order)) from None


def overlay(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    """Merge two trees; `high` takes precedence: tables merge key by key, other values are replaced.

    A table of another kind (`type`, `source`) replaces the whole table below it. A table over an
    array, with indices as keys, changes these entries of the array.

    >>> overlay({"a": {"x": 1, "y": 2}}, {"a": {"x": 3}})
    {'a': {'x': 3, 'y': 2}}
    >>> overlay({"layers": [{"units": 1}, "relu"]}, {"layers": {"0": {"units": 2}}})
    {'layers': [{'units': 2}, 'relu']}
    """
    return dict(low) | {key: _laid(low.get(key), value) for key, value in high.items()}


def _laid(low: Any, high: Any) -> Any:
    """Lay one value over another."""
    if isinstance(low, dict) and isinstance(high, dict) and _same_kind(low, high):
        return overlay(low, high)
    if isinstance(low, list) and isinstance(high, dict) and high:
        changed = {index_of(low, key): value for key, value in high.items()}
        if None not in changed:
            return [_laid(low[i], changed[i]) if i in changed else low[i] for i in range(len(low))]
    return high


def _refuse_entries(low: Any, high: Any, *path: str) -> None:
    """Raise `SpecError` if a table over an array has numbers as keys that name none of its
    entries.
    """
    if not isinstance(high, dict) or not isinstance(low, dict | list):
        return
    if isinstance(low, dict) and not _same_kind(low, high):
        return
    if isinstance(low, list):
        for key in high:
            if re.fullmatch(r"[+-]?[0-9]+", key) and index_of(low, key) is None:
                message = f"no entry {key} in {dotted(path)}"
                raise SpecError(Fault("CE101", message, (*path, key), "key", numbering(low, key)))
    for key, value in high.items():
        _refuse_entries(child(low, key), value, *path, key)


def _same_kind(low: dict[str, Any], high: dict[str, Any]) -> bool:
    return all(low[tag] == high[tag] for tag in TAGS if tag in low and tag in high)


def _with_bases(text: Text, above: tuple[Path, ...]) -> list[Layer]:
    """Stack the layer of a text on those of the file that it extends."""
    layer = Layer(text, parse(text))
    base = layer.tree.get("extends")
    if base is None:
        return [layer]
    if not isinstance(base, str) or len(base) > 4096:
        raise _extends(text, "CE103", "extends must be a string")
    if base.startswith(PREFIX):
        return [Layer(below := _ready(text, base), parse(below)), layer]
    path = text.folder / base
    try:
        chain, target = (*above, Path(text.file).resolve()), path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a null character
        raise _extends(text, "CE001", "extends names no file that can be read") from None
    if len(chain) >= LONGEST_CHAIN:
        raise _extends(text, "CE205", f"a chain of more than {LONGEST_CHAIN} documents")
    if target in chain:
        names = " extends ".join(step.name for step in (*chain, target))
        raise _extends(text, "CE205", f"a document cannot extend itself: {names}")
    below = _base(text, path)
    layers = [*_with_bases(below, chain), layer]
    if sum(len(each.text.content.encode()) for each in layers) > LARGEST_TEXT:
        raise _extends(text, "CE001", f"a chain of more than {LARGEST_TEXT >> 10} KiB")
    return layers


def _ready(text: Text, base: str) -> Text:
    """Read the ready-made network that a text extends."""
    from ceflow.spec.ready import ready  # loaded only where it is used

    try:
        return ready(base.removeprefix(PREFIX))
    except SpecError as error:
        fault = error.faults[0]
        raise _extends(text, fault.code, fault.message, fault.help) from None


def _base(text: Text, path: Path) -> Text:
    """Read the document that a text extends. If it is not a document, nothing of its content is
    shown.
    """
    try:
        below = read(path)
    except SpecError as error:
        raise _extends(text, "CE001", error.faults[0].message) from None
    try:
        tree = parse(below)
    except SpecError as error:
        fault = error.faults[0]
        line = f", line {fault.place.line}" if fault.place else ""
        raise _extends(text, "CE002", f"{path} is not valid {below.syntax.upper()}{line}") from None
    if not tree.keys() <= TOP_KEYS:
        message = f"{path} is not a ceflow document: it has unknown keys"
        raise _extends(text, "CE002", message, f"`ceflow check {path}` says which")
    return below


def _extends(text: Text, code: str, message: str, help: str = "") -> SpecError:
    fault = Fault(code, message, ("extends",), help=help)
    return SpecError(Origin((Layer(text, parse(text)),)).place(fault))


def _setting(argument: str) -> Layer:
    """Turn `KEY=VALUE` into a text of its own; a value that is not TOML is a string."""
    key, equals, value = argument.partition("=")
    bare = Text(SET, argument, "toml", Path())
    if key.strip() == "extends":
        message = "extends is read with the file that says it, and cannot be set"
        raise SpecError(Fault("CE202", message, place=bare.place(1, 1, len(key))))
    if not equals or not key.strip():
        help = "as in --set stages.alpha.draws=100"
        raise SpecError(Fault("CE002", "a setting is KEY=VALUE", help=help, place=bare.place(1, 1)))
    if is_too_dotted(argument):
        parse(bare)
    try:
        tomllib.loads(f"v = {value}")
    except tomllib.TOMLDecodeError:
        argument = f"{key}={json.dumps(value)}"
    except (RecursionError, ValueError):
        pass  # `parse` says what is wrong with it
    text = Text(SET, argument, "toml", Path())
    return Layer(text, parse(text))


def _order(fault: Fault) -> tuple[str, int, int]:
    place = fault.place
    return (place.file, place.line, place.column) if place else ("", 0, 0)
