"""Lines of timm: their text, what they build, and timm's own counts and outputs of it."""

import os
import subprocess
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from exported_files import batched, drawn, filled
from numpy.testing import assert_allclose

from ceflow.compiler import Plan, compile
from ceflow.exports import export, timm_line, torchvision_line
from ceflow.exports.torchvision import refusal
from ceflow.spec import Bottleneck, Document, Mlp, Resnext, SpecError

PEER = Path(__file__).parents[2] / "benchmarks" / "peers" / "timm_network.py"
VARIABLE = "CEFLOW_PEER_TIMM"


def plan_of(**fields) -> Plan:
    return compile(Document(model=Resnext(**fields)))


def imagenet(blocks, cardinality, base_width, **fields):
    return plan_of(
        stem="imagenet", blocks=blocks, cardinality=cardinality, base_width=base_width, **fields
    )


R50, R101 = [3, 4, 6, 3], [3, 4, 23, 3]
PUBLISHED = [
    (imagenet(R50, 1, 64), 25_557_032),
    (imagenet(R101, 1, 64), 44_549_160),
    (imagenet(R50, 32, 4), 25_028_904),
    (imagenet(R101, 32, 8), 88_791_336),
    (imagenet(R101, 64, 4), 83_455_272),
]
"""torchvision's documented parameter counts, of the networks it publishes."""
OTHERS = [
    imagenet(R50, 12, 10),
    imagenet(R101, 12, 10),
    plan_of(blocks=[3, 3, 3], base_width=128),
    plan_of(blocks=[3, 3, 3], cardinality=37, base_width=10),
    plan_of(blocks=[3, 3, 3], cardinality=10, base_width=10),
    plan_of(blocks=[3, 3, 3], cardinality=10, base_width=10, outputs=100, inputs=[1, 28, 28]),
    plan_of(blocks=[3, 3, 3, 3], cardinality=8, base_width=16),
    plan_of(blocks=[2], base_width=64),
    imagenet([1, 2], 4, 7, outputs=3, inputs=[4, 64, 64]),
]
PLANS = [plan for plan, _ in PUBLISHED] + OTHERS


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (imagenet(R50, 1, 64), 'timm.create_model("resnet50")'),
        (
            imagenet(R50, 12, 10),
            'timm.create_model("resnet50", cardinality=12, base_width=10)',
        ),
        (
            imagenet([2, 2, 2, 2], 2, 64, outputs=7, inputs=[1, 64, 64]),
            'timm.create_model("resnet26", num_classes=7, in_chans=1, cardinality=2)',
        ),
        (
            imagenet([2, 2, 2, 3], 2, 64, outputs=7, inputs=[1, 64, 64]),
            "ResNet(Bottleneck, [2, 2, 2, 3], num_classes=7, in_chans=1, cardinality=2)",
        ),
        (
            plan_of(blocks=[3, 3, 3, 3], base_width=64),
            "(net := ResNet(Bottleneck, [3, 3, 3, 3], num_classes=10))"
            '.add_module("conv1", type(net.conv1)(3, 64, 3, padding=1, bias=False))'
            ' or net.add_module("maxpool", type(net.layer1)())'
            " or net.init_weights() or net",
        ),
    ],
)
def test_the_line_names_what_differs_from_the_defaults_of_timm(plan, line):
    assert timm_line(plan) == line


class Part:
    """A layer of the stand-in below: its parameters, and the names of timm for what it does."""

    def __init__(self, *sizes, **options):
        self.parameters = sizes[0] * sizes[1] * sizes[2] ** 2 if sizes else 0
        assert options in ({}, {"padding": 1, "bias": False})


class Sequential:
    def __init__(self, parameters=0):
        self.parameters = parameters


class ResNet:
    """Counts what timm's documented arguments build, by a formula of this test's own."""

    def __init__(
        self,
        block,
        layers,
        num_classes=1000,
        in_chans=3,
        cardinality=1,
        base_width=64,
        channels=(64, 128, 256, 512),
    ):
        self.conv1, self.maxpool = Part(in_chans, 64, 7), Part()
        inputs, initial = 64, 2 * 64
        for stage, (count, planes) in enumerate(zip(layers, channels, strict=True), 1):
            width, outputs = planes * base_width // 64 * cardinality, 4 * planes
            setattr(self, f"layer{stage}", Sequential())
            for index in range(count):
                ends = inputs * width + width * outputs
                middle = 9 * width * width // cardinality
                projection = 0 if index else inputs * outputs + 2 * outputs
                initial += ends + middle + 4 * width + 2 * outputs + projection
                inputs = outputs
        self.rest = initial + inputs * num_classes + num_classes

    def add_module(self, name, module):
        assert name in ("conv1", "maxpool") or not hasattr(self, name)
        setattr(self, name, module)

    def init_weights(self):
        assert self.layer4  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def parameters(self):
        return self.conv1.parameters + self.maxpool.parameters + self.rest


DEPTHS = {
    "resnet26": [2, 2, 2, 2],
    "resnet50": R50,
    "resnet101": R101,
    "resnet152": [3, 8, 36, 3],
    "resnet200": [3, 24, 36, 3],
}
"""timm's and torchvision's names."""


class Timm:
    @staticmethod
    def create_model(name, **options):
        return ResNet(None, DEPTHS[name], **options)


