"""`ceflow show`: the report of a run directory."""

import click

from ceflow.cli.failures import explained
from ceflow.spec import Fault, SpecError


@click.command("show")
@click.argument("run", type=click.Path())
def command(run: str) -> None:
    """Report on the run directory RUN, finished or not."""
    from ceflow import load
    from ceflow.cli.console import results_console
    from ceflow.compiler import compile
    from ceflow.report import plan_tree, run_report
    from ceflow.runs import forecast
    from ceflow.store import RunDirectory

    with explained():
        directory = RunDirectory(run)
        if not directory.exists:
            raise SpecError(Fault("CE501", f"{run} is not a run directory: it has no run.json"))
        plan = compile(load(directory.path / "resolved.toml"))
        stages = plan.document.stages
        console = results_console()
        console.print(
            plan_tree(plan, {name: forecast(plan, stage) for name, stage in stages.items()})
        )
        console.print()
        for part in run_report(directory, plan):
            console.print(part)
