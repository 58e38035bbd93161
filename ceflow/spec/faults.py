"""From pydantic's errors to faults: in the language's words, with a path and a suggestion."""

import re
import types
from datetime import date, time
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ceflow.spec.base import TAGS, UNTOLD, Spec, Steps
from ceflow.spec.diagnostics import MOST, Fault, cut, dotted
from ceflow.spec.suggest import did_you_mean
from ceflow.spec.trees import child


def faults_of(error: ValidationError, tree: dict[str, Any], root: type[Spec]) -> list[Fault]:
    """Every fault that pydantic found in a tree read as a `root`."""
    details = error.errors(include_url=False)[:MOST]
    faults = [_fault(detail, tree, root) for detail in details]
    misspelt = {(fault.path[:-1], fault.help) for fault in faults if fault.code == "CE101"}
    return [fault for fault in faults if not _is_echo(fault, misspelt)]


def _is_echo(fault: Fault, misspelt: set[tuple[Steps, str]]) -> bool:
    """Whether a key is missing only because it stands there misspelt: one slip, one fault."""
    missing = re.fullmatch("the key '(.*)' is missing", fault.message)
    return missing is not None and (fault.path, f"did you mean {missing[1]}?") in misspelt


def _fault(detail: ErrorDetails, tree: dict[str, Any], root: type[Spec]) -> Fault:
    path, kind, value = _path(detail["loc"], tree), detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1], tree, root)
        return Fault(
            "CE101",
            f"unknown key {_shown(path[-1])}",
            path,
            "key",
            did_you_mean(str(path[-1]), known),
        )
    if kind == "missing":
        return Fault("CE102", f"the key {path[-1]!r} is missing", path[:-1], "key")
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        kinds = did_you_mean("", _kinds_at(path, tree, root))
        return Fault("CE102", f"the key {tag!r} is missing", path, "key", kinds)
    if kind == "union_tag_invalid":
        tag = context["discriminator"].strip("'")
        help = did_you_mean(str(context["tag"]), _kinds_at(path, tree, root))
        return Fault("CE105", f"unknown {tag} {_shown(context['tag'])}", (*path, tag), help=help)
    if kind == "literal_error":
        choices = [
            choice.strip(" '") for choice in context["expected"].replace(" or ", ", ").split(",")
        ]
        return Fault(
            "CE105",
            f"unknown {_name(path)} {_shown(value)}",
            path,
            help=did_you_mean(str(value), choices),
        )
    expected = _expectation(kind, context, detail["msg"])
    if path[-1:] == ("[key]",):
        return Fault("CE104", f"a name {expected}, not {_shown(value)}", path[:-1], "key")
    code = "CE103" if _is_about_type(kind, value) else "CE104"
    return Fault(code, f"{_name(path)} {expected}, not {_shown(value)}", path)


def _is_about_type(kind: str, value: Any) -> bool:
    if kind == "width":
        return not isinstance(value, int) or isinstance(value, bool)
    return kind.endswith(("_type", "_of", "_str"))


def _name(path: Steps) -> str:
    """The last key on a path, with the indices behind it."""
    last = max((i for i, step in enumerate(path) if isinstance(step, str)), default=0)
    return dotted(path[last:])


def _expectation(kind: str, context: dict[str, Any], message: str) -> str:
    """What should have stood there, as a clause."""
    wanted = {
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "string_type": "must be a string",
        "bool_type": "must be true or false",
        "is_instance_of": "must be an array",
        "sequence_str": "must be an array",
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
    return wanted.get(kind, message).format(**context)


def _entries(count: int | None) -> str:
    return f"{count} entry" if count == 1 else f"{count} entries"


def _shown(value: Any) -> str:
    """A value as the user would have written it, cut to a line."""
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
    """Whether an array holds an integer of more digits than Python writes."""
    if isinstance(value, list):
        return any(map(_has_long_integer, value))
    return isinstance(value, int) and abs(value) > 10**50


def _path(location: tuple[int | str, ...], tree: Any) -> Steps:
    """A pydantic location without the tags of unions that it goes through."""
    path: list[int | str] = []
    for position, step in enumerate(location):
        if str(step).startswith(UNTOLD):
            continue
        last = position == len(location) - 1
        here = step in tree if isinstance(tree, dict) else isinstance(step, int)
        if here:
            path.append(step)
            tree = child(tree, step)
        elif last and not (isinstance(tree, dict) and step in _tags(tree)):
            path.append(step)
    return tuple(path)


def _tags(tree: dict[str, Any]) -> list[Any]:
    return [tree.get(tag) for tag in TAGS]


def _keys_at(path: Steps, tree: Any, root: type[Spec]) -> list[str]:
    """The keys that the language knows in the table at `path`."""
    classes = _classes_at(path, tree, root)
    keys = list(classes[0].model_fields) if len(classes) == 1 else []
    return keys if path else [*keys, "extends"]


def _kinds_at(path: Steps, tree: Any, root: type[Spec]) -> list[str]:
    """The kinds of model, stage or data that the table at `path` could be."""
    return [
        get_args(field.annotation)[0]
        for kind in _classes_at(path, tree, root)
        for tag, field in kind.model_fields.items()
        if tag in TAGS
    ]


def _classes_at(path: Steps, tree: Any, root: type[Spec]) -> list[type[Spec]]:
    """The classes a table could be of; one, where its tag says which."""
    annotation: Any = root
    for step in path:
        tree = child(tree, step)
        annotation = _step(annotation, step)
        classes = _specs(annotation)
        if len(classes) > 1 and isinstance(tree, dict):
            tagged = [kind for kind in classes if _is_tagged(kind, tree)]
            annotation = tagged[0] if tagged else annotation
    return _specs(annotation)


def _step(annotation: Any, step: int | str) -> Any:
    for kind in _specs(annotation):
        if step in kind.model_fields:
            return kind.model_fields[str(step)].annotation
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return None


def _specs(annotation: Any) -> list[type[Spec]]:
    """The classes of the language in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for option in get_args(annotation) for kind in _specs(option)]
    if get_origin(annotation) is Annotated:
        return _specs(get_args(annotation)[0])
    return []


def _is_tagged(kind: type[Spec], tree: dict[str, Any]) -> bool:
    return any(
        get_origin(field.annotation) is Literal and tree.get(tag) in get_args(field.annotation)
        for tag, field in kind.model_fields.items()
        if tag in TAGS
    )
