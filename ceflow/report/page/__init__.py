"""A run, a sweep or a comparison as one HTML file, which needs no other and no network.

`page.css` and `page.js` stand in the file; what it shows is there without the script too.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files

from rich.text import Text
from rich.tree import Tree

from ceflow.blocks import Cell, Drawing, Note, ReportBlock, Table
from ceflow.blocks.html import block, text
from ceflow.compiler import Plan
from ceflow.report.comparing import Comparison
from ceflow.report.figures import curves_of_runs
from ceflow.report.sections import Section, run_sections
from ceflow.report.terminal import plan_tree
from ceflow.report.text import seconds, size
from ceflow.report.trouble import standing, trouble
from ceflow.runs import known_results
from ceflow.runs.record import read_state
from ceflow.spec import SpecError, dumps_origins, examined, stack
from ceflow.spec.text import read
from ceflow.stages import Values
from ceflow.store import PAGE, RunDirectory

MOST_POINTS = 40_000
"""Largest number of points of all charts of a page, which keeps it below 2 MB."""

ABSENT = "-"
"""Text in place of a number that is not known."""


def run_page(directory: RunDirectory, plan: Plan) -> str:
    """Write a run, or a sweep, as a page, from its directory alone."""
    state = read_state(directory)
    document = plan.document
    sections = list(run_sections(directory, plan))
    runs = [Section("runs over each other", "", [c for _, c in curves_of_runs(directory, plan)])]
    shown = [*sections, *(each for each in runs if each.blocks)]
    parts = {
        **dict(_named(shown)),
        "network and stages": f'<div class="tree">{_tree(plan_tree(plan))}</div>',
        "document": _document(directory, plan),
        "time and memory": _block(_costs(state)),
        "how to reproduce it": _reproduction(directory, state),
    }
    head = [
        f"started {state['started'][:16].replace('T', ' ')} UTC" if "started" in state else "",
        state["state"],
        f"seed {document.seed}",
        document.precision,
        f"ceflow {state.get('versions', {}).get('ceflow', 'of unknown version')}",
    ]
    top = [_question(directory), _answers(sections), *_trouble(directory, plan, state)]
    return _page(document.name, head, top, parts)


def write_page(directory: RunDirectory, plan: Plan) -> None:
    """Write the page of a run into its directory."""
    directory.write_text(PAGE, run_page(directory, plan))


def comparison_page(comparison: Comparison) -> str:
    """Write a comparison of runs as a page."""
    names = [run.name for run in comparison.runs]
    sections = [Section(title, "", blocks) for title, blocks in comparison.sections()]
    versions = [run.state.get("versions", {}) for run in comparison.runs]
    keys = dict.fromkeys(key for each in versions for key in each)
    rows = ((key, *(str(each.get(key, ABSENT)) for each in versions)) for key in keys)
    parts = dict(_named(sections)) | {"versions": _block(Table(("", *names), tuple(rows)))}
    title = f"Comparison of {', '.join(names)}"
    return _page(title, [f"{len(names)} runs"], [], parts)


def _named(sections: Sequence[Section]) -> Iterator[tuple[str, str]]:
    """Yield the heading and the content of each section; headings differ."""
    drawings = sum(isinstance(b, Drawing) for section in sections for b in section.blocks)
    most = MOST_POINTS // max(drawings, 1)
    for section in sections:
        took = f" {seconds(section.seconds)}" if section.seconds else ""
        name = section.name or "runs side by side"
        kind = "" if section.kind == name or not section.name else section.kind
        small = f" <small>{text(f'{kind}{took}'.strip())}</small>" if kind or took else ""
        yield f"{text(name)}{small}", "".join(_block(each, most) for each in section.blocks)


def _block(content: ReportBlock, most: int = MOST_POINTS) -> str:
    drawn = block(content, most)
    if not isinstance(content, Table):
        return drawn
    return f'<div class="scroll" role="group" aria-label="table">{drawn}</div>'


def _question(directory: RunDirectory) -> str:
    """Return what the document asks: the first paragraph of the comment at its top."""
    lines = directory.read_text("spec.toml").splitlines() if directory.has("spec.toml") else []
    asked = []
    for line in lines:
        if not line.startswith("#") or (asked and not line.strip("# ")):
            break
        asked += [] if line.startswith("#:") else [line.strip("# ")]
    return f'<p class="question">{text(" ".join(asked))}</p>' if any(asked) else ""


def _answers(sections: Iterable[Section]) -> str:
    """List what each stage found, in a sentence each."""
    known = [(section.name, section.answer) for section in sections if section.answer]
    items = "".join(
        f'<dt><a href="#{_anchor(name)}">{text(name)}</a></dt><dd>{text(_sentence(answer))}</dd>'
        for name, answer in known
    )
    return f'<dl class="answer">{items}</dl>' if known else ""


def _sentence(answer: str) -> str:
    return f"{answer[0].upper()}{answer[1:]}." if not answer.startswith("E[") else f"{answer}."


def _trouble(directory: RunDirectory, plan: Plan, state: Values) -> Iterator[str]:
    """Say that a run is unfinished or damaged, and how to go on."""
    _, lost = known_results(directory, plan.document.stages)
    if state["state"] == "done" and not lost:
        return
    lines = [standing(directory.path, state), *trouble(state, lost)]
    said = "".join(f"<p>{text(line)}</p>" for line in lines)
    yield f'<div class="trouble" role="note">{said}</div>'


def _tree(tree: Tree) -> str:
    """Draw a tree as nested lists."""
    label = tree.label.plain if isinstance(tree.label, Text) else str(tree.label)
    below = "".join(f"<li>{_tree(child)}</li>" for child in tree.children)
    return f"{text(label)}{f'<ul>{below}</ul>' if below else ''}"


def _document(directory: RunDirectory, plan: Plan) -> str:
    """Show the document as given, and with every key and where its value came from."""
    path = directory.path / "spec.toml"
    try:
        given = directory.read_text("spec.toml")
        with_origins = dumps_origins(examined(stack(read(path))).document, plan.document)
    except (SpecError, ValueError) as error:  # damaged, or of another version
        return _block(Note(f"the document cannot be read: {error}", warning=True))
    resolved = with_origins.replace(f"{path}:", "spec.toml:")
    address = base64.b64encode(given.encode()).decode()
    link = (
        f'<a download="spec.toml" href="data:text/plain;base64,{address}">Save it as spec.toml</a>'
    )
    whole = "the same with every key, and where each value came from"
    return (
        f"<p>As given. {link}</p><pre>{_toml(given)}</pre>"
        f"<details><summary>{whole}</summary><pre>{_toml(resolved)}</pre></details>"
    )


def _toml(content: str) -> str:
    """Escape a document, with its comments apart where they can be told without parsing it."""
    lines = []
    for line in content.splitlines():
        value, mark, note = line.partition(" # " if '"' not in line else '" # ')
        if line.lstrip().startswith("#"):
            lines.append(f'<span class="note">{text(line)}</span>')
        elif mark and '"' not in note:
            start = text(value + mark[: mark.index("#")])
            lines.append(f'{start}<span class="note"># {text(note)}</span>')
        else:
            lines.append(text(line))
    return "\n".join(lines)


def _costs(state: Values) -> Table:
    """Tabulate the time and memory of each stage beside the forecast."""
    forecast = state.get("forecast", {})
    heads = ("stage", "state", "time", "forecast", "peak memory", "forecast of it")
    rows = []
    for name, stage in state["stages"].items():
        said = forecast.get(name, {})
        cells: list[Cell] = [ABSENT] * 4
        for place, (values, key, write) in enumerate(
            [
                (stage, "seconds", seconds),
                (said, "seconds", seconds),
                (stage, "memory", size),
                (said, "memory", size),
            ]
        ):
            if values.get(key) is not None:
                cells[place] = write(values[key])
        rows.append((name, stage["state"], *cells))
    return Table(heads, tuple(rows))


def _reproduction(directory: RunDirectory, state: Values) -> str:
    """Give the commands that do the run again, and the versions it was done with."""
    versions: Mapping[str, str] = state.get("versions", {})
    packages = [f"{k}=={v}" for k, v in versions.items() if k not in ("python",) and _is_package(k)]
    commands = [
        *([f"python -m pip install {' '.join(packages)}"] if packages else []),
        "ceflow run spec.toml",
    ]
    rows = tuple((key, str(value)) for key, value in versions.items())
    return (
        "<p>Save the document above as spec.toml; then, with the versions of this run:</p>"
        f"<pre>{text_lines(commands)}</pre>"
        + _block(Note("The random numbers follow from the seed alone."))
        + _block(Table(("", ""), (*rows, ("directory", str(directory.path)))))
    )


def _is_package(name: str) -> bool:
    return name in ("ceflow", "jax", "equinox", "numpy", "scipy")


def text_lines(lines: Iterable[str]) -> str:
    return "\n".join(map(text, lines))


def _anchor(heading: str) -> str:
    """Return the id of a section from the name of it, which is unlike those of others."""
    return "s-" + "".join(c if c.isalnum() else f"-{ord(c):x}-" for c in heading)


@cache
def _asset(name: str) -> str:
    return files("ceflow.report.page").joinpath(name).read_text(encoding="utf-8")


def _page(title: str, head: Sequence[str], top: Sequence[str], parts: Mapping[str, str]) -> str:
    """Join a page: what is said at the top, links to its sections, and these."""
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}';"
        " img-src data:"
    )
    links, sections = [], []
    for heading, content in parts.items():
        name = heading.partition(" <small>")[0]
        anchor = _anchor(name)
        links.append(f'<li><a href="#{anchor}">{name}</a></li>')
        sections.append(f'<section id="{anchor}"><h2>{heading}</h2>{content}</section>')
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
