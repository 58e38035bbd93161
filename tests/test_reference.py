"""The language reference in spec/: its documents run, its errors are the real ones, no key is left
out, and the types, choices and defaults in its tables are those of the schema."""

import json
import math
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

import ceflow
from ceflow.runs import prepare, results_schema
from ceflow.spec import (
    Bottleneck,
    Budget,
    Cifar10,
    Circle,
    Document,
    Ensemble,
    Flow,
    Gaussian,
    Idx,
    Kernel,
    LearningRates,
    Mlp,
    Npz,
    Search,
    Train,
    Variance,
    Verify,
    json_schema,
)
from ceflow.spec.codes import CODES
from ceflow.stages import KINDS, Record

FOLDER = Path(__file__).parents[1] / "spec"
CHAPTERS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
FENCES = {"toml", "toml fragment", "toml wrong", "text", "json", "sh", "python"}
EXTERNAL = (Idx, Cifar10, Npz)
"""Sources of data that need not be here."""
MEMORY = 16e9
"""Bytes of memory that the machine of the examples has."""
SHOWN_FOLDER = "/home/ada"
"""What the reference calls the folder of its documents."""
SCHEMA = json_schema()
REQUIRED = {"required": Document.model_json_schema()["required"]}
"""Of a document in the end; one that extends another may leave it to that: SCHEMA does not ask."""
TABLES = {"Document": SCHEMA | REQUIRED, **SCHEMA["$defs"]}
"""Every table of the language, by the name of its class."""


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


