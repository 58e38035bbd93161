"""The `ceflow` command: finds the subcommand, and turns errors into sentences and exit codes."""

import sys
from importlib import import_module

import click

from ceflow.cli.failures import fail
from ceflow.cli.streams import lost, make_patient

COMMANDS = {
    "run": "run a spec and report what it found",
    "plan": "show shapes, costs and needs of a spec, without running it",
    "check": "say what is wrong with specs",
    "show": "report on run directories",
    "compare": "say what differs between runs",
    "page": "write a run as one HTML file",
    "export": "write the network of a spec for timm, torchvision, Equinox or StableHLO",
    "explain": "explain the code of a fault or a word of the reports",
    "init": "write a first spec",
    "schema": "print the JSON Schema of the language",
}
"""One-line help of each command, which is `ceflow.cli.NAME.command`."""


class _Commands(click.Group):
    """Subcommands that are imported only when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"ceflow.cli.{cmd_name}").command

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except KeyboardInterrupt:  # before a command explains it
            fail("interrupted", 1)
        sys.stdout.flush()
        if lost:
            fail(f"the output could not be written: {(lost[0].strerror or '').lower()}", 1)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ceflow")
def main() -> None:
    """Collegial ensembles and infinitely wide networks, from a spec.

    \b
    ceflow init quickstart       write a first spec, quickstart.toml
    ceflow run quickstart.toml   a first result
    ceflow COMMAND --help        what a command takes
    """
    make_patient()
