"""Steps of training by PyTorch, of networks written here. Own environment: torch==2.13.0, numpy.

torch_training.py CASE BATCH
"""

import itertools
import sys

import torch
from steps import STEPS, serve
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

torch.set_num_threads(2)


def normalised(inputs, outputs, kernel, stride=1, groups=1):
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class Bottleneck(nn.Module):
    """1x1, grouped 3x3, 1x1, added to the skip."""

    def __init__(self, inputs, outputs, width, stride, groups):
        super().__init__()
        self.path = nn.Sequential(
            *normalised(inputs, width, 1),
            nn.ReLU(inplace=True),
            *normalised(width, width, 3, stride, groups),
            nn.ReLU(inplace=True),
            *normalised(width, outputs, 1),
        )
        self.skip = nn.Identity()
        if inputs != outputs:
            self.skip = nn.Sequential(*normalised(inputs, outputs, 1, stride))

    def forward(self, x):
        return functional.relu(self.path(x) + self.skip(x), inplace=True)


def resnext(groups, width, blocks=(3, 3, 3), classes=10):
    layers = [*normalised(3, 64, 3), nn.ReLU(inplace=True)]
    inputs = 64
    for stage, count in enumerate(blocks):
        outputs = 256 * 2**stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(inputs, outputs, groups * width * 2**stage, stride, groups))
            inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
    return nn.Sequential(*layers, *head)


class Wide(nn.Module):
    """A block of a wide residual network: normalisation and ReLU before each 3x3."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        )
        self.changes = inputs != outputs
        if self.changes:
            self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        h = self.before(x)
        return self.body(h) + (self.skip(h) if self.changes else x)


def wide(blocks=4, factor=10, classes=10):
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
    for stage in range(3):
        outputs = 16 * factor * 2**stage
        for block in range(blocks):
            layers.append(Wide(inputs, outputs, 2 if stage and not block else 1))
            inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
    return nn.Sequential(*layers, nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), *head)


NETWORKS = {
    "resnext-29-10x10d": lambda: resnext(10, 10),
    "resnext-29-37x10d": lambda: resnext(37, 10),
    "resnext-29-1x128d": lambda: resnext(1, 128),
    "wide-resnet-28-10": wide,
}


def images(name, batch):
    """Steps of a network of images."""
    network = NETWORKS[name]().train()
    options = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
    optimiser = torch.optim.SGD(network.parameters(), **options)
    x, labels = torch.randn(4 * batch, 3, 32, 32), torch.arange(4 * batch) % 10
    state = {"step": 0}

    def steps():
        for _ in range(STEPS):
            rows = slice(state["step"] % 4 * batch, (state["step"] % 4 + 1) * batch)
            optimiser.zero_grad()
            functional.cross_entropy(network(x[rows]), labels[rows]).backward()
            optimiser.step()
            state["step"] += 1

    return steps


MEMBERS, EXAMPLES = 12, 1500

THREADS = 1
"""Threads of an ensemble's epochs: its products are too small for two, with which an epoch of
modules was seen to take ten times as long on a busy machine."""


def member():
    """An MLP of six layers, of width 48, on digits."""
    sizes = [64, 48, 48, 48, 48, 48, 10]
    layers = [nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
    several = [part for layer in layers[:-1] for part in (layer, nn.ReLU())]
    return nn.Sequential(*several, layers[-1])


def epochs(outputs, parameters, batch):
    """An epoch of an ensemble by Adam, in the order of a permutation drawn anew."""
    torch.set_num_threads(THREADS)
    optimiser = torch.optim.Adam(parameters, 1e-3)
    x, y = torch.randn(EXAMPLES, 64), torch.randn(EXAMPLES, 10)

    def epoch():
        for rows in torch.randperm(EXAMPLES).split(batch):
            optimiser.zero_grad()
            error = outputs(x[rows]) - y[rows]
            (0.5 * error.square().sum(1).mean()).backward()
            optimiser.step()

    return epoch


def modules(batch):
    """A module per member, in a loop."""
    members = [member() for _ in range(MEMBERS)]
    parameters = [each for one in members for each in one.parameters()]
    return epochs(lambda x: sum(one(x) for one in members) / MEMBERS**0.5, parameters, batch)


def stacked(batch):
    """Members stacked by torch.func, and vmapped."""
    parameters, buffers = stack_module_state([member() for _ in range(MEMBERS)])
    empty = member().to("meta")

    def one(parameters, buffers, x):
        return functional_call(empty, (parameters, buffers), (x,))

    def outputs(x):
        return vmap(one, (0, 0, None))(parameters, buffers, x).sum(0) / MEMBERS**0.5

    return epochs(outputs, [*parameters.values()], batch)


if __name__ == "__main__":
    kind, size = sys.argv[1], int(sys.argv[2])
    ensembles = {"ensemble-modules": modules, "ensemble-stacked": stacked}
    if kind in ensembles:
        serve(ensembles[kind](size))
    else:
        serve(images(kind, size), STEPS)
