"""Meaning: what is wrong with a document whose keys and types are right."""

import math

import pytest

from ceflow.spec import (
    Circle,
    Document,
    Ensemble,
    Flow,
    Kernel,
    Mlp,
    Search,
    SpecError,
    Variance,
    check,
)

FINITE, INFINITE = Mlp(widths=(8, 8)), Mlp(widths=(math.inf, math.inf))
ENSEMBLE = Ensemble(multiplicity=3, member=FINITE)


def document(stages, model=FINITE, data: Circle | None = Circle(points=3)):  # noqa: B008
    return Document(model=model, data=data, stages=stages)


def faults(stages, **rest):
    return document(stages, **rest).faults()


def found(stages, **rest):
    return [(fault.code, fault.path, fault.part) for fault in faults(stages, **rest)]


FIT, BEST, EXACT = Variance(), Search(alpha=3.0), Kernel()
EMPIRICAL = Kernel(method="empirical")


SOUND = {
    "nothing to do": ({}, {}),
    "a search with a given alpha": ({"s": BEST}, {}),
    "a search with a fitted alpha": ({"v": FIT, "s": Search(variance="v")}, {}),
    "a kernel of an answer": ({"s": BEST, "k": Kernel(model="s.dual")}, {}),
    "a fit of an answer": ({"s": BEST, "v": Variance(model="s.primal")}, {}),
    "a search from an answer": ({"s": BEST, "t": Search(alpha=2.0, model="s.primal")}, {}),
    "a distance": ({"k": EXACT, "e": Kernel(method="empirical", reference="k")}, {}),
    "a distance of two": ({"e": EMPIRICAL, "k": Kernel(reference="e")}, {}),
    "an infinite network": ({"k": EXACT}, {"model": INFINITE}),
    "an ensemble": ({"v": FIT, "s": BEST, "k": EMPIRICAL}, {"model": ENSEMBLE}),
    "off the diagonal": ({"v": Variance(entries="off-diagonal")}, {}),
    "no closed form, none wanted": ({"v": FIT}, {"model": Mlp(widths=(8,), activation="tanh")}),
    "no data, none needed": ({"v": FIT, "s": BEST}, {"data": None}),
    "all outputs": ({"e": Kernel(method="empirical", outputs="full")}, {}),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_document_has_no_faults(case):
    stages, rest = SOUND[case]
    assert faults(stages, **rest) == []
    check(document(stages, **rest))


TANH = Mlp(widths=(8,), activation="tanh")
BIASED = Mlp(widths=(8,), bias_variance=0.1)
FAULTY = {
    "no such variance stage": ({"s": Search(variance="v")}, {}, "CE201", "variance", "value"),
    "a later variance stage": (
        {"s": Search(variance="v"), "v": FIT},
        {},
        "CE201",
        "variance",
        "value",
    ),
    "a stage of another kind": (
        {"k": EXACT, "s": Search(variance="k")},
        {},
        "CE201",
        "variance",
        "value",
    ),
    "no such reference": ({"s": Kernel(reference="k")}, {}, "CE201", "reference", "value"),
    "a reference to itself": ({"s": Kernel(reference="s")}, {}, "CE201", "reference", "value"),
    "no such search": ({"s": Kernel(model="best.primal")}, {}, "CE201", "model", "value"),
    "no such answer": (
        {"b": BEST, "s": Kernel(model="b.triple")},
        {},
        "CE201",
        "model",
        "value",
    ),
    "a search itself": ({"b": BEST, "s": Kernel(model="b")}, {}, "CE201", "model", "value"),
    "two alphas": (
        {"v": FIT, "s": Search(variance="v", alpha=1.0)},
        {},
        "CE202",
        "alpha",
        "key",
    ),
    "no alpha": ({"s": Search()}, {}, "CE102", None, "key"),
    "a kernel without data": ({"s": EXACT}, {"data": None}, "CE202", None, "key"),
    "a spectrum of blocks": (
        {"s": Kernel(method="empirical", outputs="full", spectrum=True)},
        {},
        "CE202",
        "spectrum",
        "key",
    ),
    "a distance of blocks": (
        {"k": EXACT, "s": Kernel(method="empirical", outputs="full", reference="k")},
        {},
        "CE202",
        "reference",
        "key",
    ),
    "infinite blocks": ({"s": Kernel(outputs="full")}, {}, "CE202", "outputs", "value"),
    "an error of one network": (
        {"s": Kernel(method="empirical", error=0.1)},
        {},
        "CE202",
        "error",
        "key",
    ),
    "a mean of one draw": ({"s": Kernel(method="mean", draws=1)}, {}, "CE202", "draws", "value"),
    "a flow by the outputs of one network": (
        {"k": Kernel(kind="nngp", method="empirical"), "s": Flow(kernel="k", time=1.0)},
        {},
        "CE202",
        "kernel",
        "value",
    ),
    "tiles of a mean": ({"s": Kernel(method="mean", tile=64)}, {}, "CE202", "tile", "key"),
    "tiles of draws": (
        {"s": Kernel(method="empirical", draws=2, tile=64)},
        {},
        "CE202",
        "tile",
        "key",
    ),
    "tiles of all outputs": (
        {"s": Kernel(method="empirical", outputs="full", tile=64)},
        {},
        "CE202",
        "tile",
        "key",
    ),
    "a regression on all outputs": (
        {"s": Kernel(method="empirical", outputs="full", ridge=0.0)},
        {},
        "CE202",
        "ridge",
        "key",
    ),
    "an alignment of all outputs": (
        {"s": Kernel(method="empirical", outputs="full", alignment=True)},
        {},
        "CE202",
        "alignment",
        "key",
    ),
    "the NNGP of an infinite network that is drawn": (
        {"s": Kernel(kind="nngp", method="mean")},
        {"model": INFINITE},
        "CE203",
        "method",
        "value",
    ),
    "drawing an infinite network": (
        {"s": EMPIRICAL},
        {"model": INFINITE},
        "CE203",
        "method",
        "value",
    ),
    "the variance of an infinite network": (
        {"s": FIT},
        {"model": INFINITE},
        "CE203",
        None,
        "key",
    ),
    "a search from an infinite network": ({"s": BEST}, {"model": INFINITE}, "CE203", None, "key"),
    "exact off the diagonal": (
        {"s": Variance(method="exact", entries="off-diagonal")},
        {},
        "CE203",
        "method",
        "value",
    ),
    "exact with a bias": (
        {"s": Variance(method="exact")},
        {"model": BIASED},
        "CE203",
        "method",
        "value",
    ),
    "sampled with tanh": (
        {"s": Variance(method="sample")},
        {"model": TANH},
        "CE203",
        "method",
        "value",
    ),
    "exact moments with an error": (
        {"s": Variance(method="exact", error=0.1)},
        {},
        "CE202",
        "error",
        "key",
    ),
    "inputs from no data": (
        {"s": Variance(inputs_law="data")},
        {"data": None, "model": Mlp(widths=(8,), inputs=2, outputs=1)},
        "CE202",
        "inputs_law",
        "value",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_fault_of_meaning_is_found_at_its_key(case):
    stages, rest, code, key, part = FAULTY[case]
    path = ("stages", "s") if key is None else ("stages", "s", key)
    assert found(stages, **rest) == [(code, path, part)]


@pytest.mark.parametrize("case", FAULTY)
def test_a_fault_of_meaning_is_a_sentence_with_help(case):
    stages, rest, *_ = FAULTY[case]
    (fault,) = faults(stages, **rest)
    assert fault.message
    assert "\n" not in fault.message
    assert fault.help


def test_a_misspelt_reference_is_helped_with():
    (fault,) = faults({"alpha": FIT, "s": Search(variance="alhpa")})
    assert fault.help == "did you mean alpha?"


def test_a_misspelt_answer_is_helped_with():
    (fault,) = faults({"best": BEST, "k": Kernel(model="best.primel")})
    assert fault.help == "did you mean best.primal?"


def test_the_faults_of_all_stages_are_found():
    stages = {"a": Search(), "b": Kernel(outputs="full"), "c": Search(variance="b")}
    assert [fault.path[1] for fault in faults(stages)] == ["a", "b", "c"]


def test_check_raises_all_the_faults():
    with pytest.raises(SpecError) as caught:
        check(document({"a": Search(), "b": Search()}))
    assert len(caught.value.faults) == 2


def test_an_answer_of_an_infinite_network_is_as_infinite():
    stages = {"s": BEST, "k": Kernel(model="s.primal", method="empirical")}
    assert ("CE203", ("stages", "k", "method"), "value") in found(stages, model=INFINITE)


@pytest.mark.parametrize(("model", "finite"), [(FINITE, True), (INFINITE, False), (ENSEMBLE, True)])
def test_a_model_knows_whether_it_is_finite(model, finite):
    assert model.is_finite is finite


def test_the_member_of_a_network_is_itself():
    assert FINITE.member is FINITE
    assert ENSEMBLE.member is FINITE


def test_a_document_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        document({}).seed = 3  # pyright: ignore


def test_documents_are_equal_when_they_say_the_same():
    assert document({"v": FIT}) == document({"v": Variance()})
    assert document({"v": FIT}) != document({"v": Variance(draws=100)})
    assert document({}) != "a document"
