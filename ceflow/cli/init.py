"""`ceflow init`: a first spec to edit."""

from importlib.resources import files
from pathlib import Path

import click

from ceflow.cli.failures import fail
from ceflow.spec.ready import ready, ready_names

KINDS = {
    "quickstart": "which ensemble replaces a network, and its kernels on digits",
    "search": "which ensemble of small networks is better than a wide one",
    "resnext": "which grouping of a ResNet is best for its size; trains none",
    "kernel": "the NTK of a network on data, beside its limit of infinite width",
    "variance": "the law of one NTK entry over widths, by three methods",
    "flow": "gradient flow of an ensemble on data, and its NTK on the way",
    "train": "a ResNeXt in training, by its published recipe: digits or CIFAR-10",
    "bottleneck": "an infinitely wide network with a bottleneck, in training",
    "network": "a network of any layers, and its kernels",
}
"""The specs that can be written, and what each asks."""

HELP = "\n".join(
    (
        "Write a commented first spec for a KIND of study, by default quickstart.\n",
        "\b",
        *(f"{kind:12}{asks}" for kind, asks in KINDS.items()),
    )
)


@click.command("init", help=HELP)
@click.argument("kind", metavar="[KIND]", type=click.Choice([*KINDS]), required=False)
@click.option(
    "--like",
    metavar="NAME",
    type=click.Choice(ready_names()),
    help=f"Ready-made network to copy, for `network`: {', '.join(ready_names())}.",
)
@click.option("--out", metavar="FILE", help="File to write; by default KIND.toml or NAME.toml.")
def command(kind: str | None, like: str | None, out: str | None) -> None:
    """Write the template of a kind, or a ready-made network, to a new file."""
    kind = kind or ("network" if like else "quickstart")
    if like and kind != "network":
        fail(f"--like copies a network: ceflow init network --like {like}", 2)
    path = Path(out or f"{like or kind}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(ready(like).content if like else _template(kind))
    except FileExistsError:
        fail(f"{path} exists; choose another name with --out", 2)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", 2)
    click.echo(f"{path} written; next: ceflow {'plan' if like else 'run'} {path}", err=True)


def _template(kind: str) -> str:
    return (files("ceflow.cli") / "templates" / f"{kind}.toml").read_text("utf-8")
