"""`ceflow check`: diagnostics only."""

import json
import sys

import click

from ceflow.cli.failures import explained, faults_as_json, shown
from ceflow.cli.settings import settings
from ceflow.spec import Fault, SpecError


@click.command("check")
@click.argument("specs", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON.")
@settings
def command(specs: tuple[str, ...], as_json: bool, settings: tuple[str, ...]) -> None:
    """Say everything that is wrong with SPECS. Exit status 2 where anything is."""
    faults = []
    for path in specs:
        with explained("the check"):
            found = _faults_of(path, settings)
        faults += found
        if not as_json:
            click.echo("\n".join(map(str, found)) or shown(f"{path}: ok"), err=True)
    if as_json:
        click.echo(json.dumps(faults_as_json(faults), indent=2))
    sys.exit(2 if faults else 0)


def _faults_of(path: str, settings: tuple[str, ...]) -> tuple[Fault, ...]:
    from ceflow.compiler import compile
    from ceflow.runs import require_memory
    from ceflow.spec import load

    try:
        require_memory(compile(load(path, settings)))
    except SpecError as error:
        return error.faults
    return ()
