"""One tree in many TOML layouts, as people write them."""

import json
from typing import Any

from hypothesis import strategies as st

STYLES = ("head", "dotted", "inline")


@st.composite
def layouts(draw, tree: dict[str, Any]) -> str:
    """A text that says a tree: tables under heads of their own in any order, in dotted keys or
    inline; keys bare, quoted or escaped; comments; either ending of a line."""
    first, heads = _lines(draw, tree, ())
    heads = draw(st.permutations(heads))
    # The order of stages is part of what is said: theirs come in order, between the others.
    ordered = iter([each for each in heads if each[0] and each[0][0] in ("stages", "sweep")])
    own = iter(sorted(ordered, key=lambda each: _rank(tree, each[0])))
    heads = [next(own) if each[0][0] in ("stages", "sweep") else each for each in heads]
    body = "\n".join([*first, *(line for _, lines in heads for line in lines)]) + "\n"
    return body.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def _rank(tree: Any, path: tuple[str, ...]) -> list[int]:
    """Where the tables on a path stand among their neighbours."""
    ranks = []
    for step in path:
        ranks.append(list(tree).index(step))
        tree = tree[step]
    return ranks


def _lines(draw, table: dict[str, Any], path: tuple[str, ...]):
    """The lines of a table's own keys, and the tables below that have heads: (path, lines)."""
    own: list[str] = []
    heads: list[tuple[tuple[str, ...], list[str]]] = []
    for key, value in table.items():
        # A table that others of its kind follow is written as they are, or their order is lost.
        style = draw(st.sampled_from(STYLES)) if not heads else "head"
        name = _key(draw, key)
        if not isinstance(value, dict) or style == "inline":
            own += [*_remark(draw), f"{name} = {_value(draw, value)}{_beside(draw)}"]
        elif style == "dotted" and value and not any(isinstance(v, dict) for v in value.values()):
            for below, item in value.items():
                dotted = f"{name}{draw(st.sampled_from(['.', ' . ']))}{_key(draw, below)}"
                own += [*_remark(draw), f"{dotted} = {_value(draw, item)}{_beside(draw)}"]
        else:
            here = (*path, key)
            lines, below = _lines(draw, value, here)
            if lines or not below:
                head = ".".join(_key(draw, step) for step in here)
                lines = [*_remark(draw), f"[{head}]{_beside(draw)}", *lines]
                heads.append((here, lines))
            heads += below
    return own, heads


def _key(draw, key: str) -> str:
    forms = [f'"{key}"', f"'{key}'", f'"\\u{ord(key[0]):04x}{key[1:]}"']
    if key.replace("-", "").replace("_", "").isalnum() and key.isascii():
        forms += [key] * 6
    return draw(st.sampled_from(forms))


def _remark(draw) -> list[str]:
    return draw(st.sampled_from([[], [], [], ["# why"], ["", "  # [x] é = 1"]]))


def _beside(draw) -> str:
    return draw(st.sampled_from(["", "", "", "   # so"]))


def _value(draw, value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{_key(draw, key)} = {_value(draw, item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        items = [_value(draw, item) for item in value]
        if any(isinstance(item, dict) for item in value):
            return f"[{', '.join(items)}]"
        return draw(
            st.sampled_from(
                [f"[{', '.join(items)}]", f"[ # so\n  {f', # so{chr(10)}  '.join(items)},\n]"]
            )
        )
    return json.dumps(value, ensure_ascii=False) if value != float("inf") else "inf"
