"""`ceflow schema`: the JSON Schema of the language, and that of results."""

import json

import click


@click.command("schema")
@click.option("--results", is_flag=True, help="Print that of a run's results.json.")
def command(results: bool) -> None:
    """Print the JSON Schema of the language, with which editors check and complete specs."""
    if results:
        from ceflow.runs import results_schema as schema
    else:
        from ceflow.spec import json_schema as schema

    text = json.dumps(schema(), indent=2, ensure_ascii=False)
    click.echo(text.encode())  # JSON is UTF-8, whatever a terminal has
