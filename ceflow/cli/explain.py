"""`ceflow explain`: what a diagnostic's code means, why it is a fault, and how to correct it."""

import click

from ceflow.cli.failures import fail


@click.command("explain")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Explain why CODE is a fault and how to correct it; without CODE, list all codes."""
    from ceflow.spec.codes import CODES

    if code is None:
        for name, known in CODES.items():
            click.echo(f"{name}  {known.title}")
        return
    known = CODES.get(code.upper())
    if known is None:
        fail(f"there is no code {code}; `ceflow explain` lists all", 2)
    click.echo(f"{code.upper()}: {known.title}\n\n{known.why}")
    for title, text in (("wrong", known.wrong), ("right", known.right)):
        if text:
            click.echo(f"\n{title}:\n" + "\n".join(f"    {line}" for line in text.splitlines()))
