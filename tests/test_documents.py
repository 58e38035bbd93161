"""What the project shows its users must work: the README's blocks, the templates, the schema."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

import ceflow
from ceflow.cli import main
from ceflow.cli.init import KINDS
from ceflow.runs import results_schema
from ceflow.spec import Sweep, json_schema
from ceflow.spec.codes import CODES
from ceflow.spec.meanings import kinds, name_of
from ceflow.spec.terms import TERMS, known

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", blocks("toml"))
def test_specs_of_the_readme_run(block, tmp_path):
    document = ceflow.loads(block)
    if document.sweep:  # takes a minute: here two runs, of few networks in place of hundreds
        two: dict[str, Any] = {path: values[:2] for path, values in document.sweep.paths.items()}
        document = document.model_copy(update={"sweep": Sweep(**two)})
    fewer = {"flow": {"replicas": 4}, "train": {} if document.sweep else {"epochs": 1, "points": 2}}
    stages = {
        name: stage.model_copy(update=fewer.get(name, {}))
        for name, stage in document.stages.items()
    }
    document = document.model_copy(update={"stages": stages})
    assert ceflow.run(document, tmp_path / "run").results


@pytest.mark.parametrize("block", blocks("python"))
def test_python_of_the_readme_runs(block, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert ("multiplicity = 30" in capsys.readouterr().out) == ("print" in block)


def test_files_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize(("name", "schema"), [("ceflow", json_schema), ("results", results_schema)])
def test_schemas_in_the_repository_are_current(name, schema):
    stored = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert stored == schema(), "run `make reference`"


SPECS = [*(ROOT / "examples").rglob("*.toml"), *(ROOT / "ceflow/cli/templates").glob("*.toml")]


def errors_of(text: str) -> list[str]:
    import tomllib

    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.message for error in validator.iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_specs_of_the_project_follow_the_schema(path):
    assert errors_of(path.read_text(encoding="utf-8")) == []


MODEL = '[model]\ntype = "mlp"\n'


@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        MODEL + "widths = [0]\n",
        MODEL + "widhts = [3]\nwidths = [3]\n",
        MODEL + 'widths = [3]\nactivation = "reluu"\n',
        MODEL.replace("mlp", "mlpp") + "widths = [3]\n",
        "[model]\nwidths = [3]\n",
        MODEL + 'widths = [3]\n[stages.a]\ntype = "kernl"\n',
    ],
)
def test_the_schema_refuses_what_the_language_refuses(text):
    assert errors_of(text)
    with pytest.raises(ceflow.SpecError):
        ceflow.loads(text)


@pytest.mark.parametrize("widths", ["[inf]", '["inf", 3]', "[3]"])
def test_the_schema_takes_infinite_widths(widths):
    assert errors_of(MODEL + f"widths = {widths}\n") == []


def test_every_key_of_the_schema_is_described():
    schema = json_schema()
    tables = [schema, *schema["$defs"].values()]
    for table in tables:
        for key, value in table.get("properties", {}).items():
            assert value.get("description"), key


@pytest.mark.parametrize("kind", KINDS)
def test_templates_are_sound_and_written_once(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(main, ["init", kind]).exit_code == 0
    assert runner.invoke(main, ["check", f"{kind}.toml"]).exit_code == 0
    again = runner.invoke(main, ["init", kind])
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_a_ready_made_network_is_written_to_edit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(main, ["init", "network", "--like", "myrtle-5"]).exit_code == 0
    copied, extended = ceflow.load("myrtle-5.toml"), ceflow.loads('extends = "ceflow:myrtle-5"')
    assert copied == extended
    assert "myrtle-5" in runner.invoke(main, ["init", "--help"]).output
    refused = runner.invoke(main, ["init", "search", "--like", "myrtle-5"])
    assert (refused.exit_code, "init network --like myrtle-5" in refused.stderr) == (2, True)


def test_the_hook_of_pre_commit_checks_a_folder(tmp_path, monkeypatch):
    (hook,) = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8").split("- id: ")[1:]
    entry = next(line for line in hook.splitlines() if "entry:" in line).partition(": ceflow ")[2]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text("ceflow = 1\n", encoding="utf-8")
    result = CliRunner().invoke(main, entry.split())
    assert (hook.splitlines()[0], result.exit_code) == ("ceflow-check", 2)
    assert "CE102" in result.stderr


def test_the_first_spec_is_the_first_example():
    example = (ROOT / "examples/quickstart.toml").read_text(encoding="utf-8")
    template = (ROOT / "ceflow/cli/templates/quickstart.toml").read_text(encoding="utf-8")
    assert example.partition("\n")[2] == template  # where the schema is, only the example knows


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained_with_parts_that_parse(code):
    import tomllib

    result = CliRunner().invoke(main, ["explain", code.lower()])
    assert result.exit_code == 0
    assert CODES[code].title in result.output
    tomllib.loads(CODES[code].right)


def test_every_code_that_the_source_gives_is_listed_and_none_is_unused():
    sources = [path for path in (ROOT / "ceflow").rglob("*.py") if path.name != "codes.py"]
    used = {
        code for path in sources for code in re.findall(r'"(CE\d{3})"', path.read_text("utf-8"))
    }
    assert used == set(CODES)


def test_an_unknown_code_is_refused():
    assert CliRunner().invoke(main, ["explain", "CE999"]).exit_code == 2


def test_words_are_explained_by_any_of_their_names():
    forms = [form for name, term in TERMS.items() for form in (name, *term.also)]
    assert len({form.lower() for form in forms}) == len(forms)
    for form in forms:
        found = CliRunner().invoke(main, ["explain", form.lower()])
        assert found.exit_code == 0
        name, _ = known(form) or ("nothing", None)
        assert found.stdout.startswith(name)


def explained(*words: str) -> str:
    found = CliRunner().invoke(main, ["explain", *words])
    assert found.exit_code == 0
    return found.stdout


def test_words_of_documents_are_explained_from_their_classes():
    for what, kind in kinds():
        said = explained(name_of(kind))
        if name_of(kind) not in TERMS:
            assert f"{name_of(kind)}: a kind of {what}\n" in said
    assert "ridge: a key of kernel\n\nRidge of a kernel regression" in explained("ridge")
    assert explained("learning", "curve") == explained("learning curve")
    for word in ("regression", "accuracy", "trace"):
        assert explained(word)
    refused = CliRunner().invoke(main, ["explain", "networkk"])
    assert "did you mean network?" in refused.stderr


@pytest.mark.parametrize("name", TERMS)
def test_the_chapter_of_a_word_has_its_section(name):
    chapter, _, section = TERMS[name].chapter.partition("#")
    heads = re.findall("^#+ (.*)$", (ROOT / "spec" / chapter).read_text(), re.M)
    assert section in {re.sub("[^a-z0-9-]", "", head.lower().replace(" ", "-")) for head in heads}
