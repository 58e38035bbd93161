"""Parameters and FLOPs of the networks of timm and torchvision that ceflow has ready-made.

Environment: torch 2.13.0, timm 1.0.29, pillow, and torchvision 0.28.0 with --no-deps. FLOPs are
two per multiply-add of convolutions and linear layers, counted by forward hooks, and of the two
products of attention. Usage: python ready_made_counts.py
"""

import torch
from torch import nn
from torch.nn import functional as F

operators = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):  # which its import looks for, and none calls
    operators.define(f"{operator}(Tensor a) -> Tensor")
import timm  # noqa: E402
import torchvision.models as tv  # noqa: E402


class WideBlock(nn.Module):
    """A basic block of the authors' WideResNet, with batch norm and ReLU before convolutions."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = None
        if inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = F.relu(self.norm1(x))
        straight = self.shortcut(y) if self.shortcut else x
        return straight + self.conv2(F.relu(self.norm2(self.conv1(y))))


def wide_resnet(groups=4, widths=(160, 320, 640)):
    """WRN-28-10 for CIFAR-10 (Zagoruyko and Komodakis 2016), which neither library has."""
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
    for stage, width in enumerate(widths):
        for block in range(groups):
            layers.append(WideBlock(inputs, width, 2 if stage and not block else 1))
            inputs = width
    ends = (nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, *ends, nn.Linear(inputs, 10))


NETWORKS = {
    "vgg-16": tv.vgg16,
    "vgg-16-bn": tv.vgg16_bn,
    "wide-resnet-28-10": wide_resnet,
    "resnet-18": tv.resnet18,
    "resnet-34": tv.resnet34,
    "mobilenet-v2": tv.mobilenet_v2,
    "convnext-tiny": tv.convnext_tiny,
    "mixer-s16": lambda: timm.create_model("mixer_s16_224"),
    "vit-tiny": lambda: timm.create_model(
        "vit_tiny_patch16_224", class_token=False, global_pool="avg"
    ),
}


def flops_of(network, side):
    """Count the FLOPs of a forward pass of one image."""
    total = 0

    def product(layer, inputs, outputs):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            per_output = layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            per_output = layer.in_features
        else:  # scores and means of values, over pairs of tokens
            tokens = inputs[0].shape[1]
            total += 2 * 2 * tokens**2 * layer.head_dim * layer.num_heads
            return
        total += 2 * per_output * outputs.numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) or type(layer).__name__ == "Attention":
            layer.register_forward_hook(product)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, side, side))
    return total


for name, make in NETWORKS.items():
    network = make()
    parameters = sum(p.numel() for p in network.parameters())
    side = 32 if name.startswith("wide") else 224
    print(name, f"{parameters:,}", f"{flops_of(network, side):,}", flush=True)