def of_fence(*fences: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{block.chapter}:{block.line}")
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


def check(path: str) -> Document:
    """What `ceflow check` does."""
    document = ceflow.load(path)
    if not isinstance(document.data, EXTERNAL):
        prepare(ceflow.compile(document))
    return document


@pytest.mark.parametrize("block", of_fence("toml"))
def test_documents_of_the_reference_run(block, folder):
    (folder / "spec.toml").write_text(block.text)
    document = check("spec.toml")
    if not isinstance(document.data, EXTERNAL):
        state = ceflow.run(document, folder / "run").path / "run.json"
        assert json.loads(state.read_text())["state"] == "done"


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


def tag_of(table: dict[str, Any]) -> str | None:
    """The kind that a table's `type` or `source` says it is of."""
    tags = [key["const"] for key in table["properties"].values() if "const" in key]
    return tags[0] if tags else None


def section_of(name: str) -> str:
    """The one section that describes a table of the language."""
    title = (
        tag_of(TABLES[name])
        or {
            "Document": "A document",
            "Sweep": "[sweep]",
            "Budget": "budget",
            "Collect": "[collect]",
            "Stop": "stop",
            "LearningRates": "learning_rate",
        }[name]
    )
    every = [sections_of(chapter) for chapter in CHAPTERS]
    (section,) = [sections[title] for sections in every if title in sections]
    return section


def rows_of(section: str) -> dict[str, tuple[str, str, str]]:
    """Type, default and meaning of the keys in the first table of a section."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", section, re.M)
    return {key: (kind, default, meaning) for key, kind, default, meaning in rows}


KEYS = [(name, key) for name, table in TABLES.items() for key in table["properties"]]


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_every_key_is_described_with_its_choices_and_default(name, key):
    schema = TABLES[name]["properties"][key]
    kind, default, meaning = rows_of(section_of(name))[key]
    assert meaning
    if "enum" in schema:
        assert set(schema["enum"]) == set(re.findall(r'`"(.*?)"`', kind))
    if "const" in schema:
        assert kind == f'`"{schema["const"]}"`'
    elif key in TABLES[name].get("required", ()):
        assert default == "required"
    else:
        assert default == shown_default(schema)


def shown_default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    return "none" if value in (None, {}) else f"`{json.dumps(value)}`"


@pytest.mark.parametrize("name", TABLES)
def test_no_key_is_described_that_the_language_has_not(name):
    assert set(rows_of(section_of(name))) == set(TABLES[name]["properties"])


EVERY_KIND = Document(
    data=Circle(points=5),
    model=Mlp(widths=[16, 16]),
    stages={
        "alpha": Variance(ratios=[0.25, 0.5, 1.0]),
        "best": Search(
            variance="alpha",
            cost="latency",
            budget=Budget(parameters=100, flops=200),
            compare=["3x8d"],
        ),
        "infinite": Kernel(),
        "drawn": Kernel(method="empirical", draws=2, reference="infinite", spectrum=True),
        "mean": Kernel(method="mean", draws=2, error=1e-6, reference="infinite"),
        "tiles": Kernel(tile=2, alignment=True, ridge=0.1),
        "flow": Flow(
            time=1.0,
            points=2,
            record=["drift", "kernel", "alignment", "spectrum", "derivatives"],
            replicas=4,
            steps=5,
        ),
        "entries": Flow(time=1.0, points=1, entries=[[0, 1]], start="flow", replicas=4, steps=5),
    },
)
"""A run of it has every result that there is of networks without a bottleneck."""
OF_ENSEMBLES = ("lemma-1", "theorem-1")
OF_BOTTLENECKS = ("lemma-3.1", "theorem-3.2")  # others have no more keys
WIDE = Mlp(widths=[math.inf], weight_variance=1.0)
EVERY_BOTTLENECK = Document(
    data=Gaussian(inputs=3, train=5, test=2),
    model=Bottleneck(size=2, encoder=WIDE, decoder=WIDE),
    stages={
        "train": Train(steps=2, width=20, record=["drift", "embedding"]),
        "rates": Train(steps=2, width=20, learning_rate=LearningRates(encoder=99.0, decoder=1.0)),
        "functions": Flow(time=1.0, points=1, width=20),
        "verify": Verify(claims=OF_BOTTLENECKS, width=20, draws=20, points=3, steps=2),
    },
)
"""A run of it has every result that there is of networks with one."""
EVERY_ENSEMBLE = Document(
    model=Ensemble(multiplicity=1, member=Mlp(widths=[8], activation="erf", inputs=2, outputs=1)),
    stages={"ensembles": Verify(claims=OF_ENSEMBLES, draws=20, points=3, steps=2)},
)
"""The same of ensembles."""
EVERY = (EVERY_KIND, EVERY_BOTTLENECK, EVERY_ENSEMBLE)
STAGES = [(every, name) for every in EVERY for name in every.stages]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    return ceflow.run(EVERY_KIND, tmp_path_factory.mktemp("reference") / "run")


@pytest.fixture(scope="module")
def results(done: ceflow.Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of all stages of all."""
    found = dict(done.results)
    for every in EVERY[1:]:
        found |= ceflow.run(every, tmp_path_factory.mktemp("reference") / "run").results
    return found


def keys_in(values: Any) -> set[str]:
    """The keys of results at any depth; a model in them is a table of the language."""
    if isinstance(values, Record):
        return keys_in(values.table())
    if isinstance(values, list):
        return set().union(*map(keys_in, values))
    if not isinstance(values, dict):
        return set()
    inner = (keys_in(value) for key, value in values.items() if key != "model")
    return set(values).union(*inner)


@pytest.mark.parametrize(("every", "stage"), STAGES, ids=[name for _, name in STAGES])
def test_every_key_of_a_result_is_described(results, every, stage):
    section = sections_of("run-directory")[f"{every.stages[stage].type} results"]
    assert keys_in(results[stage]) <= set(re.findall(r"`([\w.-]+)`", section))


def test_results_follow_their_schema(done):
    validator = jsonschema.Draft202012Validator(results_schema())
    found = json.loads((done.path / "results.json").read_text())
    assert [error.message for error in validator.iter_errors(found)] == []


def test_every_kind_of_stage_is_run_for_its_results():
    assert {type(every.stages[name]) for every, name in STAGES} == set(KINDS)


def test_every_key_of_the_state_is_described(done):
    state = json.loads((done.path / "run.json").read_text())
    files = {file for part in (state, *state["stages"].values()) for file in part["files"]}
    named = {*state["versions"], *EVERY_KIND.stages, *files}
    section = sections_of("run-directory")["run.json"]
    assert keys_in(state) - named <= set(re.findall(r"`(\w+)`", section))


def test_every_file_of_a_run_is_described(done):
    section = sections_of("run-directory")["Files"]
    assert {path.name for path in done.path.iterdir()} <= set(re.findall(r"`([\w.-]+)/?", section))


LIMITS = {
    "a document's text, with those it extends": ("text", "LARGEST_TEXT"),
    "documents in a chain of `extends`": ("origin", "LONGEST"),
    "`--set` in one command": ("origin", "MOST_SETTINGS"),
    "tables and arrays inside each other": ("text", "DEEPEST"),
    "counts: widths, examples, draws, members": ("base", "LARGEST"),
    "runs of a sweep": ("sweep", "MOST_RUNS"),
    "paths of a sweep": ("sweep", "MOST_PATHS"),
    "values in all documents of a sweep together": ("sweep", "MOST_VALUES"),
    "faults shown": ("diagnostics", "MOST"),
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
