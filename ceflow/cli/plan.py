"""`ceflow plan`: the compiled plan."""

import json
import math
from typing import TYPE_CHECKING, Any

import click

from ceflow.cli.failures import explained, shown
from ceflow.cli.settings import modules, modules_of, settings
from ceflow.cli.specs import load_spec

if TYPE_CHECKING:
    from ceflow.runs import Prepared


@click.command("plan")
@click.argument("spec")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--origins", is_flag=True, help="Print every key with where its value came from.")
@settings
@modules
def command(
    spec: str,
    as_json: bool,
    origins: bool,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
) -> None:
    """Show the layers of SPEC with their shapes and counts, and what each stage will need."""
    from ceflow.cli.console import results_console
    from ceflow.compiler import plan_of
    from ceflow.runs import prepare
    from ceflow.spec import dumps_origins

    with explained("the plan"):
        plan = plan_of(load_spec(spec, settings), modules=modules_of(modules))
        if origins:
            click.echo(shown(dumps_origins(plan.document, plan.resolved())), nl=False)
            return
        prepared = prepare(plan)
        if as_json:
            click.echo(json.dumps(_as_json(prepared), indent=2))
        else:
            from ceflow.report import plan_tree

            results_console().print(plan_tree(plan, prepared.needs(), prepared.total()))


def _as_json(prepared: "Prepared") -> dict[str, Any]:
    plan, root = prepared.plan, prepared.plan.root
    return {
        "name": plan.document.name,
        "model": {"parameters": _number(root.parameters), "flops": _number(root.flops)},
        "stages": {name: need._asdict() for name, need in prepared.needs().items()},
        "total": {"runs": len(plan.runs), **prepared.total()._asdict()},
    }


def _number(value: float) -> float | str | None:
    """Return a number as JSON can hold it: infinity as a string, and null if it is not known."""
    return "inf" if value == math.inf else None if math.isnan(value) else value
