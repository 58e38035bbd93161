"""What to say of schedules of the learning rate that are written as other tools write them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from ceflow.spec.diagnostics import Fault
from ceflow.spec.stages.recipe import ScheduleName
from ceflow.spec.trees import child
from ceflow.spec.vocabulary import DROPS_FORM, plain

NAMES = ("step", "steps", "steplr", "multistep", "multisteplr", "piecewise", "drops")
"""Names of such schedules in other tools."""


def drops_form(value: Any) -> str:
    """Say how to write a schedule that is meant to drop; '' if another is meant.

    >>> drops_form("step")
    'drops of the rate are a table, schedule = {at = [0.5, 0.75], factor = 0.1}'
    >>> drops_form([0.3, 0.6]), drops_form("cosine")
    ('drops of the rate are a table, schedule = {at = [0.3, 0.6], factor = 0.1}', '')

    An array of one name is meant to be that name.

    >>> drops_form(["cosine"])
    'without brackets: schedule = "cosine"'
    """
    if isinstance(value, list) and value in ([name] for name in get_args(ScheduleName)):
        return f'without brackets: schedule = "{value[0]}"'
    if _are_fractions(value):
        return DROPS_FORM.replace("[0.5, 0.75]", str(value))
    is_meant = isinstance(value, list) or plain(str(value)) in NAMES
    return DROPS_FORM if is_meant else ""


def _are_fractions(value: Any) -> bool:
    return (
        isinstance(value, list)
        and value != []
        and all(isinstance(each, float) and 0 < each < 1 for each in value)
    )


def drops_together(faults: Sequence[Fault], tree: Any) -> list[Fault]:
    """Make one fault of all moments of a schedule that are no fractions of the training."""
    found = {}
    for fault in faults:
        *above, last = fault.path or ("",)
        of_drops = tuple(above[-2:]) == ("schedule", "at") and isinstance(last, int)
        if of_drops and fault.code == "CE104":
            fault = _of_moments(fault, tuple(above), tree)
        found[fault] = None
    return list(found)


def _of_moments(fault: Fault, path: tuple[int | str, ...], tree: Any) -> Fault:
    """Make the fault of all moments, which are given as epochs or steps where a training has as
    many.
    """
    above: list[Any] = [tree]
    for step in path:
        above.append(child(above[-1], step))
    stage, moments = above[-3], above[-1]
    message = "at takes fractions of the training, above 0 and below 1"
    help = "as at = [0.5, 0.75]"
    for key in ("epochs", "steps"):
        length = child(stage, key)
        if _divides(length, moments):
            parts = ", ".join(f"{moment / length:.4g}" for moment in moments)
            help = f"of {length:g} {key}: at = [{parts}]"
            break
    return replace(fault, message=message, path=path, help=help)


def _divides(length: Any, moments: Any) -> bool:
    """Tell whether moments can be numbers of epochs or steps of a training of this length."""
    numbers = [length, *moments] if isinstance(moments, list) else [None]
    if not all(isinstance(each, int | float) and each > 0 for each in numbers):
        return False
    return max(moments) < length and min(moments) >= 1
