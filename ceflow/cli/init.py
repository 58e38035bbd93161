"""`ceflow init`: a first spec to edit."""

from importlib.resources import files
from pathlib import Path

import click

from ceflow.cli.failures import fail

KINDS = ("quickstart", "search", "resnext", "kernel", "variance", "flow", "bottleneck")


@click.command("init")
@click.argument("kind", type=click.Choice(KINDS), default="quickstart")
@click.option("--out", metavar="FILE", help="File to write; by default KIND.toml.")
def command(kind: str, out: str | None) -> None:
    """Write a commented first spec for a KIND of study.

    The default is `quickstart`, which shows most features.
    """
    path = Path(out or f"{kind}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write((files("ceflow.cli") / "templates" / f"{kind}.toml").read_text("utf-8"))
    except FileExistsError:
        fail(f"{path} exists; choose another name with --out", 2)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", 2)
    click.echo(f"{path} written; next: ceflow run {path}", err=True)
