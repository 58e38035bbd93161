"""Networks that lines of Python build with timm or torchvision: counts, or outputs.

Own environment: torch==2.13.0, timm, pillow, and torchvision==0.28.0 with --no-deps (only CUDA
builds of it exist; two operators that its import looks for are declared here, none is called).

    timm_network.py count LINE ...        the number of parameters of each, a line each
    timm_network.py outputs LINE FILE     parameters, images and outputs as an .npz
"""

import sys

import numpy as np
import torch

operators = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    operators.define(f"{name}(Tensor a) -> Tensor")
import timm  # noqa: E402
import torchvision  # noqa: E402
from timm.models.resnet import Bottleneck, ResNet  # noqa: E402


def built(line):
    names = {"timm": timm, "torchvision": torchvision}
    return eval(line, names | {"ResNet": ResNet, "Bottleneck": Bottleneck})


def outputs(line, file, side=32, batch=4):
    """In inference and in training mode; timm's zeros in the last scale of a block replaced."""
    torch.manual_seed(0)
    network = built(line)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5)
        x = torch.randn(batch, network.conv1.in_channels, side, side)
        inference, training = network.eval()(x), network.train()(x)
    arrays = [parameter.detach() for parameter in network.parameters()]
    np.savez(file, *arrays, x=x, inference=inference, training=training)


match sys.argv[1:]:
    case ["count", *lines]:
        for line in lines:
            print(sum(parameter.numel() for parameter in built(line).parameters()))
    case ["outputs", line, file]:
        outputs(line, file)
