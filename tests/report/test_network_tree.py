"""The layers of a network in the tree of `ceflow plan`."""

import math
from typing import Any

import pytest
from rich.console import Console

from ceflow.compiler import compile
from ceflow.report import plan_tree
from ceflow.spec import (
    Block,
    Bottleneck,
    Data,
    Document,
    Ensemble,
    Gaussian,
    Mlp,
    Model,
    Network,
    Resnext,
)


def lines_of(model: Model, data: Data | None = None, width: int = 100) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(plan_tree(compile(Document(model=model, data=data)), {}))
    return captured.get().splitlines()


def test_equal_blocks_of_a_stage_are_shown_once():
    model = Resnext(stem="imagenet", blocks=[3, 4, 23, 3], cardinality=32, base_width=8)
    text = "\n".join(lines := lines_of(model))
    assert "resnext  88,791,336 parameters, 32.8 GFLOPs (16.4 GMACs) an example" in text
    # the name, the model, a stem of two, a mean, a dense layer; two kinds of block a stage
    assert len(lines) == 2 + 2 + 2 * 4 * 2 + 2
    assert "convolution 7x7/2 3 x 224 x 224 → 64 x 112 x 112, batchnorm, relu" in text
    assert "residual 1,024 x 14 x 14 → 1,024 x 14 x 14, relu  x 22" in text
    assert "1x1 512, 3x3/2 512 in 32 groups, 1x1 512; shortcut 1x1/2 512" in text
    assert all(len(line) <= 80 for line in lines)


def test_a_block_is_shown_on_its_patch():
    text = "\n".join(lines_of(Block(channels=4, widths=[5, 6], cardinality=3, outputs=2)))
    assert "convolution 1x1 4 x 3 x 3 → 15 x 3 x 3, relu" in text
    assert "convolution 3x3 15 x 3 x 3 → 18 x 1 x 1, relu" in text


def test_a_bottleneck_is_shown_between_its_halves():
    encoder, decoder = Mlp(widths=[6, 6], inputs=4), Mlp(widths=[7], outputs=2)
    lines = lines_of(Bottleneck(size=3, encoder=encoder, decoder=decoder))
    assert [line.strip("│├└─ ") for line in lines[2:]] == [
        "encoder  78 parameters, 156 FLOPs (78 MACs) an example",
        "dense 4 → 6, relu",
        "dense 6 → 6, relu",
        "dense 6 → 3",
        "decoder  35 parameters, 70 FLOPs (35 MACs) an example",
        "dense 3 → 7, relu",
        "dense 7 → 2",
    ]


def test_an_infinite_bottleneck_is_shown_too():
    encoder = Mlp(widths=[math.inf], inputs=4)
    decoder = Mlp(widths=[math.inf], outputs=2)
    text = "\n".join(lines_of(Bottleneck(size=math.inf, encoder=encoder, decoder=decoder)))
    assert "dense inf → inf\n" in text
    assert "bottleneck  infinitely wide" in text


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Mlp(widths=[1], inputs=1, outputs=1), ["mlp  2 parameters, 4 FLOPs"]),
        (Ensemble(multiplicity=1, member=Mlp(widths=[1])), ["1 member, each 2 parameters"]),
        (Mlp(widths=[math.inf]), ["mlp  infinitely wide", "1 input, 1 output"]),
    ],
)
def test_one_is_singular_and_infinity_is_a_word(model: Model, said: list[str]):
    data = Gaussian(inputs=1, outputs=1, train=1, test=1)
    shown = "\n".join(lines_of(model, data))
    for text in [*said, "1 training and 1 test example,"]:
        assert text in shown
    assert "inf parameters" not in shown


def test_layers_inside_layers_are_shown_at_80_columns():
    body: Any = [
        {"type": "layer-norm", "axes": "channels"},
        {"type": "ensemble", "multiplicity": 8, "layers": [
            {"type": "convolution", "channels": 4, "kernel": 3}, "relu",
            {"type": "convolution", "channels": 16, "kernel": 1}]},
    ]  # fmt: skip
    plain: Any = {"type": "convolution", "channels": 32, "stride": 2}
    layers: Any = [
        *({"type": "convolution", "channels": 16}, "gelu", {"type": "residual", "body": body}),
        *({"type": "residual", "body": body}, {"type": "attention", "heads": 4}),
        {"type": "residual", "body": ["relu", plain], "shortcut": [plain]},
        {"type": "residual", "body": [plain, "layer-norm"], "shortcut": [plain, "batch-norm"]},
        *("relu", "global-average", "dense"),
    ]
    lines = lines_of(Network(layers=layers, inputs=(3, 8, 8), outputs=2), width=80)
    assert [line.replace("│   ", "    ").rstrip() for line in lines[2:]] == [
        "    ├── convolution 3x3 3 x 8 x 8 → 16 x 8 x 8, gelu",
        "    ├── residual 16 x 8 x 8 → 16 x 8 x 8  x 2",
        "        ├── layernorm 16 x 8 x 8",
        "        └── 8 members, each 640 parameters, 81.9 kFLOPs (41.0 kMACs) an example",
        "            ├── convolution 3x3 16 x 8 x 8 → 4 x 8 x 8, relu",
        "            └── convolution 1x1 4 x 8 x 8 → 16 x 8 x 8",
        "    ├── attention of 4 x 4 channels 16 x 8 x 8 → 16 x 8 x 8",
        "    ├── residual 16 x 8 x 8 → 32 x 4 x 4",
        "        └── 3x3/2 32; shortcut 3x3/2 32",
        "    ├── residual 32 x 4 x 4 → 32 x 2 x 2",
        "        ├── convolution 3x3/2 32 x 4 x 4 → 32 x 2 x 2, layernorm",
        "        └── shortcut",
        "            └── convolution 3x3/2 32 x 4 x 4 → 32 x 2 x 2, batchnorm",
        "    ├── relu 32 x 2 x 2",
        "    ├── global-average 32 x 2 x 2 → 32",
        "    └── dense 32 → 2",
    ]
