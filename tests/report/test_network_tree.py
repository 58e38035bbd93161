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
    text = "\n".join(lines := lines_of(model, width=80))
    assert "resnext  88,791,336 parameters, 32.8 GFLOPs (16.4 GMACs) an example" in text
    # the name, the model, the inputs, a stem of two, a mean, a dense layer; two kinds of block a
    # stage, of three layers each, and a shortcut in one of them
    assert sum("→" in line for line in lines) == 2 + 4 * (2 + 2 * 3 + 1) + 2
    assert "convolution 7x7/2 → 64 x 112 x 112, batch-norm, relu     9.54 k    236 M" in text
    assert "residual → 1,024 x 14 x 14, then relu  x 22, each" in text
    assert "convolution 3x3/2 in 32 groups → 512 x 28 x 28, batch-norm, relu" in text
    assert "shortcut: convolution 1x1/2 → 512 x 28 x 28, batch-norm" in text
    assert all(len(line) <= 80 for line in lines)


def test_counts_of_rows_are_those_of_the_layers_on_them():
    body: Any = [{"type": "convolution", "groups": "depthwise"}, "batch-norm", "relu"]
    mixed: Any = {"type": "convolution", "channels": 12, "groups": 2, "stride": 2}
    layers: Any = [{"type": "residual", "body": body, "repeat": 3}, mixed, "flatten", "dense"]
    lines = lines_of(Network(layers=layers, inputs=(8, 4, 4), outputs=2), width=80)
    assert lines[1].startswith("└── model  network  792 parameters")  # 3 x 88 + 432 + 96
    assert lines[2:] == [
        "    ├── inputs 8 x 4 x 4                                     parameters    FLOPs",
        # 8 filters of 3x3, a scale and a shift each; 2 FLOPs at 16 positions
        "    ├── residual → 8 x 4 x 4  x 3, each                              88   2.30 k",
        "    │   └── depthwise 3x3 → 8 x 4 x 4, batch-norm, relu              88   2.30 k",
        # 12 filters of 3x3 over 4 channels, at 4 positions
        "    ├── convolution 3x3/2 in 2 groups → 12 x 2 x 2                  432   3.46 k",
        "    ├── flatten → 48",
        "    └── dense 48 → 2                                                 96      192",
    ]
    at_most = lines_of(Network(layers=layers, inputs=(8, 4, 4), outputs=2), width=500)
    assert max(map(len, at_most)) == 100


def test_a_block_is_shown_on_its_patch():
    text = "\n".join(lines_of(Block(channels=4, widths=[5, 6], cardinality=3, outputs=2)))
    assert "convolution 1x1 → 15 x 3 x 3, relu" in text
    assert "convolution 3x3 in 3 groups → 18 x 1 x 1, relu" in text


def test_a_bottleneck_is_shown_between_its_halves():
    encoder, decoder = Mlp(widths=[6, 6], inputs=4), Mlp(widths=[7], outputs=2)
    lines = lines_of(Bottleneck(size=3, encoder=encoder, decoder=decoder))
    assert [line.strip("│├└─ ").split("    ")[0] for line in lines[2:]] == [
        "inputs 4",
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
    assert "parameters" not in text
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
        "    ├── inputs 3 x 8 x 8                                     parameters    FLOPs",
        "    ├── convolution 3x3 → 16 x 8 x 8, gelu                          432   55.3 k",
        "    ├── residual → 16 x 8 x 8  x 2, each                         5.15 k    655 k",
        "        ├── layer-norm                                               32",
        "        └── 8 members, each 640 parameters                       5.12 k    655 k",
        "            ├── convolution 3x3 → 4 x 8 x 8, relu                   576   73.7 k",
        "            └── convolution 1x1 → 16 x 8 x 8                         64   8.19 k",
        "    ├── attention of 4 x 4 channels → 16 x 8 x 8                 1.02 k    393 k",
        "    ├── residual → 32 x 4 x 4                                    9.22 k    295 k",
        "        ├── relu",
        "        ├── convolution 3x3/2 → 32 x 4 x 4                       4.61 k    147 k",
        "        └── shortcut: convolution 3x3/2 → 32 x 4 x 4             4.61 k    147 k",
        "    ├── residual → 32 x 2 x 2, then relu                         18.6 k    147 k",
        "        ├── convolution 3x3/2 → 32 x 2 x 2, layer-norm           9.28 k   73.7 k",
        "        └── shortcut: convolution 3x3/2 → 32 x 2 x 2, batch-norm",
        "                                                                 9.28 k   73.7 k",
        "    ├── global-average → 32",
        "    └── dense 32 → 2                                                 64      128",
    ]
