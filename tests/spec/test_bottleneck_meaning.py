"""Meaning of networks with a bottleneck: each fault of the model, and of stages on it, with its
place and its sentence."""

import math
from typing import Any

import pytest

import ceflow
from ceflow.spec import (
    Bottleneck,
    DeepGp,
    Document,
    Flow,
    Kernel,
    Mlp,
    Network,
    Search,
    SpecError,
    Stop,
    Sweep,
    Train,
    Variance,
    variants,
)

END: dict[str, Any] = {"time": 1.0}


def network(size: float, encoder: Any, decoder: Any, **keys: Any) -> Bottleneck:
    """`keys` are of the decoder."""
    return Bottleneck(size=size, encoder=Mlp(widths=encoder), decoder=Mlp(widths=decoder, **keys))


FINITE, WIDE = network(3, [8, 9], [10]), network(3, [math.inf], [math.inf])
INFINITE = network(math.inf, [math.inf], [math.inf])


def document(model: Bottleneck, stages: dict[str, Any] | None = None, **keys: Any) -> Document:
    return Document(data=DeepGp(train=4, inputs=2), model=model, stages=stages or {}, **keys)


def test_what_a_network_is():
    assert FINITE.widths == (8, 9, 3, 10)
    assert [model.is_finite for model in (FINITE, WIDE, INFINITE)] == [True, False, False]
    assert [model.is_wide_bottleneck for model in (FINITE, WIDE, INFINITE)] == [False, True, False]
    assert WIDE.decoder_scale == 2 / 3


OF_MODELS = {
    "an infinite middle": (
        network(math.inf, [4], [4]),
        ("size",),
        "an infinite bottleneck between finite layers",
    ),
    "a mixture": (
        network(3, [math.inf], [4]),
        ("decoder", "widths"),
        "one layer beside the bottleneck is infinitely wide, another is not",
    ),
    "a mixture in a half": (
        network(3, [math.inf, 5], [math.inf]),
        ("encoder", "widths"),
        "one layer beside the bottleneck is infinitely wide, another is not",
    ),
}


@pytest.mark.parametrize("case", OF_MODELS)
def test_a_fault_of_a_network_is_said_where_it_is(case):
    model, path, message = OF_MODELS[case]
    (fault,) = document(model).faults()
    assert (fault.code, fault.path, fault.message) == ("CE203", ("model", *path), message)
    assert fault.help


@pytest.mark.parametrize(("half", "key"), [("encoder", "outputs"), ("decoder", "inputs")])
def test_sizes_that_are_given_agree(half, key):
    part = getattr(FINITE, half)

    def given(count: int) -> Document:
        changed = part.model_copy(update={key: count})
        return document(FINITE.model_copy(update={half: changed}))

    assert not given(3).faults()
    (fault,) = given(4).faults()
    assert (fault.code, fault.path) == ("CE204", ("model", half, key))
    assert fault.message == f"the {half} has 4 {key}, the bottleneck 3 units"


