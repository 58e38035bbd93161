"""`ceflow explain`: what a diagnostic's code, or a word of reports or documents, means."""

from textwrap import fill

import click

from ceflow.cli.failures import fail


@click.command("explain")
@click.argument("word", nargs=-1)
def command(word: tuple[str, ...]) -> None:
    """Explain the code of a fault, such as CE104, a word of the reports, such as rho or learning
    curve, or a kind, key or value of documents, such as network, ridge or theorem-3.2.

    Without WORD, list the codes and words.
    """
    from ceflow.spec.codes import CODES
    from ceflow.spec.terms import TERMS

    words = " ".join(" ".join(word).split())
    if not words:
        for code, fault in CODES.items():
            click.echo(f"{code}  {fault.title}")
        click.echo("\n" + fill(f"words: {', '.join(TERMS)}", 80))
        click.echo("\n" + fill(f"kinds: {', '.join(_kinds())}; and the keys of documents", 80))
    elif words.upper() in CODES:
        _explain_code(words.upper())
    else:
        _explain_word(words)


def _kinds() -> dict[str, None]:
    from ceflow.spec.meanings import kinds, name_of

    return dict.fromkeys(name_of(kind) for _, kind in kinds())


def _wrapped(text: str) -> str:
    return fill(text, 80, break_on_hyphens=False)


def _explain_word(word: str) -> None:
    """Explain a term, and the kinds and keys of its name; a term of just this name is enough."""
    from ceflow.spec.meanings import meanings
    from ceflow.spec.suggest import nearest
    from ceflow.spec.terms import TERMS, known

    parts = []
    if (found := known(word)) is not None:
        name, term = found
        also = f" ({', '.join(term.also)})" if term.also else ""
        parts.append(f"{name}{also}\n\n{_wrapped(term.text)}\n\nmore: spec/{term.chapter}")
    if word not in TERMS:
        parts += [
            f"{word}: {each.what}\n\n{_wrapped(each.text)}\n\nmore: spec/{each.chapter}"
            for each in meanings(word.lower())
        ]
    if not parts:
        meant = nearest(word, [*TERMS, *_kinds()])
        help = f"did you mean {meant}?" if meant else "`ceflow explain` lists all"
        fail(f"there is no code or word {word!r}; {help}", 2)
    click.echo("\n\n".join(parts))


def _explain_code(code: str) -> None:
    from ceflow.spec.codes import CODES

    fault = CODES[code]
    click.echo(f"{code}: {fault.title}\n\n{fault.why}")
    for title, text in (("wrong", fault.wrong), ("right", fault.right)):
        if text:
            click.echo(f"\n{title}:\n" + "\n".join(f"    {line}" for line in text.splitlines()))
