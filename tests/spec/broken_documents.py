"""Sound documents of every kind, and what breaks them: as trees, as texts, by settings."""

import copy
import datetime
import json
import math

import tomlkit
from hypothesis import strategies as st

BASE = {
    "seed": 7,
    "data": {"source": "gaussian", "inputs": 3, "train": 5, "normalise": "unit"},
    "model": {"type": "mlp", "widths": [6, 6], "activation": "relu", "weight_variance": 2.0},
    "stages": {"v": {"type": "variance", "ratios": [0.5, 1.0], "draws": 200}},
}
DOCUMENTS = {
    "variance and search": {
        "ceflow": 1,
        "name": "all",
        "precision": "float32",
        "data": {"source": "gaussian", "inputs": 2, "outputs": 2, "train": 4, "scale": 0.5},
        "model": {"type": "mlp", "widths": [4, 5], "activation": "linear", "last_variance": 1.5},
        "stages": {
            "v": {"type": "variance", "entries": "diagonal", "method": "exact"},
            "s": {"type": "search", "variance": "v", "cost": "flops", "tolerance": 0.0},
            "t": {"type": "search", "alpha": 3.5, "model": "s.primal"},
            "e": {"type": "kernel", "method": "empirical", "model": "s.dual"},
        },
    },
    "kernels of an ensemble": {
        "data": {"source": "digits", "classes": ["3", "8"], "targets": "signed", "train": 9},
        "model": {
            "type": "ensemble",
            "multiplicity": 3,
            "member": {"type": "mlp", "widths": [2], "bias_variance": 0.1},
        },
        "stages": {
            "k": {"type": "kernel", "kind": "nngp", "spectrum": True},
            "e": {"type": "kernel", "method": "empirical", "draws": 2, "reference": "k"},
        },
    },
    "infinite widths": {
        "data": {"source": "circle", "points": 5, "scale": 2.0},
        "model": {"type": "mlp", "widths": ["inf", "inf"], "outputs": 1},
        "stages": {"k": {"type": "kernel", "outputs": "mean"}},
    },
    "a bottleneck": {
        "data": {"source": "deep-gp", "inputs": 3, "train": 6, "test": 2, "length": 3.0},
        "model": {
            "type": "bottleneck",
            "size": 2,
            "encoder": {"widths": ["inf", "inf"]},
            "decoder": {"widths": ["inf"], "activation": "erf"},
        },
        "stages": {
            "f": {"type": "flow", "time": 1.0, "width": 20, "sampling": "orthogonal"},
            "t": {"type": "train", "steps": 2, "learning_rate": {"relative": 0.5}},
        },
    },
    "a grid": {
        **BASE,
        "sweep": {"model.widths": [[5, 5], [8]], "seed": [0, 1], "stages.v.draws": [100, 300]},
    },
    "a zip": {
        **BASE,
        "sweep": {"mode": "zip", "data.inputs": [1, 2], "model.activation": ["erf", "relu"]},
    },
    "what extends": {
        "extends": "base.toml",
        "model": {"widths": [9]},
        "stages": {"s": {"type": "search", "variance": "v"}},
    },
    "what extends what extends": {"extends": "middle.json", "seed": 2, "sweep": {"seed": [3, 4]}},
    "own arrays": {
        "data": {"source": "npz", "path": "none.npz", "targets": "raw", "test": 0},
        "model": {"type": "mlp", "widths": [1]},
    },
    "what collects": {
        **BASE,
        "sweep": {"seed": [1, 2], "mode": "zip"},
        "collect": {"c": {"x": "seed", "y": "stages.v.alpha"}},
    },
    "idx": {"data": {"source": "idx", "path": "."}, "model": {"type": "mlp", "widths": [1]}},
    "cifar10": {"data": {"source": "cifar10"}, "model": {"type": "mlp", "widths": [1]}},
}
LACK_DATA = {"own arrays", "idx", "cifar10"}

