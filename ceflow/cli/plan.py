"""`ceflow plan`: the compiled plan."""

import json

import click

from ceflow.cli.failures import explained


@click.command("plan")
@click.argument("spec")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(spec: str, as_json: bool) -> None:
    """Show the layers of SPEC with their shapes and counts, and what each stage will need."""
    from ceflow import load
    from ceflow.compiler import compile
    from ceflow.runs import prepare

    with explained():
        plan = compile(load(spec))
        forecasts = prepare(plan)
        if as_json:
            stages = {
                name: {"memory": forecast.memory, "disk": forecast.disk}
                for name, forecast in forecasts.items()
            }
            root = plan.root
            model = {"parameters": _number(root.parameters), "flops": _number(root.flops)}
            click.echo(
                json.dumps({"name": plan.document.name, "model": model, "stages": stages}, indent=2)
            )
            return
        from ceflow.cli.console import results_console
        from ceflow.report import plan_tree

        results_console().print(plan_tree(plan, forecasts))


def _number(value: float) -> float | str:
    """JSON has no infinity."""
    return "inf" if value == float("inf") else value
