"""`ceflow check`: diagnostics only."""

import json
import sys

import click

from ceflow.cli.failures import faults_as_json
from ceflow.spec import SpecError


@click.command("check")
@click.argument("specs", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON.")
def command(specs: tuple[str, ...], as_json: bool) -> None:
    """Say everything that is wrong with SPECS. Exit status 2 where anything is."""
    from ceflow import load
    from ceflow.compiler import compile
    from ceflow.runs import prepare

    faults = []
    for path in specs:
        try:
            prepare(compile(load(path)))
        except SpecError as error:
            faults += error.faults
        else:
            if not as_json:
                click.echo(f"{path}: ok", err=True)
    if as_json:
        click.echo(json.dumps(faults_as_json(faults), indent=2))
    else:
        for fault in faults:
            click.echo(str(fault), err=True)
    sys.exit(2 if faults else 0)
