"""A run, a sweep or a comparison as one HTML file, which needs no other and no network.

`page.css` and `page.js` stand in the file; what it shows is there without the script too.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from rich.text import Text
from rich.tree import Tree

from ceflow.blocks import Drawing, Note, ReportBlock, Table
from ceflow.blocks.html import block, text
from ceflow.compiler import Plan
from ceflow.report.comparing import Comparison
from ceflow.report.figures import curves_of_runs
from ceflow.report.sections import Section, run_sections
from ceflow.report.terminal import plan_tree
from ceflow.report.text import seconds, size
from ceflow.report.trouble import trouble
from ceflow.runs import known_results
from ceflow.runs.record import read_document, read_state, started
from ceflow.spec import SpecError, dumps_origins, examined, stack
from ceflow.spec.text import read
from ceflow.stages import Values
from ceflow.store import PAGE, Damaged, RunDirectory

MOST_POINTS = 40_000
"""Largest number of points of all charts of a page, which keeps it below 2 MB."""

ABSENT = "-"
"""Text in place of a number that is not known."""

COMMENT = re.compile(r"""(?:[^#"']|"(?:[^"\\]|\\.)*"|'[^']*')*""")
"""What stands before the comment of a line of TOML, whose texts may have a # of their own."""


def run_page(directory: RunDirectory, plan: Plan) -> str:
    """Write a run, or a sweep, as a page, from its directory alone."""
    state = read_state(directory)
    document = plan.document
    sections = list(run_sections(directory, plan))
    curves = [
        replace(curve, title=f"{name}: {curve.title}")
        for name, curve in curves_of_runs(directory, plan)
    ]
    runs = [Section("runs over each other", "", [*curves])] if curves else []
    given, document_part = _document(directory, plan, state)
    parts = [
        *_named([*sections, *runs]),
        _Part("network and stages", f'<div class="tree">{_tree(plan_tree(plan))}</div>'),
        _Part("document", document_part),
        _Part("time and memory", _block(_costs(directory, plan, state))),
        _Part("how to reproduce it", _reproduction(directory, state, given)),
    ]
    swept = plan.document.sweep is not None and "seed" in plan.document.sweep.paths
    head = [
        f"started {begun} UTC" if (begun := started(state)) else "",
        state["state"],
        "" if swept else f"seed {document.seed}",
        document.precision,
        f"ceflow {_versions(state).get('ceflow', 'of unknown version')}",
    ]
    top = [_question(directory, state), _answers(sections), _trouble(directory, plan, state)]
    return _page(document.name, head, top, parts)


def write_page(directory: RunDirectory, plan: Plan) -> None:
    """Write the page of a run into its directory."""
    directory.write_text(PAGE, run_page(directory, plan))


def comparison_page(comparison: Comparison) -> str:
    """Write a comparison of runs as a page."""
    names = [run.name for run in comparison.runs]
    sections = [Section(title, "", blocks) for title, blocks in comparison.sections()]
    versions = [_versions(run.state) for run in comparison.runs]
    keys = dict.fromkeys(key for each in versions for key in each)
    rows = ((key, *(str(each.get(key, ABSENT)) for each in versions)) for key in keys)
    parts = [*_named(sections), _Part("versions", _block(Table(("", *names), tuple(rows))))]
    title = f"Comparison of {', '.join(names)}"
    return _page(title, [f"{len(names)} runs"], [], parts)


class _Part(NamedTuple):
    """A part of a page: its heading, its content, and what is said small beside the heading."""

    heading: str
    content: str
    small: str = ""


def _versions(state: Values) -> dict[str, Any]:
    """Return the versions of a run; a run of an older version has none."""
    versions = state.get("versions")
    return versions if isinstance(versions, dict) else {}


def _named(sections: Sequence[Section]) -> Iterator[_Part]:
    """Yield a part for each section."""
    drawings = sum(isinstance(b, Drawing) for section in sections for b in section.blocks)
    most = MOST_POINTS // max(drawings, 1)
    for section in sections:
        took = f" {seconds(section.seconds)}" if section.seconds else ""
        name = section.name or "runs side by side"
        kind = "" if section.kind == name or not section.name else section.kind
        content = "".join(_block(each, most) for each in section.blocks)
        yield _Part(name, content, f"{kind}{took}".strip())


def _block(content: ReportBlock, most: int = MOST_POINTS) -> str:
    drawn = block(content, most)
    if not isinstance(content, Table):
        return drawn
    return f'<div class="scroll" role="group" aria-label="table">{drawn}</div>'


def _question(directory: RunDirectory, state: Values) -> str:
    """Return what the document asks: the first paragraph of the comment at its top."""
    asked = []
    content = ""
    with suppress(Damaged):  # which the section of the document says
        content = read_document(directory, "spec.toml", state)
    for line in content.splitlines():
        if not line.startswith("#") or (asked and not line.strip("# ")):
            break
        asked += [] if line.startswith("#:") else [line.strip("# ")]
    return f'<p class="question">{text(" ".join(asked))}</p>' if any(asked) else ""


def _answers(sections: Iterable[Section]) -> str:
    """List what each of the sections, which are the first of a page, found: a sentence each."""
    items = "".join(
        f'<dt><a href="#{_anchor(index)}">{text(section.name)}</a></dt>'
        f"<dd>{text(_sentence(section.answer))}</dd>"
        for index, section in enumerate(sections)
        if section.answer
    )
    return f'<dl class="answer">{items}</dl>' if items else ""


def _sentence(answer: str) -> str:
    """Write an answer as a sentence; a name of a number keeps its first letter."""
    first = answer.split()[0]
    name = any(sign in first for sign in "._[=") or first.endswith(":")
    return f"{answer}." if name else f"{answer[0].upper()}{answer[1:]}."


def _trouble(directory: RunDirectory, plan: Plan, state: Values) -> str:
    """Say that a run is unfinished or damaged, and how to go on."""
    _, lost = known_results(directory, plan.document.stages)
    said = "".join(f"<p>{text(line)}</p>" for line in trouble(directory.path, state, lost))
    return f'<div class="trouble" role="note">{said}</div>' if said else ""


def _tree(tree: Tree) -> str:
    """Draw a tree as nested lists."""
    label = tree.label.plain if isinstance(tree.label, Text) else str(tree.label)
    below = "".join(f"<li>{_tree(child)}</li>" for child in tree.children)
    return f"{text(label)}{f'<ul>{below}</ul>' if below else ''}"


def _document(directory: RunDirectory, plan: Plan, state: Values) -> tuple[bool, str]:
    """Show the document as given, if it is the one that was run, and with every key and where its
    value came from. Tells whether the first is shown.
    """
    path = directory.path / "spec.toml"
    try:
        given = read_document(directory, "spec.toml", state)
        with_origins = dumps_origins(examined(stack(read(path))).document, plan.document)
    except (SpecError, ValueError) as error:  # damaged, or of another version
        why = _block(Note(f"the document as given cannot be shown: {error}", warning=True))
        return False, f"{why}<pre>{_toml(directory.read_text('resolved.toml'))}</pre>"
    resolved = with_origins.replace(f"{path}:", "spec.toml:")
    address = base64.b64encode(given.encode()).decode()
    link = (
        f'<a download="spec.toml" href="data:text/plain;base64,{address}">Save it as spec.toml</a>'
    )
    whole = "the same with every key, and where each value came from"
    return True, (
        f"<p>As given. {link}</p><pre>{_toml(given)}</pre>"
        f"<details><summary>{whole}</summary><pre>{_toml(resolved)}</pre></details>"
    )


def _toml(content: str) -> str:
    """Escape a document, with its comments apart."""
    lines = []
    for line in content.expandtabs(4).splitlines():
        code = COMMENT.match(line)
        at = code.end() if code else len(line)  # else a text of several lines
        note = f'<span class="note">{text(line[at:])}</span>' if at < len(line) else ""
        lines.append(f"{text(line[:at])}{note}")
    return "\n".join(lines)


def _costs(directory: RunDirectory, plan: Plan, state: Values) -> Table:
    """Tabulate the time and memory of each stage beside the forecast; of a sweep, of all runs."""
    forecast = state.get("forecast") or {}
    swept = plan.document.sweep is not None
    states = [state]
    if swept:
        states = []
        for run in plan.variants:
            below = RunDirectory(directory.path / run)
            with suppress(Damaged):  # the others took what they took
                states += [read_state(below)] if below.exists else []
    rows = []
    for name in plan.document.stages:
        found = [each["stages"][name] for each in states if name in each["stages"]]
        took = [each["seconds"] for each in found if each.get("seconds") is not None]
        peaks = [each["memory"] for each in found if each.get("memory") is not None]
        said = forecast.get(name, {})
        done = sum(each["state"] == "done" for each in found)
        what = f"{done} of {len(plan.variants)} runs" if swept else _state_of(found)
        longest = [_cell(max(took, default=None), seconds)] if swept else []
        rows.append(
            (
                name,
                what,
                _cell(sum(took) if took else None, seconds),
                *longest,
                _cell(said.get("seconds"), seconds),
                _cell(max(peaks, default=None), size),
                _cell(said.get("memory"), size),
            )
        )
    time = ("time in all", "longest", "forecast of that") if swept else ("time", "forecast")
    return Table(("stage", "done", *time, "peak memory", "forecast of it"), tuple(rows))


def _state_of(found: Sequence[Values]) -> str:
    return found[0]["state"] if found else "not begun"


def _cell(value: Any, write: Callable[[float], str]) -> str:
    return write(value) if isinstance(value, int | float) else ABSENT


def _reproduction(directory: RunDirectory, state: Values, given: bool) -> str:
    """Give the commands that do the run again, and the versions it was done with."""
    versions = _versions(state)
    packages = [f"{key}=={value}" for key, value in versions.items() if _is_package(key)]
    pinned = [f"python -m pip install {' '.join(packages)}"] if packages else []
    rows = tuple((key, str(value)) for key, value in versions.items())
    ceflow = f"ceflow {versions['ceflow']}" if "ceflow" in versions else "ceflow"
    save = "Save the document above as spec.toml" if given else "Save the resolved document"
    return (
        f"<p>{text(f'{save}; then, with {ceflow} installed:')}</p>"
        f"<pre>{text_lines([*pinned, 'ceflow run spec.toml'])}</pre>"
        + _block(Note("The random numbers follow from the seed alone."))
        + _block(Table(("", ""), (*rows, ("directory", str(directory.path)))))
        + _block(Note("ceflow explain WORD tells what a word of this page means."))
    )


def _is_package(name: str) -> bool:
    return name in ("jax", "equinox", "numpy", "scipy")


def text_lines(lines: Iterable[str]) -> str:
    return "\n".join(map(text, lines))


def _anchor(index: int) -> str:
    """Return the id of a part of the page; names of stages may be those of other parts."""
    return f"part-{index + 1}"


@cache
def _asset(name: str) -> str:
    return files("ceflow.report.page").joinpath(name).read_text(encoding="utf-8")


def _page(title: str, head: Sequence[str], top: Sequence[str], parts: Sequence[_Part]) -> str:
    """Join a page: what is said at the top, links to its sections, and these."""
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}';"
        " img-src data:"
    )
    links = (
        f'<li><a href="#{_anchor(index)}">{text(part.heading)}</a></li>'
        for index, part in enumerate(parts)
    )
    sections = (
        f'<section id="{_anchor(index)}"><h2>{text(part.heading)}'
        + (f" <small>{text(part.small)}</small>" if part.small else "")
        + f"</h2>{part.content}</section>"
        for index, part in enumerate(parts)
    )
    meta = " · ".join(text(each) for each in head if each)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<title>{text(title)} · ceflow</title>
<style>{_asset("page.css")}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the results</a>
<header><div class="head"><h1>{text(title)}</h1></div><p class="meta">{meta}</p></header>
<main id="content">
{"".join(top)}
<nav aria-label="sections"><ul>{"".join(links)}</ul></nav>
{"".join(sections)}
</main>
<footer>Written by ceflow. This file needs no other.</footer>
<script>{script}</script>
</body>
</html>
"""
