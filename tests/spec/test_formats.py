"""A text in another format is known for what it is."""

from typing import Any

import pytest

from ceflow.spec import SpecError, loads

YAML = "# a study\nname: mine\nmodel:\n  type: mlp\n  widths: [3, 3]\nstages:\n  - type: kernel\n"
TOML = '[model]\ntype = "mlp"\nwidths = [3]\n'
LOOKS = {
    "YAML": YAML,
    "YAML of documents": "---\nmodel:\n  type: mlp\n...\n",
    "YAML that is a list": "- a\n- b\n",
    "Python": "import ceflow\n\nfrom math import inf\nprint(ceflow)\nceflow.run(3)\n",
    "INI": "[model]\ntype: mlp\n; why\n",
    "JSON": '{"model": {"type": "mlp"}}',
    "XML": "<model>\n  <type>mlp</type>\n</model>\n",
}


def the_fault(text, syntax: Any = "toml"):
    with pytest.raises(SpecError) as caught:
        loads(text, syntax)
    (fault,) = caught.value.faults
    assert fault.code == "CE002"
    return fault


@pytest.mark.parametrize("name", LOOKS)
def test_another_format_is_named(name):
    assert the_fault(LOOKS[name]).help.startswith(f"this looks like {name.split()[0]}")


def test_toml_in_a_file_of_json_is_named():
    assert (
        the_fault(TOML, "json").help
        == "this looks like TOML: let the name of the file end in .toml"
    )


@pytest.mark.parametrize("text", ["x" * 10**5 + "\n", "é\n", "=\n", "[model\n", ": \n", "\x01\n"])
def test_what_looks_like_nothing_is_called_nothing(text):
    assert "looks like" not in the_fault(text).help


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("type = mlp", "in quotes"),
        ("path = ./data", "in quotes"),
        ("spectrum = True", "small"),
        ("draws = None", "no null"),
        ("widths = (3, 3)", "brackets"),
        ("time = Infinity", "written inf"),
        ("widths =", "missing"),
        ("alpha = 10**3", "calculation"),
    ],
)
def test_a_common_slip_is_told_how_to_write(line, said):
    fault = the_fault(TOML + line + "\n")
    assert fault.place
    assert fault.place.line == 4
    assert said in fault.help
