"""`ceflow schema`: the JSON Schema of the language."""

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of the language, which editors check and complete specs by."""
    from ceflow.spec import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    click.echo(text.encode())  # JSON is UTF-8, whatever a terminal has
