"""The option `--set`, which changes a spec on the command line."""

import click

settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the spec, as stages.alpha.draws=100; may be given again.",
)
