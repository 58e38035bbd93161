"""What a text is that is no TOML: which other format, or which common slip."""

import re

_YAML = re.compile(r"(?:- )?[\w\"'.-]+\s*:(?:\s.*)?|- .*|---|\.\.\.")
_PYTHON = re.compile(r"(?:import|from|def|class|if|for|with|return|print)\b.*|@\w.*|\w+\(.*")
_INI = re.compile(r"\[[^\]=]*\]|[\w .-]+[=:].*|;.*")
_TOML = re.compile(r"\[+[\w .\"'-]+\]+\s*(?:#.*)?|[\w.\"' -]+=.*")

MOSTLY = 0.75
"""The part of a text's lines that must look like a format."""

SLIPS = {
    r"=\s*(?:True|False)\b": "TOML writes true and false small",
    r"=\s*(?:None|null|nil)\b": "TOML has no null: leave the key out",
    r"=\s*(?:inf|Infinity|-?infty|np\.inf|math\.inf)\b": "infinity is written inf",
    r"=\s*\(": "an array stands in brackets, as widths = [500, 500]",
    r"=\s*[A-Za-z_./~-]": 'text stands in quotes, as type = "mlp"',
    r"=\s*(?:#.*)?$": "a value is missing behind the =",
    r"=\s*\d[\d.]*[eE]?\s*[*/^+]|=\s*\d+\s*\*\*": "a value is a number, not a calculation",
}
"""Of a line that is wrong, what to do."""


def described(content: str, suffix: str) -> str:
    """Say what a text that is no TOML (or, in a file `.json`, no JSON) seems to be, as a help.

    >>> described("model:\\n  type: mlp\\n", "toml")
    'this looks like YAML: a document is TOML, as in `ceflow init`, or JSON'
    """
    found = _format(content)
    if found == "JSON" and suffix == "toml":
        return "this looks like JSON: let the name of the file end in .json"
    if found == "TOML" and suffix == "json":
        return "this looks like TOML: let the name of the file end in .toml"
    if found in ("", suffix.upper()):
        return ""
    return f"this looks like {found}: a document is TOML, as in `ceflow init`, or JSON"


def slip(line: str) -> str:
    """Say what to do about a line of TOML that is wrong; empty where it is no common slip.

    >>> slip("type = mlp")
    'text stands in quotes, as type = "mlp"'
    """
    return next((help for form, help in SLIPS.items() if re.search(form, line[:500])), "")


def _format(content: str) -> str:
    start = content.lstrip()[:1]
    if start in ("{", "<"):
        return {"{": "JSON", "<": "XML or HTML"}[start]
    lines = [line.strip()[:500] for line in content.splitlines()[:200]]
    lines = [line for line in lines if line and not line.startswith("#")]
    heads = sum(1 for line in lines if line.startswith("[") and _TOML.fullmatch(line))
    for name, form in (("Python", _PYTHON), ("YAML", _YAML), ("TOML", _TOML), ("INI", _INI)):
        like = sum(1 for line in lines if form.fullmatch(line))
        if lines and like >= MOSTLY * len(lines) and not (name == "YAML" and heads):
            return name
    return ""
