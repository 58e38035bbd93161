"""`ceflow explain`: what a diagnostic's code or a word of the reports means."""

from textwrap import fill

import click

from ceflow.cli.failures import fail


@click.command("explain")
@click.argument("word", required=False)
def command(word: str | None) -> None:
    """Explain the code of a fault, such as CE104, or a word of the reports, such as rho.

    Without WORD, list both.
    """
    from ceflow.spec.codes import CODES
    from ceflow.spec.terms import TERMS, known

    if word is None:
        for code, fault in CODES.items():
            click.echo(f"{code}  {fault.title}")
        click.echo("\n" + fill(f"words: {', '.join(TERMS)}", 80))
    elif word.upper() in CODES:
        _explain_code(word.upper())
    elif (found := known(word)) is not None:
        name, term = found
        also = f" ({', '.join(term.also)})" if term.also else ""
        click.echo(f"{name}{also}\n\n{fill(term.text, 80)}\n\nmore: spec/{term.chapter}")
    else:
        fail(f"there is no code or word {word!r}; `ceflow explain` lists all", 2)


def _explain_code(code: str) -> None:
    from ceflow.spec.codes import CODES

    fault = CODES[code]
    click.echo(f"{code}: {fault.title}\n\n{fault.why}")
    for title, text in (("wrong", fault.wrong), ("right", fault.right)):
        if text:
            click.echo(f"\n{title}:\n" + "\n".join(f"    {line}" for line in text.splitlines()))
