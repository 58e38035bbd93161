"""Searches that ask for what does not go together, or for what there is not."""

from typing import Any

import pytest

from ceflow.spec import (
    Block,
    Budget,
    Document,
    Mlp,
    Resnext,
    Search,
    SpecError,
    Variance,
    loads,
    network_name,
    read_network,
)

MLP, RESNEXT = Mlp(widths=(8, 8)), Resnext(blocks=[1], base_width=8)


def faults(model=MLP, **keys: Any):
    stages = {"v": Variance(), "s": Search(**keys)}
    return Document(model=model, stages=stages).faults()


RIGHT: dict[str, dict[str, Any]] = {
    "a curve": {"using": "curve", "variance": "v"},
    "exact moments": {"using": "exact"},
    "exact moments of a block": {"using": "exact", "model": Block(widths=[8, 8])},
    "a budget": {"alpha": 3.0, "budget": Budget(flops=1e9)},
    "free widths": {"alpha": 3.0, "space": "free"},
    "networks beside": {"alpha": 3.0, "compare": ["3x8", "3x8d", "2x4-8d"]},
    "networks beside a resnext": {"alpha": 3.0, "compare": ["3x8d"], "model": RESNEXT},
    "latencies of a file": {"alpha": 3.0, "cost": "latency", "latency": "times.csv"},
    "a budget of latency": {"alpha": 3.0, "budget": Budget(latency=1.0, macs=5)},
    "a latency": {"alpha": 3.0, "cost": "latency"},
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_goes_together_has_no_fault(name):
    keys = dict(RIGHT[name])
    assert faults(keys.pop("model", MLP), **keys) == []


WRONG: dict[str, tuple[dict[str, Any], str, Any, str]] = {
    "exact with alpha": ({"using": "exact", "alpha": 3.0}, "CE202", "alpha", "need no alpha"),
    "exact with a fit": ({"using": "exact", "variance": "v"}, "CE202", "variance", "need no alpha"),
    "a curve of nothing": ({"using": "curve"}, "CE102", None, "needs a variance stage"),
    "a curve with alpha": (
        {"using": "curve", "variance": "v", "alpha": 3.0},
        "CE202",
        "alpha",
        "a curve needs no alpha",
    ),
    "exact moments of erf": (
        {"using": "exact", "model": Mlp(widths=[8], activation="erf")},
        "CE203",
        "using",
        "relu and linear networks without bias only",
    ),
    "a curve of one width": (
        {"using": "curve", "variance": "v", "model": Mlp(widths=[1, 1])},
        "CE202",
        "using",
        "a curve needs two widths or more, and at every ratio of stages.v they are 1",
    ),
    "an empty budget": (
        {"alpha": 3.0, "budget": Budget()},
        "CE102",
        "budget",
        "parameters, flops, macs or latency",
    ),
    "flops and macs": (
        {"alpha": 3.0, "budget": Budget(flops=10, macs=5)},
        "CE202",
        "budget",
        "flops and macs set the same limit",
    ),
    "latencies that nothing asks for": (
        {"alpha": 3.0, "latency": "times.csv"},
        "CE202",
        "latency",
        "is not used",
    ),
    "a free budget of latency": (
        {"alpha": 3.0, "space": "free", "budget": Budget(latency=1.0)},
        "CE202",
        "space",
        "along the ratio only",
    ),
    "a free resnext": (
        {"alpha": 3.0, "space": "free", "model": RESNEXT},
        "CE202",
        "space",
        "one width",
    ),
    "seven free layers": (
        {"alpha": 3.0, "space": "free", "model": Mlp(widths=[8] * 7)},
        "CE202",
        "space",
        "at most 6 layers, not 7",
    ),
    "a free curve": (
        {"using": "curve", "variance": "v", "space": "free"},
        "CE202",
        "space",
        "along the ratio only",
    ),
    "a free latency": (
        {"alpha": 3.0, "cost": "latency", "space": "free"},
        "CE202",
        "space",
        "along the ratio only",
    ),
    "a network of other layers": (
        {"alpha": 3.0, "compare": ["3x8d", "2x8-8-8d"]},
        "CE202",
        "compare",
        "'2x8-8-8d' has 3 widths, the network 2",
    ),
    "two widths of a resnext": (
        {"alpha": 3.0, "compare": ["3x8-4d"], "model": RESNEXT},
        "CE202",
        "compare",
        "has 2 widths, the network 1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_go_together_is_one_fault_where_it_stands(name):
    given, code, key, message = WRONG[name]
    keys = dict(given)
    (fault,) = faults(keys.pop("model", MLP), **keys)
    assert fault.code == code
    assert message in fault.message
    assert fault.path[:3] == ("stages", "s", *([key] if key else []))


@pytest.mark.parametrize(
    "name", ["3x", "x3d", "0x3", "3x0d", "3 x 4", "3x4dd", "-1x4", "9x" + "9" * 13]
)
def test_what_is_no_name_of_a_network_is_refused(name):
    with pytest.raises(SpecError, match=r"CE104: compare.0. must be members x width, as 37x10d"):
        Search(alpha=3.0, compare=[name])


@pytest.mark.parametrize(
    ("members", "widths", "name"),
    [(37, (10, 10), "37x10d"), (1, (5,), "1x5d"), (2, (3, 4), "2x3-4d")],
)
def test_names_say_members_and_widths(members, widths, name):
    assert network_name(members, widths) == name
    read, given = read_network(name)
    assert (read, given if len(given) > 1 else given * len(widths)) == (members, widths)


def test_unknown_keys_of_a_budget_are_named():
    text = """
ceflow = 1
model = {type = "mlp", widths = [8], inputs = 2, outputs = 1}
[stages.s]
type = "search"
alpha = 3.0
budget = {parameter = 5}
"""
    with pytest.raises(SpecError, match="did you mean parameters"):
        loads(text)
