"""The language reference in spec/: its documents run, what they leave is described, and its errors
are the real ones. Its tables are generated (`tools/reference.py`)."""

import json
import re
import tomllib
from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

import ceflow
from ceflow.runs import prepare, results_schema
from ceflow.spec import Document
from ceflow.spec.codes import CODES

FOLDER = Path(__file__).parents[1] / "spec"
CHAPTERS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
FENCES = {"toml", "toml fragment", "toml wrong", "text", "json", "sh", "python"}
MEMORY = 16e9
"""Bytes of memory that the machine of the examples has."""
SHOWN_FOLDER = "/home/ada"
"""What the reference calls the folder of its documents."""
RESULTS = jsonschema.Draft202012Validator(results_schema())


class Block(NamedTuple):
    """A fenced block: its chapter and line, the words at its fence, its text."""

    chapter: str
    line: int
    fence: str
    text: str


def blocks_of(chapter: str) -> Iterator[Block]:
    for found in re.finditer(r"^```([^\n]*)\n(.*?)^```$", CHAPTERS[chapter], re.M | re.S):
        line = CHAPTERS[chapter].count("\n", 0, found.start()) + 1
        yield Block(chapter, line, found[1], found[2])


BLOCKS = [block for chapter in CHAPTERS for block in blocks_of(chapter)]


def of_fence(*fences: str, sweeps: str = "quick") -> list[Any]:
    """The blocks with these fences; `sweeps` says whether the runs of a sweep are slow."""
    return [
        pytest.param(
            block,
            id=f"{block.chapter}:{block.line}",
            marks=pytest.mark.slow if sweeps == "slow" and "[sweep]" in block.text else (),
        )
        for block in BLOCKS
        if block.fence in fences
    ]


def neighbour(block: Block, step: int) -> Block:
    """The block before (-1) or behind (1) another."""
    return BLOCKS[BLOCKS.index(block) + step]


def sections_of(chapter: str) -> dict[str, str]:
    """The sections of a chapter by their titles, without backticks."""
    _, *parts = re.split(r"^##+ (.*)\n", CHAPTERS[chapter], flags=re.M)
    titles = [title.replace("`", "") for title in parts[::2]]
    return dict(zip(titles, parts[1::2], strict=True))


def file_name(text: str) -> str | None:
    """The name a document gives itself in a comment on its first line."""
    named = re.match(r"# (\S+\.toml)\n", text)
    return named[1] if named else None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the reference, with the files that its blocks speak of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CEFLOW_DATA", raising=False)
    monkeypatch.setattr("ceflow.runs.machine.memory", lambda: MEMORY)
    for block in BLOCKS:
        if block.fence == "toml" and (name := file_name(block.text)):
            (tmp_path / name).write_text(block.text)
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 the first bytes of an archive")
    (tmp_path / "pickled.npz").write_bytes(b"\x80\x04\x95")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("")
    return tmp_path


def external(document: Document) -> bool:
    """Whether its data are in files, which need not be here."""
    return document.data is not None and document.data.in_files


def check(path: str) -> Document:
    """What `ceflow check` does."""
    document = ceflow.load(path)
    if not external(document):
        prepare(ceflow.compile(document))
    return document


def keys_in(values: Any, named: Collection[str]) -> set[str]:
    """The keys of tables at any depth, but for those that are names of something."""
    if isinstance(values, list):
        return set().union(*(keys_in(each, named) for each in values))
    if not isinstance(values, dict):
        return set()
    inner = (keys_in(value, named) for value in values.values())
    return (set(values) - set(named)).union(*inner)


def words_of(title: str) -> set[str]:
    """What a section about the directory of a run has as code."""
    section = sections_of("run-directory")[title]
    return set(re.findall(r"`([\w.-]+)/?", section))


@pytest.mark.parametrize("block", of_fence("toml"))
def test_documents_of_the_reference_are_sound(block, folder):
    (folder / "spec.toml").write_text(block.text)
    assert check("spec.toml")