HUGE = [10**12, 10**12 + 1, 2**63, 2**64, -(2**63), 10**400, 5e-324, 1e308]
ODD = ["", " ", "\0", "\x7f", "\u2028", "\ufeff", "\u202e", "e\u0301", "𝔘", "ÿ" * 300, "..", "a.b"]
PATHS = [
    "base.toml",
    "self.toml",
    "loop",
    ".",
    "..",
    "/",
    "none",
    "a\0b",
    "x" * 300,
    "~",
    "/dev/null",
]
NAMES = [
    "mlp",
    "ensemble",
    "bottleneck",
    "kernel",
    "search",
    "variance",
    "digits",
    "npz",
    "v",
    "s.primal",
    "s.",
    ".",
]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([*HUGE, *ODD, *PATHS, *NAMES, math.inf, -math.inf, math.nan]),
)
KEYS = st.one_of(
    st.sampled_from(
        [
            "type",
            "source",
            "model",
            "widths",
            "member",
            "sweep",
            "mode",
            "extends",
            "seed",
            "name",
            "stages.v.draws",
            "model.widths.0",
            "seed.x",
            "stages",
            "sweep.seed",
            "ceflow",
            "path",
        ]
    ),
    st.sampled_from(ODD),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def nested(value, depth, as_table):
    for _ in range(depth):
        value = {"a": value} if as_table else [value]
    return value


DEEP = st.builds(nested, SCALARS, st.sampled_from([5, 30, 90]), st.booleans())


def tables(tree):
    """Every table and array of a tree, itself included."""
    yield tree
    for value in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(value, dict | list):
            yield from tables(value)


CHANGES = ["delete", "rename", "misspell", "move", "replace", "add", "wrap"]
ONLY_TOML = st.sampled_from([datetime.date(1979, 5, 27), datetime.time(7, 32)])
ONLY_JSON = st.none()


def misspelt(key, at):
    at %= len(key) + 1
    return key[:at] + key[at + 1 :] if at < len(key) else key + "s"


@st.composite
def broken_trees(draw, junk=JUNK | DEEP):
    """A sound document after some changes; with `junk` of what only one syntax has, too."""
    tree = copy.deepcopy(draw(st.sampled_from(list(DOCUMENTS.values()))))
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from(list(tables(tree))))
        steps = list(table) if isinstance(table, dict) else list(range(len(table)))
        change = draw(st.sampled_from(CHANGES))
        if change == "add" or not steps:
            new = draw(junk)
            if isinstance(table, dict):
                table[draw(KEYS)] = new
            else:
                table.append(new)
            continue
        step = draw(st.sampled_from(steps))
        if change == "replace":
            table[step] = draw(junk)
        elif change == "wrap":
            table[step] = [table[step]] if draw(st.booleans()) else {"value": table[step]}
        else:
            value = table.pop(step)
            if change == "rename" and isinstance(table, dict):
                table[draw(KEYS)] = value
            elif change == "misspell" and isinstance(table, dict):
                table[misspelt(step, draw(st.integers(0, 9)))] = value
            elif change == "move":
                tree[draw(KEYS)] = value
    return tree


def toml_of(tree):
    return tomlkit.dumps(tree)


def json_of(tree, indent):
    return json.dumps(tree, indent=indent, ensure_ascii=indent is None)


SIGNS = [
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    '"""',
    "'''",
    "=",
    ",",
    ".",
    "\\",
    "\\u00",
    "#",
    ":",
    "0x",
    "_",
]
SPLICES = st.one_of(
    st.sampled_from([*SIGNS, "\r", "\n", "\0", "\x1b[2J", "\x08", "\u2028", "\ufeff", "\u202e"]),
    st.sampled_from(["[" * 2000, "{a=" * 600, "a." * 40, "9" * 5000, "0x" + "f" * 5000, "-nan"]),
    st.sampled_from(["\n[model]\n", "\nseed = 1\n", "\n[[stages]]\n", ', "seed": 1', "1e999999"]),
    st.text(max_size=8),
)


@st.composite
def broken_texts(draw, write):
    """The text of a sound document after some edits: insertions, deletions, doublings, a cut."""
    text = write(draw(st.sampled_from(list(DOCUMENTS.values()))))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        change = draw(st.sampled_from(["splice", "delete", "cut", "double", "swap", "line"]))
        if change == "splice":
            text = text[:start] + draw(SPLICES) + text[stop:]
        elif change == "delete":
            text = text[:start] + text[stop:]
        elif change == "cut":
            text = text[:start]
        elif change == "double":
            text = text[:stop] + text[start:]
        elif change == "swap":
            text = text[:start] + text[start:stop][::-1] + text[stop:]
        else:
            lines = text.split("\n")
            at = draw(st.integers(0, len(lines) - 1))
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
            text = "\n".join(lines)
    return text


SETTINGS = st.one_of(
    st.builds(
        "{}={}".format,
        st.sampled_from(
            [
                "model.widths",
                "model",
                "seed",
                "stages.v.draws",
                "stages.v",
                "sweep",
                "data.source",
                "extends",
                "a.b.c",
                "model.widths.a",
                '"',
                "a..b",
                "[model]",
                "",
                "'sweep'.seed",
                "é",
            ]
        ),
        st.sampled_from(
            [
                "[0]",
                "[[3]]",
                "{}",
                '"x',
                "1\n2",
                "1\nseed = 2",
                "inf",
                "nan",
                "mlp",
                "gel",
                "\x00",
                "é",
                "[" * 2000,
                "9" * 5000,
                "0x" + "f" * 5000,
                "{seed = [1, -1]}",
                "1979-05-27",
                "-1",
                "�",
                "base.toml",
                "{a = " * 50 + "1" + "}" * 50,
            ]
        ),
    ),
    st.text(max_size=12),
)
