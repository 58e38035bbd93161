"""What a page shows of the document of a run: its question, its text, and how to run it again."""

import base64
import re
from contextlib import suppress
from itertools import groupby
from textwrap import dedent

from ceflow.blocks import Note
from ceflow.blocks.html import block, text
from ceflow.compiler import Plan
from ceflow.runs.record import read_document
from ceflow.spec import SpecError, dumps_origins, examined, stack
from ceflow.spec.text import read
from ceflow.stages import Values
from ceflow.store import Damaged, RunDirectory

CODE = re.compile(r"""(?:[^#"']|"(?:[^"\\]|\\.)*"|'[^']*')*""")
"""The part of a line of TOML before its comment; texts in it may have a # of their own."""

PACKAGES = ("jax", "equinox", "numpy", "scipy")
"""Packages whose versions the numbers of a run depend on."""


def question(directory: RunDirectory, state: Values) -> str:
    """Return what the document asks: the first paragraph of the comment at its top, with indented
    lines, such as the rows of a table, as they stand.
    """
    asked: list[str] = []
    content = ""
    with suppress(Damaged):  # the section of the document says so
        content = read_document(directory, "spec.toml", state)
    for line in content.splitlines():
        if not line.startswith("#") or (asked and not line.strip("# ")):
            break
        if not line.startswith("#:"):
            asked.append(line.removeprefix("#").rstrip("# "))
    return "".join(
        f"<pre>{_lines(dedent(chr(10).join(lines)).splitlines())}</pre>"
        if indented
        else f'<p class="question">{text(" ".join(map(str.strip, lines)))}</p>'
        for indented, lines in groupby(filter(None, asked), lambda line: line.startswith("  "))
    )


def document_and_reproduction(
    directory: RunDirectory, plan: Plan, state: Values, versions: Values
) -> tuple[str, str]:
    """Show the document, and the commands that run it again.

    The document is shown as given, then with every key and where its value came from. If it is not
    the one that was run, the resolved document is shown instead.
    """
    path = directory.path / "spec.toml"
    try:
        given = read_document(directory, "spec.toml", state)
        with_origins = dumps_origins(examined(stack(read(path))).document, plan.document)
    except (SpecError, ValueError) as error:  # damaged, or of another version
        why = block(Note(f"the document as given cannot be shown: {error}", warning=True))
        shown = f"{why}<pre>{_toml(directory.read_text('resolved.toml'))}</pre>"
        return shown, _commands("Save the resolved document", versions)
    address = base64.b64encode(given.encode()).decode()
    shown = (
        f'<p>As given. <a download="spec.toml" href="data:text/plain;base64,{address}">'
        f"Save it as spec.toml</a></p><pre>{_toml(given)}</pre>"
        "<details><summary>the same with every key, and where each value came from</summary>"
        f"<pre>{_toml(with_origins.replace(f'{path}:', 'spec.toml:'))}</pre></details>"
    )
    return shown, _commands("Save the document above as spec.toml", versions)


def _commands(save: str, versions: Values) -> str:
    """Write the commands that do a run again with the same versions."""
    packages = [f"{key}=={versions[key]}" for key in versions if key in PACKAGES]
    lines = [f"python -m pip install {' '.join(packages)}"] if packages else []
    ceflow = f"ceflow {versions['ceflow']}" if "ceflow" in versions else "ceflow"
    return (
        f"<p>{text(f'{save}; then, with {ceflow} installed:')}</p>"
        f"<pre>{_lines([*lines, 'ceflow run spec.toml'])}</pre>"
        "<p>The random numbers follow from the seed alone.</p>"
    )


def _lines(lines: list[str]) -> str:
    return "\n".join(map(text, lines))


def _toml(content: str) -> str:
    """Escape a document, with its comments apart."""
    lines = []
    for line in content.expandtabs(4).splitlines():
        code = CODE.match(line)
        at = code.end() if code else len(line)  # none inside a text of several lines
        note = f'<span class="note">{text(line[at:])}</span>' if at < len(line) else ""
        lines.append(f"{text(line[:at])}{note}")
    return "\n".join(lines)