@pytest.mark.parametrize("block", of_fence("toml", sweeps="slow"))
def test_documents_of_the_reference_run_and_what_they_leave_is_described(block, folder):
    (folder / "spec.toml").write_text(block.text)
    document = check("spec.toml")
    if external(document):
        return
    path = ceflow.run(document, folder / "run").path
    state = json.loads((path / "run.json").read_text())
    found = json.loads((path / "results.json").read_text())
    runs = set(found.get("runs", ()))
    files = {file for part in (state, *state["stages"].values()) for file in part["files"]}
    named = {*state["versions"], *document.stages, *files}
    assert state["state"] == "done"
    assert keys_in(state, named) <= words_of("run.json")
    left = {each.name for each in path.iterdir()} - runs
    stages = re.compile("|".join(document.stages) or "$^")
    assert {stages.sub("NAME", each) for each in left} <= words_of("Files")
    assert [error.message for error in RESULTS.iter_errors(found)] == []


@pytest.mark.parametrize("block", of_fence("toml fragment"))
def test_fragments_of_the_reference_parse(block):
    assert tomllib.loads(block.text)


def run_into_notes(path: str) -> None:
    """What `ceflow run PATH --out notes` does; the folder `notes` is not empty."""
    document = ceflow.load(path)
    prepare(ceflow.compile(document))
    ceflow.run(document, "notes")


@pytest.mark.parametrize("block", of_fence("toml wrong"))
def test_errors_of_the_reference_are_those_given(block, folder):
    (folder / "spec.toml").write_text(block.text)
    shown = neighbour(block, 1)
    assert shown.fence == "text"
    assert shown.line == block.line + block.text.count("\n") + 2
    with pytest.raises(ceflow.SpecError) as caught:
        run_into_notes("spec.toml")
    assert shown.text.rstrip("\n") == str(caught.value).replace(str(folder), SHOWN_FOLDER)


@pytest.mark.parametrize("block", of_fence("python"))
def test_programs_of_the_reference_run(block, folder):
    exec(compile(block.text, f"{block.chapter}.md", "exec"), {})


@pytest.mark.parametrize("block", of_fence("json"))
def test_json_documents_say_what_the_toml_before_them_says(block, folder):
    (folder / "spec.json").write_text(block.text)
    assert ceflow.load("spec.json") == ceflow.loads(neighbour(block, -1).text)


def test_fences_are_of_the_kinds_that_are_tested():
    assert {block.fence for block in BLOCKS} == FENCES


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_section_with_an_error_of_it(code):
    section = sections_of("errors")[code]
    assert section.lower().startswith(CODES[code].title.lower())
    assert "```toml wrong" in section
    assert f"{code}: " in section


LIMITS = {
    "a document's text, with those it extends": ("text", "LARGEST_TEXT"),
    "documents in a chain of `extends`": ("origin", "LONGEST_CHAIN"),
    "`--set` in one command": ("origin", "MOST_SETTINGS"),
    "tables and arrays inside each other": ("text", "DEEPEST_NESTING"),
    "counts: widths, examples, draws, members": ("base", "LARGEST_COUNT"),
    "runs of a sweep": ("sweep", "MOST_RUNS"),
    "paths of a sweep": ("sweep", "MOST_PATHS"),
    "values in all documents of a sweep together": ("sweep", "MOST_VALUES"),
    "faults shown": ("diagnostics", "MOST_FAULTS"),
}
"""Where each limit of the language stands in `ceflow.spec`."""


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_are_those_of_the_code(limit):
    module, name = LIMITS[limit]
    row = re.search(rf"^\| {re.escape(limit)} \| (.*?) \|", CHAPTERS["README"], re.M)
    assert row
    number = row[1].replace(",", "").replace("^", "**").replace("KiB", "* 2**10")
    assert eval(number) == getattr(import_module(f"ceflow.spec.{module}"), name)


def test_links_of_the_reference_lead_somewhere():
    for chapter, text in CHAPTERS.items():
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert "://" in target or (FOLDER / target).exists(), f"{chapter}: {target}"
