"""Meaning of verify stages: each fault with its place and its sentence."""

import math

import pytest

from ceflow.spec import (
    Bottleneck,
    Chain,
    Document,
    Ensemble,
    Mlp,
    Search,
    SpecError,
    Verify,
    dumps,
    loads,
)

HALF = Mlp(widths=(math.inf,), inputs=2, outputs=1)
INNER = Mlp(widths=(math.inf,))
WIDE = Bottleneck(size=3, encoder=Mlp(widths=(math.inf,), inputs=2), decoder=INNER)
CHAIN = Chain(segments=[Mlp(widths=(math.inf,), inputs=2), INNER, INNER], sizes=[3, 2])
DEEP = WIDE.model_copy(update={"decoder": Mlp(widths=(math.inf,) * 2, bias_variance=0.1)})
MEMBER = Mlp(widths=(8,), inputs=2, outputs=1, activation="erf")
ENSEMBLE = Ensemble(multiplicity=2, member=MEMBER)
RELU = Ensemble(multiplicity=2, member=MEMBER.model_copy(update={"activation": "relu"}))


def document(model, **keys):
    return Document(model=model, stages={"v": Verify(**keys)})


@pytest.mark.parametrize(
    ("model", "claims"),
    [
        (WIDE, ["lemma-3.1", "theorem-3.2", "lemma-4.1", "eq-5", "eq-6", "eq-41"]),
        (CHAIN, ["chain"]),
        (DEEP, ["theorem-3.2", "lemma-4.1", "eq-5", "eq-6"]),
        (ENSEMBLE, ["lemma-1", "theorem-1"]),
        (
            ENSEMBLE.model_copy(update={"member": HALF.model_copy(update={"widths": (8,)})}),
            ["lemma-1"],
        ),
    ],
)
def test_a_sound_stage_has_no_faults_and_can_be_written(model, claims):
    sound = document(model, claims=claims)
    assert not sound.faults()
    assert loads(dumps(sound)) == sound


def test_a_claim_about_ensembles_may_be_checked_on_the_answer_of_a_search():
    stages = {"best": Search(alpha=3.0), "v": Verify(claims=("lemma-1",), model="best.primal")}
    assert not Document(model=Mlp(widths=(8, 8), inputs=3, outputs=1), stages=stages).faults()


FAULTS = {
    "a deep decoder": (
        DEEP,
        {"claims": ["eq-41"]},
        "eq-41 is about a decoder of one hidden layer without biases",
    ),
    "an ensemble's": (WIDE, {"claims": ["lemma-1"]}, "lemma-1 is about ensembles"),
    "a bottleneck's": (ENSEMBLE, {"claims": ["eq-5"]}, "eq-5 is about bottlenecks"),
    "a chain's": (WIDE, {"claims": ["chain"]}, "chain is about chains"),
    "a bottleneck's, of a chain": (
        CHAIN,
        {"claims": ["theorem-3.2"]},
        "theorem-3.2 is about bottlenecks",
    ),
    "a chain of one unit": (
        CHAIN.model_copy(update={"sizes": (3, 1)}),
        {"claims": ["chain"]},
        "with kinks the claim is tested for bottlenecks of two units or more",
    ),
    "a finite chain": (
        CHAIN.model_copy(update={"segments": (Mlp(widths=(8,)),) * 3}),
        {"claims": ["chain"]},
        "chain is about a finite bottleneck between infinitely wide layers",
    ),
    "an mlp": (HALF, {"claims": ["theorem-3.2"]}, "theorem-3.2 is about bottlenecks"),
    "infinite members": (
        ENSEMBLE.model_copy(update={"member": HALF}),
        {"claims": ["lemma-1"]},
        "lemma-1 is about members of finite width",
    ),
    "a kink": (
        RELU,
        {"claims": ["theorem-1"]},
        "theorem 1 assumes an analytic activation, which relu is not",
    ),
    "finite halves": (
        Bottleneck(size=3, encoder=Mlp(widths=(8,)), decoder=Mlp(widths=(8,))),
        {"claims": ["eq-6"]},
        "eq-6 is about a finite bottleneck between infinitely wide layers",
    ),
    "no bottleneck": (
        WIDE.model_copy(update={"size": math.inf}),
        {"claims": ["eq-41"]},
        "eq-41 is about a finite bottleneck between infinitely wide layers",
    ),
    "twice": (WIDE, {"claims": ["eq-5", "eq-5"]}, "a claim is named twice"),
    "narrow": (WIDE, {"claims": ["eq-5"], "width": 2}, "3 units in a sampled network of 2"),
    "few draws": (WIDE, {"claims": ["lemma-3.1"], "draws": 5}, "5 draws are too few"),
    "one point": (ENSEMBLE, {"claims": ["theorem-1"], "points": 1}, "pairs of two inputs"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults(case):
    model, keys, message = FAULTS[case]
    (fault,) = document(model, **keys).faults()
    assert message in fault.message
    assert fault.path[:2] == ("stages", "v")
    assert fault.help


def test_draws_are_free_where_none_are_drawn():
    assert not document(WIDE, claims=["eq-5"], draws=1).faults()


def test_claims_that_are_not_known():
    with pytest.raises(SpecError, match="lemma-9"):
        loads(
            '[model]\ntype = "mlp"\nwidths = [2]\n[stages.v]\ntype = "verify"\nclaims = ["lemma-9"]'
        )
