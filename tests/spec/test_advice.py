"""Advice can be followed: what a fault says to do mends it, and leads to no other fault that says
to do the opposite."""

import itertools
import json
import re
import tomllib
from typing import Any

import pytest

from ceflow.spec import SpecError
from ceflow.spec.diagnostics import Fault
from ceflow.spec.reading import validate

MODELS = {
    "mlp": 'type = "mlp"\nwidths = [8, 8]',
    "tanh": 'type = "mlp"\nwidths = [8]\nactivation = "tanh"',
    "biased": 'type = "mlp"\nwidths = [8]\nbias_variance = 0.1',
    "infinite": 'type = "mlp"\nwidths = [inf]',
    "partly infinite": 'type = "mlp"\nwidths = [inf, 8]',
    "deep": f'type = "mlp"\nwidths = {[8] * 9}',
    "ensemble": 'type = "ensemble"\nmultiplicity = 2\nmember = {type = "mlp", widths = [8]}',
    "block": 'type = "block"\nwidths = [4, 4]',
    "resnext": 'type = "resnext"\nblocks = [1]\nbase_width = 4',
    **{
        f"bottleneck {name}": f'type = "bottleneck"\nsize = {size}\nencoder = {{type = "mlp", '
        f'widths = [{width}]}}\ndecoder = {{type = "mlp", widths = [{width}]}}'
        for name, size, width in [("finite", 3, 8), ("wide", 3, "inf"), ("limit", "inf", "inf")]
    },
}
STAGES: dict[str, dict[str, Any]] = {
    "kernel": {
        "method": ["analytic", "empirical", "mean"],
        "kind": ["nngp"],
        "outputs": ["full"],
        "draws": [1, 2],
        "error": [0.1],
        "tile": [4],
        "spectrum": [True],
        "ridge": [0.0],
    },
    "variance": {
        "method": ["exact", "sample"],
        "entries": ["off-diagonal"],
        "inputs_law": ["data"],
        "error": [0.1],
    },
    "search": {
        "alpha": [2.0],
        "using": ["exact", "curve"],
        "space": ["free"],
        "cost": ["latency"],
        "compare": [["3x4-5-6d"]],
    },
    "flow": {
        "time": [1.0, float("inf")],
        "engine": ["parameters", "linearised", "kernel", "closed-form", "features"],
        "loss": ["cross-entropy"],
        "replicas": [2],
        "record": [["drift"], ["derivatives"]],
        "stop": [{"train_loss": 0.1}],
        "times": [[2.0, 1.0], [3.0]],
        "width": [2],
        "sampling": ["orthogonal"],
        "entries": [[[0, 99]]],
    },
    "train": {
        "steps": [5],
        "epochs": [2.0],
        "engine": ["features", "history", "kernel"],
        "record": [["embedding"]],
        "moments": [[9], [3, 2]],
        "batch": [99],
        "learning_rate": [{"relative": 0.3, "encoder": 1.0}],
        "width": [2],
    },
    "verify": {
        "claims": [["lemma-1"], ["theorem-1"], ["lemma-3.1"], ["eq-5", "eq-5"]],
        "draws": [3],
        "points": [1],
    },
}


def stages(kind: str):
    """A stage with each value of each key alone, and with each two."""
    options = [(key, value) for key, values in STAGES[kind].items() for value in values]
    for pair in itertools.combinations([None, *options], 2):
        given = dict(option for option in pair if option is not None)
        needed = {"flow": {"time": 1.0}, "verify": {"claims": ["eq-5"]}}.get(kind, {})
        yield {"type": kind, **needed, **given}


def faults_of(tree: dict[str, Any]) -> list[Fault]:
    try:
        return validate(tree).faults()
    except SpecError as error:
        return list(error.faults)


def followed(tree: dict[str, Any], fault: Fault) -> dict[str, Any] | None:
    """The document with the first advice of a fault done; None where it takes more than a key."""
    tree = json.loads(json.dumps(tree))
    stage = tree["stages"]["s"]
    if found := re.match(r'use ([a-z_]+) = ("[\w-]+"|[\d.]+|\[inf\])', fault.help):
        stage[found[1]] = tomllib.loads(f"v = {found[2]}")["v"]
    elif found := re.match(r"use a (\w+) stage", fault.help):
        tree["stages"]["s"] = {"type": found[1], "time": 1.0}
    elif found := re.match(r"(?:leave|set) (\w+) (?:out|to (\d+))", fault.help):
        key = str(fault.path[-1]) if found[1] == "it" else found[1]
        if found[2]:
            stage[key] = int(found[2])
        elif key in ("this",):
            return {**tree, "stages": {}}
        else:
            stage.pop(key)
    else:
        return None
    return tree


@pytest.mark.parametrize("kind", STAGES)
@pytest.mark.parametrize("model", MODELS)
def test_advice_mends_its_fault_and_leads_in_no_circle(model, kind):
    data = {"source": "gaussian", "inputs": 3, "train": 5}
    for stage in stages(kind):
        tree = {"data": data, "model": tomllib.loads(MODELS[model]), "stages": {"s": stage}}
        seen = [tree]
        while faults := faults_of(tree):
            fault = next((each for each in faults if followed(tree, each)), None)
            if fault is None:
                assert all(each.help for each in faults)
                break
            tree = followed(tree, fault)
            assert tree is not None
            assert fault.message not in [each.message for each in faults_of(tree)], (stage, fault)
            assert tree not in seen, (seen, fault)
            seen.append(tree)
