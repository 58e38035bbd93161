"""`ceflow show`: the report of a run directory."""

from typing import Literal

import click

from ceflow.cli.failures import explained


@click.command("show")
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@click.option(
    "--figures",
    "kind",
    type=click.Choice(["pdf", "svg"]),
    help="Draw the figures of RUNS again, to figures/*.pdf, for a paper, or figures/*.svg.",
)
def command(runs: tuple[str, ...], kind: Literal["pdf", "svg"] | None) -> None:
    """Report on the run directories RUNS, finished or not; of a folder of runs, list them."""
    from ceflow.cli.console import results_console
    from ceflow.report import plan_tree, run_report, runs_report, trouble_report, write_figures
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
            if kind:
                write_figures(directory, plan, kind, again=True)
            for part in run_report(directory, plan):
                console.print(part)
