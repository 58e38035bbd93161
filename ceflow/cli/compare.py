"""`ceflow compare`: what differs between runs."""

import json

import click

from ceflow.cli.failures import explained


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(runs: tuple[str, ...], as_json: bool) -> None:
    """Compare the run directories RUNS, two or more.

    It shows the keys of their documents and the numbers of their results that differ, their curves
    over each other, and the time and memory that their stages took. A run of a sweep is its
    directory inside that of the sweep.
    """
    if len(runs) < 2:
        raise click.UsageError("name two runs or more")
    from ceflow.cli.console import results_console
    from ceflow.report import compared, comparison_report

    with explained("the comparison"):
        comparison = compared(runs)
        if as_json:
            click.echo(json.dumps(comparison.as_json(), indent=2, allow_nan=False))
            return
        console = results_console()
        for part in comparison_report(comparison):
            console.print(part)
