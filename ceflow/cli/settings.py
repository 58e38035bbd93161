"""Options of several commands: `--set`, which changes a spec, and `--module`, which binds a name
of it.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ceflow.compiler import Modules

settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the spec, as stages.alpha.draws=100; may be given again.",
)

modules = click.option(
    "--module",
    "modules",
    multiple=True,
    metavar="NAME=MODULE:MAKE",
    help="Bind the name of an external model to a function, as mine=package.module:make; may be"
    " given again.",
)


def modules_of(given: Sequence[str]) -> "Modules":
    """Import the functions that names are bound to; the current folder is looked in first, as by
    `python -m`.

    Raises `SpecError` for what is not so written, or cannot be imported.
    """
    found: dict[str, Any] = {}
    for each in given:
        name, _, path = each.partition("=")
        module, _, function = path.partition(":")
        if not (name and module and function):
            raise _fault(f"--module {each} is not written as NAME=package.module:make")
        if module.endswith(".py"):
            dotted = module.removesuffix(".py").removeprefix("./").replace("/", ".")
            message = f"--module names {module}, a file, and not the module in it"
            raise _fault(message, f"write --module {name}={dotted}:{function}")
        if name in found:
            raise _fault(f"--module binds the name {name!r} twice")
        found[name] = _imported(module, function)
    return found


def _imported(module: str, function: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        why = f"{type(error).__name__}: {error}".strip()
        raise _fault(f"{module} cannot be imported: {why}") from error
    for name in function.split("."):
        if not hasattr(found, name):
            raise _fault(f"{module} has no {function}, which --module names")
        found = getattr(found, name)
    return found


def _fault(message: str, help: str = "") -> Exception:
    from ceflow.spec import Fault, SpecError

    return SpecError(Fault("CE207", message, help=help))
