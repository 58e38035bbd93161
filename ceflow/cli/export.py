"""`ceflow export`: the network of a spec for other tools."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ceflow.cli.failures import explained, fail
from ceflow.cli.settings import modules, modules_of, settings
from ceflow.cli.specs import load_spec

if TYPE_CHECKING:
    from ceflow.exports import Format


@click.command("export")
@click.argument("spec")
@click.option(
    "--to",
    required=True,
    type=click.Choice(["equinox", "timm", "torchvision", "stablehlo"]),
    help="equinox: a Python file; timm, torchvision: a Python expression; stablehlo: a module.",
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="By default stdout.")
@click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights to put in, as equinox.tree_serialise_leaves wrote them; of stablehlo.",
)
@settings
@modules
def command(
    spec: str,
    to: "Format",
    out: Path | None,
    weights: Path | None,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
) -> None:
    """Write the network of SPEC as code or as a module; notes go to stderr.

    StableHLO is written as text to stdout and to a FILE that ends in .mlir, otherwise in JAX's
    serialised form.
    """
    from ceflow.compiler import plan_of
    from ceflow.exports import export

    if out and out.exists():
        fail(f"{out} exists already; remove it, or name another file", 2)
    with explained("the export"):
        plan = plan_of(load_spec(spec, settings), modules=modules_of(modules))
        made = export(plan, to, out.suffix if out else "", weights)
        _write(made.content, out)
    for note in made.notes:
        click.echo(note, err=True)


def _write(text: str | bytes, out: Path | None) -> None:
    """Write in UTF-8, whatever the encoding of the terminal."""
    from ceflow.store.atomic import write_bytes

    content = text.encode() if isinstance(text, str) else text
    if out is None:
        click.echo(content, nl=False)
    else:
        write_bytes(out, content)
