"""`ceflow export`: the network of a spec, or one that a run has trained, for other tools."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ceflow.cli.failures import explained, fail
from ceflow.cli.settings import modules, modules_of, settings
from ceflow.cli.specs import load_spec

if TYPE_CHECKING:
    from ceflow.compiler import Plan
    from ceflow.exports import Artefact, Format, Weights


class _Formats(click.Choice[str]):
    """The formats; ONNX has a sentence of its own."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "onnx":
            help = "jax2onnx converts the file of --to equinox (spec/export.md)"
            self.fail(f"ceflow writes no ONNX; {help}", param, ctx)
        return super().convert(value, param, ctx)


@click.command("export")
@click.argument("spec")
@click.option(
    "--to",
    required=True,
    type=_Formats(["equinox", "timm", "torchvision", "stablehlo", "safetensors"]),
    help="equinox: a Python file; timm, torchvision: a Python expression; stablehlo: a module;"
    " safetensors: weights by timm's names.",
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="By default stdout.")
@click.option("--stage", metavar="NAME", help="Of a run: the train stage; by default the only one.")
@click.option("--replica", metavar="N", type=int, help="Of a run: which network; by default 0.")
@click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights for the network of a spec, as equinox.tree_serialise_leaves wrote them.",
)
@settings
@modules
def command(
    spec: str,
    to: "Format",
    out: Path | None,
    stage: str | None,
    replica: int | None,
    weights: Path | None,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
) -> None:
    """Write the network of SPEC as code, as a module or as weights; notes go to stderr.

    SPEC can be a run directory: then it is the network that a train stage has trained, with its
    weights. StableHLO is written as text to stdout and to a FILE that ends in .mlir, otherwise in
    JAX's serialised form.
    """
    from ceflow.exports import export

    beside = out.with_suffix(".eqx") if out else None
    if out:
        _refuse_existing(out)
    with explained("the export"):
        if Path(spec, "run.json").is_file():
            _refuse({"--weights": weights, "--set": settings}, "the network of a run is as it was")
            plan, given, said = _of_run(spec, stage, replica, modules)
        else:
            _refuse({"--stage": stage, "--replica": replica}, "is of a run directory")
            plan, given, said = _of_spec(spec, weights, settings, modules)
        if given and to == "equinox":
            if beside is None or beside == out:
                fail("an Equinox file reads its weights from FILE.eqx: give --out FILE.py", 2)
            _refuse_existing(beside)
        if given and to == "safetensors" and out is None and sys.stdout.isatty():
            fail("safetensors are bytes: give --out FILE.safetensors", 2)
        named = {"beside": beside.name} if beside else {}
        made = export(plan, to, out.suffix if out else "", given, **named)
        _write(made, out, beside)
    for note in (*made.notes, *said):
        click.echo(note, err=True)


def _of_spec(
    spec: str, file: Path | None, settings: tuple[str, ...], modules: tuple[str, ...]
) -> "tuple[Plan, Weights | None, tuple[str, ...]]":
    """Plan the network of a document, with a file of weights if there is one."""
    from ceflow.compiler import plan_of
    from ceflow.exports import Weights

    plan = plan_of(load_spec(spec, settings), modules=modules_of(modules))
    return plan, Weights(file) if file else None, ()


def _of_run(
    path: str, stage: str | None, replica: int | None, modules: tuple[str, ...]
) -> "tuple[Plan, Weights, tuple[str, ...]]":
    """Plan the network that a run has trained, with its weights."""
    from ceflow.exports import Weights
    from ceflow.runs import trained

    found = trained(path, stage, modules=modules_of(modules))
    chosen = replica or 0
    if not 0 <= chosen < found.replicas:
        fail(f"the stage {found.stage!r} has no replica {chosen}; {found.counted}", 2)
    notes = (*(f"warning: {sentence}" for sentence in found.changed), *found.notes)
    if found.replicas > 1:
        notes = (*notes, f"of replica {chosen} of {found.replicas}, counted from 0 (--replica)")
    return found.plan, Weights(found.path, found.replicas, chosen), notes


def _refuse_existing(path: Path) -> None:
    if path.exists():
        fail(f"{path} exists already; remove it, or name another file", 2)


def _refuse(given: dict[str, object], why: str) -> None:
    """Exit if an option was given that does not go with SPEC."""
    for option, value in given.items():
        if value not in (None, ()):
            fail(f"{option}: {why}; leave it out", 2)


def _write(made: "Artefact", out: Path | None, beside: Path | None) -> None:
    """Write in UTF-8, whatever the encoding of the terminal; weights before what reads them."""
    from ceflow.store.atomic import write_bytes

    content = made.content.encode() if isinstance(made.content, str) else made.content
    if made.beside is not None and beside is not None:
        write_bytes(beside, made.beside)
    if out is None:
        click.echo(content, nl=False)
    else:
        write_bytes(out, content)