class Torchvision:
    """`torchvision.models`, and `torchvision.models.resnet`."""

    Bottleneck = None

    @staticmethod
    def ResNet(block, layers, groups=1, width_per_group=64, num_classes=1000):
        return ResNet(block, layers, num_classes, 3, groups, width_per_group)

    def __getattr__(self, name):
        if name in ("models", "resnet"):
            return self
        assert name in ("resnet50", "resnet101", "resnet152")
        return partial(self.ResNet, None, DEPTHS[name])


@pytest.mark.parametrize("plan", PLANS)
def test_the_line_builds_as_many_parameters_as_the_plan_has(plan):
    network = eval(timm_line(plan), {"ResNet": ResNet, "Bottleneck": None, "timm": Timm})
    assert network.parameters == plan.root.parameters


BY_TORCHVISION = [plan for plan in PLANS if refusal(plan) is None]


def test_torchvision_builds_what_it_publishes():
    assert [plan for plan, _ in PUBLISHED] == BY_TORCHVISION[: len(PUBLISHED)]


@pytest.mark.parametrize("plan", BY_TORCHVISION)
def test_the_line_of_torchvision_builds_as_many_parameters(plan):
    line = torchvision_line(plan)
    assert eval(line, {"torchvision": Torchvision()}).parameters == plan.root.parameters
    assert f"by torchvision: {line}" in export(plan, "timm").notes


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (imagenet(R50, 12, 10), "torchvision.models.resnet50(groups=12, width_per_group=10)"),
        (
            imagenet([2, 2, 2, 3], 2, 64, outputs=7),
            "torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [2, 2, 2, 3],"
            " num_classes=7, groups=2)",
        ),
    ],
)
def test_the_line_of_torchvision(plan, line):
    assert torchvision_line(plan) == line


@pytest.mark.parametrize(
    ("model", "key", "message"),
    [
        (Mlp(widths=[3], inputs=2, outputs=1), "type", "models of type resnext, not of type mlp"),
        (Resnext(blocks=[1] * 3, base_width=4), "blocks", "has four stages, this one 3"),
        (Resnext(blocks=[1] * 4, base_width=4), "stem", "the stem of imagenet, this one that of"),
        (
            Resnext(stem="imagenet", blocks=[1] * 4, base_width=4, inputs=[1, 64, 64]),
            "inputs",
            "takes 3 channels, this one 1",
        ),
    ],
)
def test_what_torchvision_cannot_build_is_said_with_what_can(model, key, message):
    with pytest.raises(SpecError) as caught:
        torchvision_line(compile(Document(model=model)))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == ("CE203", ("model", key))
    assert message in fault.message
    assert "equinox" in fault.help


@pytest.mark.parametrize(("plan", "parameters"), PUBLISHED)
def test_published_networks_have_their_published_counts(plan, parameters):
    assert plan.root.parameters == parameters


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Mlp(widths=[3], inputs=2, outputs=1),
            "call of its ResNet, which can build models of type resnext, not of type mlp",
        ),
        (
            Bottleneck(
                size=1, encoder=Mlp(widths=[3], inputs=2), decoder=Mlp(widths=[3], outputs=1)
            ),
            "call of its ResNet, which can build models of type resnext, not of type bottleneck",
        ),
        (Resnext(blocks=[1] * 5, base_width=4), "timm's ResNet has at most 4 stages, this one 5"),
        (Resnext(blocks=[1], base_width=4), "timm's ResNet cannot be built with one block alone"),
    ],
)
def test_what_timm_cannot_build_is_said(model, message):
    with pytest.raises(SpecError) as caught:
        timm_line(compile(Document(model=model)))
    (fault,) = caught.value.faults
    assert (fault.code, fault.message.removeprefix("an export to timm is a ")) == ("CE203", message)
    assert "equinox" in fault.help


@pytest.mark.parametrize(
    ("stem", "words"), [("imagenet", ["by torchvision"]), ("cifar", ["no argument"])]
)
def test_the_notes_say_the_count_and_what_was_replaced(stem, words):
    plan = plan_of(stem=stem, blocks=[3, 3, 3, 3], base_width=4)
    count, names, *others = export(plan, "timm").notes
    assert count.startswith(f"{plan.root.parameters:,} parameters, ")
    assert "from timm.models.resnet import" in names
    assert len(others) == len(words)
    assert all(word in note for word, note in zip(words, others, strict=True))


def peer(*arguments: str) -> str:
    """What timm says; the test is skipped where it is absent."""
    python = os.environ.get(VARIABLE)
    if python is None:
        pytest.skip(f"{VARIABLE} does not name the python of an environment with timm ({PEER})")
    command = [python, str(PEER), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_timm_counts_as_many_parameters():
    lines = [*map(timm_line, PLANS), *map(torchvision_line, BY_TORCHVISION)]
    counts = map(int, peer("count", *lines).split())
    assert list(counts) == [plan.root.parameters for plan in PLANS + BY_TORCHVISION]


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_timm_computes_the_same(stem, tmp_path, x64):
    """With timm's weights in the exported Equinox file, in inference and in training mode."""
    plan = plan_of(stem=stem, blocks=[2, 1, 2], cardinality=4, base_width=8, outputs=10)
    peer("outputs", timm_line(plan), str(tmp_path / "timm.npz"))
    network, state = drawn(plan)
    with np.load(tmp_path / "timm.npz") as file:
        network = filled(network, [file[name] for name in file if name.startswith("arr_")])
        for mode in ("inference", "training"):
            x = jnp.asarray(file["x"], float)
            y, _ = batched(network, state, x, inference=mode == "inference")
            # timm's arithmetic is float32, through some 20 layers
            assert_allclose(y, file[mode], rtol=0, atol=1e-4 * abs(file[mode]).max())