DEEP = network(3, [math.inf], [math.inf, math.inf], bias_variance=0.1)
SOUND = {
    "a flow": (WIDE, Flow(**END)),
    "a flow with a deep decoder": (DEEP, Flow(**END)),
    "a training with one": (DEEP, Train(steps=2, engine="history")),
    "its NTK": (WIDE, Flow(**END, record=["drift", "kernel"], replicas=4)),
    "entries": (WIDE, Flow(**END, record=["drift"], entries=[[0, 1]])),
    "a stop": (WIDE, Flow(**END, stop=Stop(train_loss=1.0), width=50, sampling="orthogonal")),
    "a flow of parameters": (FINITE, Flow(**END, record=["derivatives"])),
    "the limit": (INFINITE, Flow(time=math.inf)),
    "the kernel of the limit": (INFINITE, Kernel(kind="nngp", tile=2)),
    "a kernel that is drawn": (FINITE, Kernel(method="mean", error=0.1)),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_stage_has_no_faults(case):
    model, stage = SOUND[case]
    assert not document(model, {"s": stage}).faults()


DENSE: dict[str, Any] = {"type": "dense", "units": math.inf}
NARROW, OPEN = {"type": "dense", "units": 3}, {"type": "dense"}
CONVOLUTION: dict[str, Any] = {"type": "convolution", "channels": math.inf}
MEMBERS = {"type": "ensemble", "multiplicity": 2, "layers": [DENSE]}
HALF: list[Any] = [DENSE, "relu", OPEN]
OF_PARTS: dict[str, tuple[float, Any, Any, tuple[Any, ...], str]] = {
    "an encoder without a kernel": (
        *(3, [DENSE, "batch-norm", "relu", OPEN], HALF, ("encoder", "layers", 1)),
        "batch-norm has no kernel at infinite width here",
    ),
    "an encoder that ends in no layer with weights": (
        *(3, [DENSE, "relu", MEMBERS], HALF, ("encoder", "layers")),
        "the units of the bottleneck are no outputs of a layer with weights",
    ),
    "an encoder of another size": (
        *(2, [DENSE, "relu", NARROW], HALF, ("encoder", "outputs")),
        "the layers end in a vector of 3, and outputs = 2",
    ),
    "a decoder of other layers": (
        *(3, HALF, [DENSE, "layer-norm", "relu", OPEN], ("decoder", "layers")),
        "the kernels of an infinitely wide decoder are known for dense layers, with one activation"
        " between",
    ),
    "a finite encoder": (
        *(3, [NARROW, "relu", OPEN], HALF, ("encoder", "layers")),
        "one layer beside the bottleneck is infinitely wide, another is not",
    ),
}


@pytest.mark.parametrize("case", OF_PARTS)
def test_a_fault_of_a_half_of_layers_is_said_where_it_is(case):
    size, encoder, decoder, path, message = OF_PARTS[case]
    inputs = (3, 4, 4) if CONVOLUTION in encoder else 2
    halves = Network(layers=encoder, inputs=inputs), Network(layers=decoder)
    model = Bottleneck(size=size, encoder=halves[0], decoder=halves[1])
    (fault,) = Document(model=model).faults()
    assert (fault.path, fault.message) == (("model", *path), message)
    assert fault.help


def test_an_infinite_middle_takes_an_encoder_of_layers():
    layers: list[Any] = [CONVOLUTION, "relu", "flatten", OPEN]
    encoder = Network(layers=layers, inputs=(3, 4, 4))
    model = Bottleneck(size=math.inf, encoder=encoder, decoder=INFINITE.decoder)
    assert not Document(model=model).faults()
    assert model.why_no_limit is None


ONLY = "the engine 'features' is for infinitely wide halves about a finite bottleneck"
OF_STAGES = {
    "no weights": (
        WIDE,
        Flow(**END, engine="parameters"),
        ("CE203", ("engine",)),
        "a network with an infinite layer has no weights to follow",
    ),
    "no kernel": (
        WIDE,
        Flow(**END, engine="kernel"),
        ("CE203", ("engine",)),
        "a finite layer among infinite ones has no deterministic kernel",
    ),
    "no finite bottleneck": (
        INFINITE,
        Flow(**END, engine="features"),
        ("CE203", ("engine",)),
        ONLY,
    ),
    "weights": (FINITE, Flow(**END, engine="features"), ("CE203", ("engine",)), ONLY),
    "derivatives": (
        WIDE,
        Flow(**END, record=["drift", "derivatives"]),
        ("CE202", ("record",)),
        "under the engine 'features' the NTK has no derivatives by weights",
    ),
    "nothing moves": (
        INFINITE,
        Flow(**END, record=["drift"]),
        ("CE202", ("record",)),
        "record records a changing NTK, and under the engine 'closed-form' it is fixed",
    ),
    "narrow": (
        WIDE,
        Flow(**END, width=2),
        ("CE202", ("width",)),
        "a bottleneck of 3 units in a sampled network of 2",
    ),
    "no closed form": (
        WIDE,
        Flow(time=math.inf),
        ("CE203", ("time",)),
        "only the closed form reaches infinite time",
    ),
    "a kernel that depends on weights": (
        WIDE,
        Kernel(),
        ("CE203", ("method",)),
        "with a finite bottleneck the kernel depends on the weights that are drawn",
    ),
    "a finite kernel that does": (
        FINITE,
        Kernel(kind="nngp"),
        ("CE203", ("method",)),
        "with a finite bottleneck the kernel depends on the weights that are drawn",
    ),
    "nothing to draw": (
        INFINITE,
        Kernel(method="empirical"),
        ("CE203", ("method",)),
        "a network with an infinite layer cannot be drawn",
    ),
    "a variance": (
        FINITE,
        Variance(),
        ("CE203", ()),
        "the variance of an NTK entry is fitted for networks without a bottleneck",
    ),
    "a search": (
        FINITE,
        Search(alpha=3.0),
        ("CE203", ()),
        "optimal ensembles are found for networks without a bottleneck",
    ),
}


@pytest.mark.parametrize("case", OF_STAGES)
def test_a_fault_of_a_stage_is_said_where_it_is(case):
    model, stage, (code, path), message = OF_STAGES[case]
    (fault,) = document(model, {"s": stage}).faults()
    assert (fault.code, fault.path, fault.message) == (code, ("stages", "s", *path), message)
    assert fault.help


@pytest.mark.parametrize("key", ["width", "sampling"])
def test_nothing_is_sampled_for_other_networks(key):
    flow = Flow(**END, **{key: {"width": 50, "sampling": "orthogonal"}[key]})
    data = DeepGp(train=4, inputs=2)
    (fault,) = Document(data=data, model=Mlp(widths=[4]), stages={"s": flow}).faults()
    assert (fault.code, fault.path) == ("CE202", ("stages", "s", key))
    assert fault.message == f"{key} is for infinitely wide networks with a bottleneck only"


def test_a_sweep_may_go_over_the_size_up_to_infinity():
    sweep = Sweep.model_validate({"model.size": [2, 10, "inf"]})
    whole = document(WIDE, {"s": Flow(**END, width=50)}, sweep=sweep)
    each = [Flow(**END).engine_of(one.model) for one in variants(whole).values()]
    assert each == ["features", "features", "closed-form"]


def test_a_network_that_does_not_fit_is_refused_with_its_key(monkeypatch):
    from ceflow.runs import prepare

    monkeypatch.setattr("ceflow.runs.machine.memory", lambda: 1e9)
    cases = [
        (network(3, [20_000, 20_000], [9]), Flow(**END), "model.encoder.widths"),
        (WIDE, Flow(**END, width=10**8), "stages.s.width"),
    ]
    for model, stage, key in cases:
        with pytest.raises(SpecError, match=r"CE401.*would need [\d.]+ GB") as caught:
            prepare(ceflow.compile(document(model, {"s": stage})))
        assert caught.value.faults[0].help == f"lower {key}"
