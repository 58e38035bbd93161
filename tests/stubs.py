"""Stages that do something else, so that a test is quick or something fails."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import ConfigDict

from ceflow import stages
from ceflow.stages import Result


class Untyped(Result):
    """A result with any fields."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    if TYPE_CHECKING:

        def __init__(self, **fields: Any): ...


def stub(monkeypatch: pytest.MonkeyPatch, spec: type, **methods: Callable[..., Any]) -> Any:
    """Let other functions do what methods of a kind of stage do; gives back the kind as it was.

    What they find has any fields.
    """
    kind = stages.KINDS[spec]
    asked = {name: staticmethod(each) for name, each in methods.items()}
    made = type("Stub", (type(kind),), {"result": Untyped, **asked})
    monkeypatch.setitem(stages.KINDS, spec, made())
    return kind
