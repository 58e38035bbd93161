"""A run, a sweep or a comparison as one HTML file, which needs no other and no network.

`shell` is the HTML around the parts of a page, with `page.css` and `page.js` inside; what the page
shows is there without the script too. `document` shows the document, and how to run it again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.text import Text
from rich.tree import Tree

from ceflow.blocks import Drawing, Note, ReportBlock, Table
from ceflow.blocks.html import block, text
from ceflow.compiler import Plan
from ceflow.report.comparing import Comparison
from ceflow.report.costs import cost_table
from ceflow.report.figures import curves_of_runs
from ceflow.report.layers import Row
from ceflow.report.page.document import document_and_reproduction, question
from ceflow.report.page.shell import Part, anchor, whole_page
from ceflow.report.sections import Section, run_sections
from ceflow.report.terminal import plan_tree
from ceflow.report.text import ABSENT, of_sessions, seconds
from ceflow.report.trouble import trouble
from ceflow.runs import known_results
from ceflow.runs.record import read_state, started
from ceflow.stages import Values
from ceflow.store import PAGE, RunDirectory

MOST_POINTS = 40_000
"""Largest number of points of all charts of a page, which keeps it below 2 MB."""


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
    versions = _versions(state)
    shown, commands = document_and_reproduction(directory, plan, state, versions)
    parts = [
        *_parts([*sections, *runs]),
        Part("network and stages", f'<div class="tree">{_tree(plan_tree(plan))}</div>'),
        Part("document", shown),
        Part("time and memory", _block(cost_table(directory, plan, state))),
        Part("how to reproduce it", commands + _versions_table(versions, directory)),
    ]
    sweeps_seed = document.sweep is not None and "seed" in document.sweep.paths
    head = [
        f"started {begun} UTC" if (begun := started(state)) else "",
        state["state"],
        "" if sweeps_seed else f"seed {document.seed}",
        document.precision,
        f"ceflow {versions.get('ceflow', 'of unknown version')}",
    ]
    top = [question(directory, state), _answers(sections), _trouble(directory, plan, state)]
    return whole_page(document.name, head, top, parts)


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
    parts = [*_parts(sections), Part("versions", _block(Table(("", *names), tuple(rows))))]
    title = f"Comparison of {', '.join(names)}"
    return whole_page(title, [f"{len(names)} runs"], [], parts)


def _versions(state: Values) -> Values:
    """Return the versions of a run; a run of an older version has none."""
    versions = state.get("versions")
    return versions if isinstance(versions, dict) else {}


def _versions_table(versions: Values, directory: RunDirectory) -> str:
    rows = tuple((key, str(value)) for key, value in versions.items())
    return "".join(
        [
            _block(Table(("", ""), (*rows, ("directory", str(directory.path))))),
            _block(Note("ceflow explain WORD tells what a word of this page means.")),
        ]
    )


def _parts(sections: Sequence[Section]) -> Iterator[Part]:
    """Yield a part for each section."""
    drawings = sum(isinstance(b, Drawing) for section in sections for b in section.blocks)
    most = MOST_POINTS // max(drawings, 1)
    for section in sections:
        sessions = of_sessions(section.sessions)
        time = f" {seconds(section.seconds)}{sessions}" if section.seconds else ""
        name = section.name or "runs side by side"
        kind = "" if section.kind == name or not section.name else section.kind
        content = "".join(_block(each, most) for each in section.blocks)
        yield Part(name, content, f"{kind}{time}".strip())


def _block(content: ReportBlock, most: int = MOST_POINTS) -> str:
    drawn = block(content, most)
    if not isinstance(content, Table):
        return drawn
    return f'<div class="scroll" role="group" aria-label="table">{drawn}</div>'


def _answers(sections: Sequence[Section]) -> str:
    """List what each of the sections, which are the first of a page, found: a sentence each."""
    items = "".join(
        f'<dt><a href="#{anchor(index)}">{text(section.name)}</a></dt>'
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
    label = tree.label.plain if isinstance(tree.label, Text | Row) else str(tree.label)
    below = "".join(f"<li>{_tree(child)}</li>" for child in tree.children)
    return f"{text(label)}{f'<ul>{below}</ul>' if below else ''}"
