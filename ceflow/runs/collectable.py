"""Checks of which results a `[collect]` table can find, by the fields of the result classes."""

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ceflow.compiler import Plan
from ceflow.runs.curves import RESAMPLED_POINTS
from ceflow.runs.tabulating import table_faults
from ceflow.spec import ERRORS, Collect, CollectTable, Fault
from ceflow.spec.suggest import did_you_mean
from ceflow.stages import Record, kind_of


def collect_faults(plan: Plan) -> Iterator[Fault]:
    """Find numbers requested by `[collect]` tables that no run of the sweep can produce."""
    for name, asked in plan.document.collect.items():
        if isinstance(asked, CollectTable):
            yield from table_faults(asked, name, plan)
            continue
        for fault in _faults(asked, plan):
            yield fault.below("collect", name)


def _faults(asked: Collect, plan: Plan) -> Iterator[Fault]:
    if asked.of_histories(plan.document):
        if asked.smooth and asked.smooth > RESAMPLED_POINTS:
            message = f"smooth must be at most {RESAMPLED_POINTS}, as many points as are resampled"
            yield Fault("CE104", message, ("smooth",))
        return
    for key, path in asked.paths_of_stages(plan.document):
        yield from _number_faults(key, path, plan)


def _number_faults(key: str, path: str, plan: Plan) -> Iterator[Fault]:
    """Find a path that is no number in the results of its stage in any run."""
    _, stage, *keys = path.split(".")
    keys[-1] = ERRORS.get(keys[-1], keys[-1])
    specs = (each.document.stages[stage] for each in plan.runs.values())
    kinds = list(dict.fromkeys(kind_of(spec).result for spec in specs))
    if not any(_is_number(kind, keys) for kind in kinds):
        fields = {key: field for kind in kinds for key, field in kind.model_fields.items()}
        numbers = [key for key, field in fields.items() if _is_number(field.annotation, [])]
        message = f"the results of {stage!r} have no number {'.'.join(keys)!r}"
        yield Fault("CE201", message, (key,), help=did_you_mean(keys[0], numbers))


def _is_number(kind: Any, keys: Sequence[str]) -> bool:
    """Tell whether a value of this type can hold a number, or a list of equal numbers, at a path
    below it.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _is_number(parts[0], keys)
    if origin in (Union, UnionType):
        return any(_is_number(part, keys) for part in parts)
    if origin is Literal or kind in (str, bool, NoneType):
        return False
    if kind in (int, float):
        return not keys
    if isinstance(kind, type) and issubclass(kind, Record):
        field = kind.model_fields.get(keys[0]) if keys else None
        if field is None:
            return bool(keys) and kind.model_config.get("extra") == "allow"
        return _is_number(field.annotation, keys[1:])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return bool(keys)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return not keys and any(_is_number(part, keys) for part in parts)
    return True
