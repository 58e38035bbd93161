"""Every notebook of examples/ runs, shows something in each of its cells, and keeps no outputs."""

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOKS = sorted(path.name for path in (EXAMPLES / "notebooks").glob("*.ipynb"))


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Execute a cell, and return the value of its last line if that is an expression."""
    *lines, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        lines, last = [*lines, last], None
    exec(compile(ast.Module(lines, []), "cell", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def shown(value: Any) -> str:
    """What a notebook shows of a value."""
    as_html = value._repr_html_() if hasattr(value, "_repr_html_") else None
    return as_html or repr(value)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_keeps_no_outputs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(EXAMPLES / "quickstart.toml", tmp_path)
    monkeypatch.chdir(tmp_path / "notebooks")
    notebook = json.loads((EXAMPLES / "notebooks" / name).read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    names, value = dict[str, Any](), None
    for cell in cells:
        value = run_cell("".join(cell["source"]), names)
        assert capsys.readouterr().out or shown(value)
    if name == "first-look.ipynb":
        whole = names["plan"].root.parameters
        assert names["best"].primal.parameters == pytest.approx(whole, rel=0.05)  # whole members
        assert names["kernel"].shape == (40, 40)
        assert shown(names["run"].results).count("<table") >= 2
        assert "first-look-other" in shown(value)
