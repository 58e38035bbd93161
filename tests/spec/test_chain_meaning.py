"""Meaning of chains of bottlenecks: each fault of the model and of stages on it, and where."""

import math

import pytest

from ceflow.compiler import compile
from ceflow.spec import Bottleneck, Chain, Document, Mlp, SpecError, check, dumps, loads

WIDE, HEAD = "{widths = [inf]}", '[data]\nsource = "deep-gp"\ninputs = 5\ntrain = 20\n[model]\n'
THREE = f"segments = [{WIDE}, {WIDE}, {WIDE}]\n"


def document(model: str, stage: str = "") -> Document:
    return loads(f"{HEAD}{model}\n[stages.s]\n{stage}" if stage else HEAD + model)


def faults_of(model: str, stage: str = "") -> list[tuple[str, tuple[int | str, ...], str]]:
    with pytest.raises(SpecError) as raised:
        check(document(model, stage))
    return [(fault.code, fault.path, fault.message) for fault in raised.value.faults]


def chain(sizes: str, *segments: str) -> str:
    return f'type = "chain"\nsizes = {sizes}\nsegments = [{", ".join(segments)}]'


OF_MODELS = {
    "few sizes": (chain("[3]", WIDE, WIDE, WIDE), ("sizes",), "sizes has 1 of 2 numbers"),
    "many sizes": (chain("[3, 4]", WIDE, WIDE), ("sizes",), "sizes has 2 of 1 numbers"),
    "an infinite size": (
        chain("[3, inf]", WIDE, WIDE, WIDE),
        ("sizes", 1),
        "a bottleneck in a chain has a finite number of units, not inf",
    ),
    "a finite segment": (
        chain("[3, 4]", WIDE, "{widths = [8]}", WIDE),
        ("segments", 1, "widths"),
        "one layer beside the bottleneck is infinitely wide, another is not",
    ),
    "a first segment of both": (
        chain("[3]", "{widths = [inf, 8]}", WIDE),
        ("segments", 0, "widths"),
        "one layer beside the bottleneck is infinitely wide, another is not",
    ),
    "inputs inside": (
        chain("[3, 4]", WIDE, "{widths = [inf], inputs = 5}", WIDE),
        ("segments", 1, "inputs"),
        "the segment after a bottleneck has 5 inputs, the bottleneck 3 units",
    ),
    "outputs inside": (
        chain("[3, 4]", "{widths = [inf], outputs = 7}", WIDE, WIDE),
        ("segments", 0, "outputs"),
        "the segment has 7 outputs, the bottleneck 3 units",
    ),
    "an activation": (
        chain("[3]", WIDE, '{widths = [inf], activation = "rleu"}'),
        ("segments", 1, "activation"),
        "unknown activation 'rleu'",
    ),
    "a size of 0": (
        chain("[3, 0]", WIDE, WIDE, WIDE),
        ("sizes", 1),
        "sizes[1] must be a whole number from 1 to 10^12, or inf, not 0",
    ),
    "one segment": (
        chain("[3]", WIDE),
        ("segments",),
        "segments must have at least 2 entries, not 1",
    ),
}


@pytest.mark.parametrize("case", OF_MODELS)
def test_a_fault_of_a_chain_is_said_once_where_it_is(case):
    model, path, message = OF_MODELS[case]
    ((_, found, said),) = faults_of(model, 'type = "train"\nsteps = 3')
    assert (found, said) == (("model", *path), message)


def test_segments_in_a_bottleneck_say_what_to_write():
    """And nothing is said of the halves that a bottleneck lacks."""
    with pytest.raises(SpecError) as raised:
        document(f'type = "bottleneck"\nsize = 3\n{THREE}')
    (fault,) = raised.value.faults
    assert fault.path == ("model", "segments")
    assert fault.help == 'write type = "chain", with segments and sizes'


def test_halves_in_a_chain_say_what_to_write():
    with pytest.raises(SpecError) as raised:
        document(f'type = "chain"\nsizes = [3]\nencoder = {WIDE}\ndecoder = {WIDE}')
    assert {fault.path[-1] for fault in raised.value.faults} == {"encoder", "decoder"}
    for fault in raised.value.faults:
        assert fault.help == 'write type = "bottleneck", with size, encoder and decoder'


OF_STAGES = {
    "rates of halves": (
        "learning_rate = {encoder = 1.0, decoder = 2.0}",
        "learning_rate",
        "a chain has segments, and not one encoder and one decoder",
    ),
    "a fixed kernel": (
        'engine = "kernel"',
        "engine",
        "the engine 'kernel' is not for a bottleneck of size 3 and 4",
    ),
    "a width below a size": (
        "width = 3",
        "width",
        "a bottleneck of 4 units in a sampled network of 3",
    ),
}


@pytest.mark.parametrize("case", OF_STAGES)
def test_a_fault_of_a_training_is_said_where_it_is(case):
    keys, key, message = OF_STAGES[case]
    model = f'type = "chain"\nsizes = [3, 4]\n{THREE}'
    ((_, path, said),) = faults_of(model, f'type = "train"\nsteps = 3\n{keys}')
    assert (path, said) == (("stages", "s", key), message)


def test_what_a_chain_is():
    first, middle, last = (Mlp(widths=widths) for widths in ([8], [6, 7], [5]))
    model = Chain(segments=[first, middle, last], sizes=[3, 4])
    assert model.widths == (8, 3, 6, 7, 4, 5)
    assert model.bottlenecks == (
        Bottleneck(size=3, encoder=first, decoder=middle),
        Bottleneck(size=4, encoder=middle, decoder=last),
    )
    assert (model.is_finite, model.limit.is_wide_bottleneck) == (True, True)
    assert {piece.widths for piece in model.limit.pieces.values()} == {
        (math.inf,),
        (math.inf, math.inf),
    }
    plan = compile(Document(model=model.sized(inputs=5, outputs=2)))
    assert plan.root.parameters == 5 * 8 + 8 * 3 + 3 * 6 + 6 * 7 + 7 * 4 + 4 * 5 + 5 * 2
    assert loads(dumps(plan.document)) == plan.document


def test_a_finite_chain_of_two_segments_is_the_network_of_a_bottleneck():
    first, last = Mlp(widths=[8], inputs=5), Mlp(widths=[5], outputs=2)
    one = Bottleneck(size=3, encoder=first, decoder=last)
    two = Chain(segments=[first, last], sizes=[3])
    assert compile(Document(model=one)).root == compile(Document(model=two)).root
