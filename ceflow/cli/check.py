"""`ceflow check`: diagnostics only."""

import json
import os
import sys

import click

from ceflow.cli.failures import explained, faults_as_json, shown
from ceflow.cli.settings import modules, modules_of, settings
from ceflow.cli.specs import load_spec, specs_below
from ceflow.spec import Fault, SpecError


@click.command("check")
@click.argument("specs", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON.")
@click.option("--no-data", is_flag=True, help="Leave data files alone: they may be elsewhere.")
@settings
@modules
def command(
    specs: tuple[str, ...],
    as_json: bool,
    no_data: bool,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
) -> None:
    """Report everything that is wrong with SPECS. Exit status 2 if anything is.

    In a folder, every spec is checked; - is standard input.
    """
    faults: list[Fault] = []
    for spec in specs:
        below = specs_below(spec) if os.path.isdir(spec) else None
        for path in below.specs if below else [spec]:
            with explained("the check"):
                found = _faults_of(path, settings, modules, no_data)
            faults += found
            if not as_json:
                click.echo("\n".join(map(str, found)) or shown(f"{path}: ok"), err=True)
        if below and not as_json:
            click.echo(shown(f"{spec}: {below}"), err=True)
    if as_json:
        click.echo(json.dumps(faults_as_json(faults), indent=2))
    if faults:
        sys.exit(2)


def _faults_of(
    path: str, settings: tuple[str, ...], modules: tuple[str, ...], no_data: bool
) -> tuple[Fault, ...]:
    from ceflow.compiler import plan_of, without_data
    from ceflow.runs import prepare

    try:
        examined, known = load_spec(path, settings), modules_of(modules)
        plans = (
            without_data(examined, modules=known) if no_data else [plan_of(examined, modules=known)]
        )
        for plan in plans:
            prepare(plan)
    except SpecError as error:
        return error.faults
    return ()
