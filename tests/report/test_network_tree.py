"""The layers of a network in the tree of `ceflow plan`."""

import math

import pytest
from rich.console import Console

from ceflow.compiler import compile
from ceflow.report import plan_tree
from ceflow.spec import Block, Bottleneck, Data, Document, Ensemble, Gaussian, Mlp, Model, Resnext


def lines_of(model: Model, data: Data | None = None) -> list[str]:
    console = Console(width=100)
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
