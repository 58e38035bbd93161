"""Conversion of pydantic's errors to faults, in the words of the language, with path and
suggestion.
"""

import math
import re
from dataclasses import replace
from datetime import date, time
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ceflow.spec.base import FORM_TAG_PREFIX, TAGS, KeyPath, Spec
from ceflow.spec.classes import (
    classes_at,
    home_of,
    keys_at,
    kind_meant,
    kinds_at,
    tag_of,
    taken_by,
)
from ceflow.spec.diagnostics import MOST_FAULTS, Fault, cut, dotted
from ceflow.spec.models.activations import Activation
from ceflow.spec.models.layers import LAYER_NAMES, SHORT_NAMES, LayerSpec
from ceflow.spec.schedules import drops_form, drops_together
from ceflow.spec.suggest import did_you_mean, likeliest, one_of
from ceflow.spec.trees import child
from ceflow.spec.vocabulary import (
    ABSENT,
    DROPS,
    DROPS_FORM,
    KEYS,
    NO_KEYS,
    NO_VALUES,
    OPTIMISERS,
    VALUES,
    example,
    known_as,
    plain,
)

PLAIN_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""Matches a number that TOML, JSON and Python write in the same way."""

ARRAY_KINDS = ("is_instance_of", "sequence_str")
"""Kinds of pydantic errors of a value that is not an array."""
SQUARE = (("kernel",), ("stride",), ("padding",), ("window",))
"""Ends of the paths of values that are the same for both axes of an image."""
SEQUENCES = (("layers",), ("body",), ("shortcut",))
"""Ends of the paths of arrays of layers."""
LONGEST_NUMBER = 40
"""Maximum number of characters of a number that a fault repeats."""


def faults_of(error: ValidationError, tree: dict[str, Any], root: type[Spec]) -> list[Fault]:
    """List the faults that pydantic found when it read a tree as a `root`."""
    details = error.errors(include_url=False)[:MOST_FAULTS]
    faults = drops_together([_fault(detail, tree, root) for detail in details], tree)
    faults = [fault for fault in faults if not _is_of_other_kind(fault, tree, root)]
    misspelt = {(fault.path[:-1], fault.meant) for fault in faults if fault.code == "CE101"}
    return list(dict.fromkeys(fault for fault in faults if not _is_echo(fault, misspelt)))


def _is_of_other_kind(fault: Fault, tree: dict[str, Any], root: type[Spec]) -> bool:
    """Tell whether a key is missing only because a table names another kind than it means."""
    if fault.missing is None:
        return False
    kind = kind_meant(fault.path, tree, root)
    return kind is not None and fault.missing not in kind.model_fields


def _is_echo(fault: Fault, misspelt: set[tuple[KeyPath, str | None]]) -> bool:
    """Tell whether a key is missing only because it is misspelt, so that one slip is one fault."""
    return fault.missing is not None and (fault.path, fault.missing) in misspelt


def _fault(detail: ErrorDetails, tree: dict[str, Any], root: type[Spec]) -> Fault:
    path, kind, value = _path(detail["loc"], tree), detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path, value, tree, root)
    if kind == "missing":
        return _missing(str(path[-1]), path[:-1], example(str(path[-1])))
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        return _missing(tag, path, did_you_mean("", kinds_at(path, tree, root)))
    if kind == "union_tag_invalid":
        tag = context["discriminator"].strip("'")
        return _unknown_value(tag, (*path, tag), context["tag"], kinds_at(path, tree, root))
    if kind == "literal_error":
        choices = [
            choice.strip(" '") for choice in context["expected"].replace(" or ", ", ").split(",")
        ]
        if path[-1:] == ("schedule",) and (form := drops_form(value)):
            what = f"unknown schedule {_shown(value)}"
            if isinstance(value, list):
                what = f"schedule is a name or a table, not the array {_shown(value)}"
            return Fault("CE105", what, path, help=form)
        fault = _unknown_value(_name(path), path, value, choices)
        others = taken_by(value, classes_at(_table(path), tree, root))
        return replace(fault, help=others) if others and fault.meant is None else fault
    if kind == "layer_name":
        return _unknown_layer(path, value)
    if kind == "name_or_number" and isinstance(value, str):
        names = re.findall(r'"([^"]+)"', context["expected"])
        if (meant := likeliest(value, names, VALUES)) is not None:
            return replace(_unknown_value(_name(path), path, value, names), meant=meant)
    if kind == "list_type" and path[:1] == ("sweep",) and isinstance(value, dict):
        return _nested(path, value)
    if kind == "string_type" and path[-2:-1] == ("classes",):
        return _classes(path[:-1], tree)
    expected = _expectation(kind, context, detail["msg"])
    if path[-1:] == ("[key]",):
        return Fault("CE104", f"a name {expected}, not {_shown(value)}", path[:-1], "key")
    code = "CE103" if _is_about_type(kind, value) else "CE104"
    counted = kind in ("too_short", "too_long") and isinstance(value, list)
    return Fault(
        code,
        f"{_name(path)} {expected}, not {len(value) if counted and value else _shown(value)}",
        path,
        help=_form_of(kind, path, value),
    )


def _missing(key: str, table: KeyPath, help: str) -> Fault:
    return Fault("CE102", f"the key {key!r} is missing", table, "key", help, missing=key)


def _unknown_key(path: KeyPath, value: Any, tree: Any, root: type[Spec]) -> Fault:
    key, table = str(path[-1]), path[:-1]
    known = keys_at(table, tree, root)
    if (kind := kind_meant(table, tree, root)) and key in kind.model_fields:
        *needs, last = [name for name, field in kind.model_fields.items() if field.is_required()]
        help = f"write {tag_of(kind)}, with {', '.join(needs)}{' and ' if needs else ''}{last}"
        return Fault("CE101", f"unknown key {_shown(path[-1])}", path, "key", help)
    if help := _no_key(key, value, classes_at(table, tree, root)):
        return Fault("CE101", f"unknown key {_shown(path[-1])}", path, "key", help)
    if "schedule" in known and plain(key) in DROPS:
        return Fault("CE101", f"unknown key {_shown(path[-1])}", path, "key", DROPS_FORM)
    message, meant = f"unknown key {_shown(path[-1])}", likeliest(key, known, KEYS)
    others = taken_by(value, classes_at(table, tree, root))
    if others and meant is None:
        return Fault("CE101", message, path, "key", others)
    elsewhere = _elsewhere(key, table, tree, root)
    slip = meant is not None and meant.rstrip("s") == key.rstrip("s")
    if elsewhere and not slip and known_as(key, known, KEYS) is None:
        return Fault("CE101", message, path, "key", elsewhere)
    return Fault("CE101", message, path, "key", did_you_mean(key, known, KEYS), meant=meant)


def _no_key(key: str, value: Any, here: list[type[Spec]]) -> str:
    """Say what to do instead of a key that layers of other tools have; '' if this is none."""
    if len(here) != 1 or not issubclass(here[0], LayerSpec):
        return ""
    if "activation" in (key, *KEYS.get(plain(key), ())):
        if "name" in here[0].model_fields:
            return "here it is called name"
        known = isinstance(value, str) and likeliest(value, get_args(Activation), VALUES)
        if not known and plain(str(value)) in NO_VALUES:
            return NO_VALUES[plain(str(value))]
        return f'put "{known or "relu"}" after it, as a layer of its own'
    return NO_KEYS.get(plain(key), "")


def _unknown_layer(path: KeyPath, value: Any) -> Fault:
    """Make the fault of a name that is no layer; those that stand alone are listed."""
    fault = _unknown_value("layer", path, value, [*LAYER_NAMES, *get_args(Activation)])
    if fault.meant is None and plain(str(value)) not in NO_VALUES:
        return replace(fault, help=one_of(SHORT_NAMES))
    return fault


def _form_of(kind: str, path: KeyPath, value: Any) -> str:
    """Say how to write a value that has the wrong form, if that can be guessed."""
    if path[-1:] == ("classes",) and isinstance(value, int | str):
        return cut(f'classes = ["{value}"]', 60)
    if isinstance(value, str) and (bare := _unquoted(kind, value.strip())):
        if kind in ARRAY_KINDS:
            return f"{path[-1]} = [{bare}]"
        return f"write {bare} without quotes"
    if path[-1:] == ("inputs",) and kind == "int_type" and _is_image(value):
        return f"its numbers are taken in one row: inputs = {math.prod(value)}"
    if path[-1:] in SQUARE and isinstance(value, list) and value:
        same = all(each == value[0] for each in value) and isinstance(value[0], int)
        return f"write {value[0]}, for both axes" if same else "it is one number, for both axes"
    if path[-2:-1] in SEQUENCES and isinstance(value, list):
        layers = '{type = "sequence", layers = [...]}'
        return f"write its layers without brackets around them, or as {layers}"
    if path == ("model", "size") and isinstance(value, list):
        return 'several bottlenecks are a chain: write type = "chain", with segments and sizes'
    if kind in ARRAY_KINDS and isinstance(value, int | float | str):
        return cut(f"{path[-1]} = [{_shown(value)}]", 60).replace("'", '"')
    if kind in ARRAY_KINDS and isinstance(value, dict) and all(map(str.isdecimal, value)):
        return "a table changes only entries that are there; they are numbered from 0"
    if path == ("model",) and isinstance(value, str):
        return 'a table, as model = {type = "mlp", widths = [512, 512]}; or see `ceflow init`'
    if path == ("data", "zca") and isinstance(value, bool):
        return "as zca = 0.1, or leave zca out" if value else "leave zca out"
    if path[-1:] == ("budget",) and not isinstance(value, bool) and isinstance(value, int | float):
        return f"as budget = {{parameters = {value:g}}}"
    return ""


def _unquoted(kind: str, text: str) -> str:
    """Return the number, true or false that a text holds, if this kind of fault wants one; ''
    otherwise.
    """
    if kind in ("bool_type", "spectrum_type"):
        return text.lower() if text.lower() in ("true", "false") else ""
    wanted = ("int_type", "width", "float_type", *ARRAY_KINDS)
    if kind not in wanted or len(text) > LONGEST_NUMBER or not PLAIN_NUMBER.fullmatch(text):
        return ""
    whole = float(text).is_integer() and abs(float(text)) < 1e15
    if kind == "float_type" or text.lstrip("+-").isdigit():
        return text
    if whole:
        return f"{float(text):.0f}"
    return text if kind in ARRAY_KINDS else ""


def _is_image(value: Any) -> bool:
    """Tell whether a value is the shape of an image."""
    return (
        isinstance(value, list)
        and 1 < len(value) <= 3
        and all(isinstance(size, int) and 0 < size < 10**6 for size in value)
    )


def _elsewhere(key: str, table: KeyPath, tree: Any, root: type[Spec]) -> str:
    """Say in which table an unknown key belongs, or why there is no such key."""
    here = classes_at(table, tree, root)
    if here == [root] and isinstance(child(tree, key), dict):
        kind = known_as(key, kinds_at(("stages", ""), tree, root), VALUES)
        if kind:
            return f'say [stages.NAME] with type = "{kind}"'
    rate = "learning_rate" in (key, *KEYS.get(plain(key), ()))
    if [kind.__name__ for kind in here] == ["Flow"] and (rate or plain(key) in OPTIMISERS):
        return "a flow has no learning rate: its time is learning rate x steps"
    written = tree if isinstance(tree, dict) else {}
    return ABSENT.get(plain(key)) or home_of(
        "learning_rate" if rate else key, here, root, tuple(written)
    )


def _classes(path: KeyPath, tree: Any) -> Fault:
    """Make one fault for a whole array of classes in which some are not strings."""
    for step in path:
        tree = child(tree, step)
    names = ", ".join(f'"{name}"' for name in tree if isinstance(name, int | str))
    message = f"classes must be an array of strings, not {_shown(tree)}"
    return Fault("CE103", message, path, help=cut(f"classes = [{names}]", 60))


def _nested(path: KeyPath, value: dict[str, Any]) -> Fault:
    """Make the fault of a swept path that is written as nested tables."""
    steps, inner = [str(path[-1])], value
    while isinstance(inner, dict) and inner:
        step, inner = next(iter(inner.items()))
        steps.append(step)
    help = f'"{cut(".".join(steps), 60)}" = [...]'
    return Fault("CE103", "a path in a sweep is written in quotes", path, "key", help)


def _unknown_value(name: str, path: KeyPath, value: Any, choices: list[str]) -> Fault:
    help, meant = did_you_mean(str(value), choices, VALUES), likeliest(str(value), choices, VALUES)
    if meant is None:
        help = NO_VALUES.get(plain(str(value)), help)
    return Fault("CE105", f"unknown {name} {_shown(value)}", path, help=help, meant=meant)


def _is_about_type(kind: str, value: Any) -> bool:
    if kind == "width":
        return not isinstance(value, int) or isinstance(value, bool)
    return kind.endswith(("_type", "_of", "_str"))


def _table(path: KeyPath) -> KeyPath:
    """Return the path of the table whose key holds the value, or the array with it."""
    last = max((i for i, step in enumerate(path) if isinstance(step, str)), default=0)
    return path[:last]


def _name(path: KeyPath) -> str:
    """Write the last key of a path, with the indices after it."""
    last = max((i for i, step in enumerate(path) if isinstance(step, str)), default=0)
    return dotted(path[last:])


def _expectation(kind: str, context: dict[str, Any], message: str) -> str:
    """Say what was expected, as a clause."""
    wanted = {
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "string_type": "must be a string",
        "string_unicode": "must be whole characters, without half of a surrogate pair",
        "bool_type": "must be true or false",
        "is_instance_of": "must be an array",
        "sequence_str": "must be an array",
        "list_type": "must be an array of the values it takes",
        "dict_type": "must be a table",
        "model_type": "must be a table",
        "model_attributes_type": "must be a table",
        "greater_than": "must be above {gt}",
        "greater_than_equal": "must be at least {ge}",
        "less_than": "must be below {lt}",
        "less_than_equal": "must be at most {le}",
        "finite_number": "must be finite",
        "string_pattern_mismatch": "must be letters, digits, - and _, a letter or digit first",
        "string_too_long": "must have at most {max_length} characters",
        "too_short": f"must have at least {_entries(context.get('min_length'))}",
        "too_long": f"must have at most {_entries(context.get('max_length'))}",
    }
    limits = {key: _limit(value) for key, value in context.items()}
    return wanted.get(kind, message).format(**limits)


def _limit(value: Any) -> Any:
    """Write a limit as a person would: 1e+12, not 1000000000000.0."""
    if value == 0:
        return 0
    plain = not isinstance(value, float) or 1e-3 <= abs(value) < 1e6
    return value if plain else f"{value:g}"


def _entries(count: int | None) -> str:
    return f"{count} entry" if count == 1 else f"{count} entries"


def _shown(value: Any) -> str:
    """Write a value as the user would have written it, cut to one line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "an array of tables"
    if isinstance(value, date | time):
        return f"the date or time {value}"
    if isinstance(value, int) and abs(value) > 10**50:
        return "a number of so many digits"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and (len(value) > 60 or _has_long_integer(value)):
        return "an array"
    return cut(repr(value[:60] if isinstance(value, str) else value), 60)


def _has_long_integer(value: Any) -> bool:
    """Tell whether an array holds an integer with more digits than Python can write."""
    if isinstance(value, list):
        return any(map(_has_long_integer, value))
    return isinstance(value, int) and abs(value) > 10**50


def _path(location: tuple[int | str, ...], tree: Any) -> KeyPath:
    """Remove the tags of unions from a pydantic location."""
    path: list[int | str] = []
    tagged = False
    for position, step in enumerate(location):
        if str(step).startswith(FORM_TAG_PREFIX):
            continue
        last = position == len(location) - 1
        if not last and not tagged and isinstance(tree, dict) and step in _tags(tree):
            tagged = True  # the name of a kind, which can be that of a key too
            continue
        tagged = False
        here = step in tree if isinstance(tree, dict) else isinstance(step, int)
        if here:
            path.append(step)
            tree = child(tree, step)
        elif last and not (isinstance(tree, dict) and step in _tags(tree)):
            path.append(step)
    return tuple(path)


def _tags(tree: dict[str, Any]) -> list[Any]:
    return [tree.get(tag) for tag in TAGS]
