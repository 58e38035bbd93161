"""`ceflow show`: the report of a run directory."""

import click

from ceflow.cli.failures import explained


@click.command("show")
@click.argument("runs", nargs=-1, required=True, type=click.Path())
def command(runs: tuple[str, ...]) -> None:
    """Report on the run directories RUNS, finished or not; of a folder of runs, list them."""
    from ceflow.cli.console import results_console
    from ceflow.report import plan_tree, run_report, runs_report, trouble_report
    from ceflow.runs import reopen
    from ceflow.store import RunDirectory

    console = results_console()
    for index, run in enumerate(runs):
        if index:
            console.print()
        with explained("the report"):
            directory = RunDirectory(run)
            if not directory.exists and (listed := runs_report(directory.path)):
                console.print(listed)
                continue
            plan = reopen(directory)
            for part in trouble_report(directory, plan):
                console.print(part)
            console.print(plan_tree(plan))
            console.print()
            for part in run_report(directory, plan):
                console.print(part)
