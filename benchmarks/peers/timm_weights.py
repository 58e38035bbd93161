"""Outputs of timm's network with the weights of an exported file, and names of its weights.

Own environment: torch==2.13.0, timm, safetensors (see timm_network.py). The file says which network
it is for.

    timm_weights.py outputs FILE.safetensors IMAGES.npy OUTPUTS.npy
    timm_weights.py names LINE ...      a line for each weight: LINE, its name and its shape
"""

import sys

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

operators = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):  # which its import looks for, and none calls
    operators.define(f"{operator}(Tensor a) -> Tensor")
import timm  # noqa: E402
from timm.models.resnet import BasicBlock, Bottleneck, ResNet  # noqa: E402

NAMES = {"timm": timm, "ResNet": ResNet, "Bottleneck": Bottleneck, "BasicBlock": BasicBlock}


def outputs(weights, images, file):
    with safe_open(weights, "pt") as opened:
        network = eval(opened.metadata()["timm"], NAMES)
    network.load_state_dict(load_file(weights), strict=True)
    with torch.no_grad():
        y = network.eval()(torch.from_numpy(np.load(images)).float())
    np.save(file, y.numpy())


match sys.argv[1:]:
    case ["outputs", weights, images, file]:
        outputs(weights, images, file)
    case ["names", *lines]:
        for index, line in enumerate(lines):
            for name, array in eval(line, dict(NAMES)).state_dict().items():
                print(index, name, *array.shape)
