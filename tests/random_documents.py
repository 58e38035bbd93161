"""Random small documents, one a seed: over models, data, stages and options.

Keys and their kinds come from the JSON Schema of the language, so that a new key joins by itself;
what makes a document small, and one that may well be sound, stands here.

    python tests/random_documents.py 17 2   # prints the second document of seed 17
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from ceflow.spec import json_schema

Tree = dict[str, Any]

SCHEMA = json_schema()
ODD = ("plain", "c$\\frac{$", "_u<b>&amp;", "日本 \u202egpj", "a" * 90, "[red]x", "\U0001f600")
"""Names of files; the last of them go to figures and tables by `[collect]`."""

TINY, HUGE = (1e-300, 1e-40, 1e-8), (1e8, 1e40, 1e300)


def chosen(*values: Any) -> Callable[[random.Random], Any]:
    return lambda r: r.choice(values)


def listed(item: Callable[[random.Random], Any], most: int, least: int = 1) -> Any:
    return lambda r: [item(r) for _ in range(r.randint(least, most))]


def positive(*usual: float) -> Callable[[random.Random], float]:
    """One of these; one in four times a number that is very small or very large."""
    return lambda r: r.choice(usual if r.random() < 0.75 else TINY + HUGE)


few = chosen(1, 2, 3, 4)
width = chosen(1, 2, 5, 8)

VALUES: dict[str, Callable[[random.Random], Any]] = {
    "ceflow": chosen(1),
    "name": chosen("fuzz"),
    "seed": chosen(0, 1, 2**63 - 1),
    "widths": listed(width, 3),
    "inputs": chosen(1, 3, 4),
    "outputs": chosen(1, 2),
    "train": chosen(1, 2, 4, 6),
    "test": chosen(0, 1, 3),
    "points": few,
    "steps": chosen(1, 5, 2000, 100_000),
    "width": chosen(2, 20, 50),
    "draws": chosen(1, 2, 20, 100, 200),
    "multiplicity": chosen(1, 2, 3),
    "channels": few,
    "cardinality": few,
    "base_width": few,
    "blocks": listed(chosen(1), 2),
    "hidden": few,
    "layers": chosen(1, 2),
    "scale": positive(0.1, 1.0, 3.0),
    "zca": positive(0.0, 0.1, 10.0),
    "length": positive(0.5, 2.0),
    "weight_variance": positive(0.001, 1.0, 2.0, 2.0),
    "last_variance": positive(1.0, 3.0),
    "bias_variance": positive(0.0, 0.0, 0.1, 1.0),
    "time": lambda r: r.choice(["inf", 0.1, 1.0, 1.0, 30.0, *TINY, 1e8]),
    "times": lambda r: sorted({r.choice([0.0, 0.05, 0.1, 1.0, 1e-300]) for _ in range(3)}),
    "moments": lambda r: sorted({r.randint(0, 6) for _ in range(3)}),
    "epochs": positive(0.5, 1.0, 2.0),
    "batch": few,
    "replicas": chosen(1, 2, 3),
    "entries": listed(lambda r: [r.randint(0, 3), r.randint(0, 3)], 3),
    "rtol": chosen(1e-14, 1e-10, 1e-3, 0.9),
    "atol": chosen(0.0, 1e-300, 1e-6, 1.0, 1e300),
    "learning_rate": lambda r: r.choice(
        [
            0.1,
            1.0,
            {"relative": r.choice([0.3, 1.0, 5.0, 1e-300])},
            {"encoder": 0.1, "decoder": 1e40},
        ]
    ),
    "train_loss": positive(0.01, 1.0),
    "ratios": listed(chosen(0.05, 0.25, 0.5, 1.0, 1e-300), 3),
    "error": positive(0.05, 0.3),
    "tile": chosen(1, 2, 3, 1000),
    "ridge": positive(0.0, 1e-8, 1.0),
    "alpha": positive(0.01, 3.4, 1000.0),
    "parameters": positive(50.0, 500.0, 5e6),
    "flops": positive(50.0, 500.0, 5e6),
    "tolerance": positive(0.0, 0.02, 0.5),
    "compare": listed(chosen("1x1d", "3x4d", "2x3-2d", "1000000000000x1d"), 2),
    "smooth": chosen(1, 3, 500),
    "level": chosen(0.0, 0.5, 1e300, -1.0),
    "size": lambda r: r.choice(["inf", 1, 2, 3]),
}
"""Of a key, wherever it stands, what it may be. Of others any value of their kind."""

RARE = 0.25
"""How often a key is given that need not be."""

CLASSES: dict[str, Any] = {
    "digits": listed(chosen("3", "8", "1"), 3, 2),
    "idx": listed(chosen("0", "1", "2"), 2, 2),
    "cifar10": listed(chosen("cat", "deer", "dog"), 2, 2),
}

NUMBERS = {
    "kernel": ("trace", "eigenvalue_min", "distance", "alignment", "train_mse"),
    "variance": ("alpha", "alpha_stderr"),
    "search": ("primal.variance", "dual.efficiency", "primal.multiplicity"),
    "flow": ("train_loss", "drift", "time", "steps.accepted"),
    "train": ("train_loss", "test_loss", "steps", "drift"),
    "verify": ("lemma-1.value", "eq-5.value"),
}
"""By kinds of stage some of the numbers that they find."""


def tree_of(seed: int, attempt: int = 0) -> Tree:
    """A document of some kind, sound or not; the same for the same numbers."""
    r = random.Random(f"{seed} {attempt}")
    tree: Tree = {"seed": r.randint(0, 9), "precision": r.choice(["float32", "float64"])}
    if r.random() < 0.95:
        tree["data"] = _data(r)
    tree["model"] = _model(r)
    tree["stages"] = _stages(r, tree["model"])
    if r.random() < 0.2:
        _sweep(r, tree)
    return tree


def _data(r: random.Random) -> Tree:
    source = r.choice(["gaussian", "gaussian", *_kinds("data")])
    data = _object(r, _kinds("data")[source], {"source": source}, without=("path", "classes"))
    if source == "npz":
        data["path"] = f"{r.choice(ODD)}.npz"
    if r.random() < 0.5 and source in CLASSES:
        data["classes"] = sorted(set(CLASSES[source](r)))
    sizes = {"train": r.choice([1, 2, 5]), "test": r.choice([0, 1, 4]), "points": 3}
    for key in sorted(sizes.keys() & _kinds("data")[source]["properties"].keys()):
        data.setdefault(key, sizes[key])  # by default there may be thousands
    return data


def _model(r: random.Random) -> Tree:
    drawn = [kind for kind in _kinds("model") if kind not in ("network", "external")]
    kind = r.choice(["mlp", "mlp", "mlp", "bottleneck", *drawn])  # networks: `random_networks`
    model = _object(r, _kinds("model")[kind], {"type": kind}, without=("inputs", "outputs"))
    for part in _parts(model):
        for key in ("inputs", "outputs"):
            part.pop(key, None)
    if kind == "block":
        model["widths"] = [VALUES["size"](r), r.choice([1, 2, 5])]
        model["widths"] = [each if each != "inf" else 3 for each in model["widths"]]
    if kind == "chain":
        model["sizes"] = [r.choice([1, 2, 3]) for _ in model["segments"][1:]]
    infinite = r.random() < (0.75 if kind in NARROW else 0.35)
    for part in _parts(model):
        if infinite and "widths" in part and kind != "block":
            part["widths"] = ["inf"] * (1 if part is model.get("decoder") else len(part["widths"]))
    if infinite and kind == "bottleneck":
        model["decoder"].pop("bias_variance", None)
    return model


NARROW = ("bottleneck", "chain")
"""Kinds of model with narrow layers."""


def _parts(model: Tree) -> list[Tree]:
    """The tables of a model: its own, and those of the networks in it."""
    inner = [each for each in model.values() if isinstance(each, dict)]
    return [model, *inner, *model.get("segments", [])]


SUITED = {
    "chain": ("flow", "train", "verify", "train"),
    "infinite": ("kernel", "kernel", "flow", "flow"),
    "bottleneck": ("flow", "train", "verify", "flow", "train"),
    "resnext": ("variance", "search", "kernel"),
    "ensemble": ("kernel", "variance", "search", "flow", "verify"),
    "finite": ("kernel", "variance", "search", "flow"),
}
"""Kinds of stage that there are for a kind of model."""


def _suited(model: Tree) -> str:
    infinite = any("inf" in part.get("widths", ()) for part in _parts(model))
    if model["type"] in NARROW and infinite:
        return model["type"]
    if infinite:
        return "infinite"
    return model["type"] if model["type"] in {*SUITED} - {*NARROW} else "finite"


def _stages(r: random.Random, model: Tree) -> Tree:
    stages: Tree = {}
    suited = _suited(model)
    kinds = SUITED[suited] if r.random() < 0.9 else tuple(_kinds("stages"))
    for name in ("a", "b", "c")[: r.choice([1, 1, 2, 2, 3])]:
        kind = r.choice(kinds)
        without = (*REFERENCES, "from", "at")
        stage = _object(r, _kinds("stages")[kind], {"type": kind}, without=without)
        stages[name] = stage | _small(r, stage, suited) | _references(r, kind, stages)
        if kind == "search":
            _with_alpha(r, stages[name])
    return stages


def _small(r: random.Random, stage: Tree, suited: str) -> Tree:
    """Values that make a stage a small one, and one that may well be sound."""
    kind = stage["type"]
    if kind == "verify":
        claims = CLAIMS.get(suited, BOTTLENECK_CLAIMS)
        count = min(len(claims), r.randint(1, 2))
        found: Tree = {"claims": r.sample(claims, count), "steps": r.choice([1, 3])}
        return found | {key: VALUES[key](r) for key in ("width", "points")} | {"draws": 20}
    if kind == "train":
        stage.pop("epochs", None)
        return {"width": VALUES["width"](r), "steps": r.choice([1, 5, 20])}
    if kind == "flow":
        # How many steps a flow takes is not known beforehand, so it is told when to give up.
        steps = {"steps": min(500, stage.get("steps", 500))}
        if suited in NARROW:
            return steps | {"width": VALUES["width"](r)}
        stage.pop("width", None)
        stage.pop("sampling", None)
        return steps
    if kind == "variance" and "draws" in stage:
        return {"draws": r.choice([100, 200])}
    if kind == "kernel" and suited == "infinite":
        stage.pop("draws", None)
        stage.pop("error", None)
        return {"method": "analytic"}
    return {}


def _with_alpha(r: random.Random, stage: Tree) -> None:
    """What a search goes by: one of the things it may, mostly."""
    if stage.get("using") == "exact":
        stage.pop("alpha", None)
        stage.pop("variance", None)
    elif "variance" in stage:
        stage.pop("alpha", None)
    elif stage.get("using") != "curve":
        stage.setdefault("alpha", VALUES["alpha"](r))


CLAIMS = {"ensemble": ("lemma-1", "theorem-1"), "chain": ("chain",)}
BOTTLENECK_CLAIMS = ("lemma-3.1", "theorem-3.2", "lemma-4.1", "eq-5", "eq-6", "eq-41")

REFERENCES = ("model", "kernel", "start", "variance", "reference")


def _references(r: random.Random, kind: str, above: Tree) -> Tree:
    """To stages above, of the right kind mostly."""
    wanted = {
        "kernel": {"reference": "kernel"},
        "flow": {"kernel": "kernel", "start": "flow"},
        "search": {"variance": "variance"},
    }
    found = {}
    for key, of in wanted.get(kind, {}).items():
        names = [name for name, stage in above.items() if stage["type"] == of]
        if names and r.random() < 0.6:
            found[key] = r.choice(names)
    searches = [name for name, stage in above.items() if stage["type"] == "search"]
    if searches and r.random() < 0.7:
        found["model"] = f"{r.choice(searches)}.{r.choice(['primal', 'dual'])}"
    return found


def _sweep(r: random.Random, tree: Tree) -> None:
    """Two runs, over a number, or over files of odd names; and what is collected of them."""
    path, values = r.choice(list(_sweepable(r, tree)))
    tree["sweep"] = {path: values}
    name, stage = r.choice(list(tree["stages"].items()))
    collect: Tree = {"x": path, "y": f"stages.{name}.{r.choice(NUMBERS[stage['type']])}"}
    if stage["type"] in ("flow", "train") and r.random() < 0.5:
        clock = "time" if stage["type"] == "flow" else "step"
        collect = {"x": f"stages.{name}.{clock}", "y": f"stages.{name}.train_loss", "by": path}
    options = _object(r, SCHEMA["$defs"]["Collect"], collect, without=("by",), often=0.3)
    tree["collect"] = {r.choice(["c", "_c", "collect"]).lstrip("_"): options}


def _sweepable(r: random.Random, tree: Tree) -> Iterator[tuple[str, list[Any]]]:
    yield "seed", [0, 1]
    yield "model.widths", [["inf"], [4]]
    if tree.get("data", {}).get("source") == "npz":
        yield "data.path", [f"{name}.npz" for name in r.sample(ODD, 2)]
    for name, stage in tree["stages"].items():
        for key in stage:
            if key in VALUES:
                yield f"stages.{name}.{key}", [VALUES[key](r), VALUES[key](r)]


def _kinds(part: str) -> dict[str, Tree]:
    """The kinds of model, data or stage there are, with their schemas."""
    found = SCHEMA["properties"][part]
    found = next(iter(found.get("patternProperties", {}).values()), found)
    return {name: _at(ref) for name, ref in found["discriminator"]["mapping"].items()}


def _at(reference: str) -> Tree:
    return SCHEMA["$defs"][reference.rpartition("/")[2]]


def _object(
    r: random.Random,
    schema: Tree,
    given: Tree,
    without: tuple[str, ...] = (),
    often: float = RARE,
) -> Tree:
    found = dict(given)
    for key, kind in schema["properties"].items():
        needed = key in schema.get("required", ())
        if key not in given and key not in without and (needed or r.random() < often):
            known = key in VALUES and "enum" not in kind
            found[key] = VALUES[key](r) if known else _value(r, kind)
    return found


def _value(r: random.Random, schema: Tree) -> Any:
    """Any value of a kind."""
    if "$ref" in schema:
        return _object(r, _at(schema["$ref"]), {}, often=0.4)
    if "discriminator" in schema:  # a part of a model; networks: `random_networks`
        return _object(r, _at(schema["discriminator"]["mapping"]["mlp"]), {}, often=0.4)
    if "anyOf" in schema:
        return _value(r, r.choice([each for each in schema["anyOf"] if each != {"type": "null"}]))
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return r.choice(schema["enum"])
    if schema.get("type") == "array":
        least, most = schema.get("minItems", 0), schema.get("maxItems", 3)
        return [_value(r, schema["items"]) for _ in range(r.randint(least, most))]
    kinds = {"boolean": [True, False], "integer": [1, 2, 5, 10**12], "number": [1.0, 1e-300, 1e300]}
    return r.choice(kinds.get(schema.get("type", ""), ["x"]))


if __name__ == "__main__":
    import json
    import sys

    print(json.dumps(tree_of(*map(int, sys.argv[1:])), indent=2))
