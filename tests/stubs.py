"""Stages that do something else, so that a test is quick or something fails."""

from collections.abc import Callable
from typing import Any

import pytest

from ceflow import stages
from ceflow.stages.result import Untyped


def stub(monkeypatch: pytest.MonkeyPatch, spec: type, **methods: Callable[..., Any]) -> Any:
    """Let other functions do what methods of a kind of stage do; gives back the kind as it was.

    What they find has any fields.
    """
    kind = stages.KINDS[spec]
    asked = {name: staticmethod(each) for name, each in methods.items()}
    made = type("Stub", (type(kind),), {"result": Untyped, **asked})
    monkeypatch.setitem(stages.KINDS, spec, made())
    return kind
