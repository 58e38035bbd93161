"""The widths inside some layers that can be chosen, and the layers with others in their place."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ceflow.spec.base import KeyPath
from ceflow.spec.models.layers import (
    AttentionLayer,
    ConvolutionLayer,
    DenseLayer,
    EnsembleLayer,
    FlattenLayer,
    LayerSpec,
    ResidualLayer,
    SequenceLayer,
    TokenMixingLayer,
    is_depthwise,
)

ENDS: tuple[KeyPath, KeyPath] = (("inputs",), ("outputs",))
"""Names of the channels of a module's inputs and outputs, beside the paths of layers."""


class FreeWidth(NamedTuple):
    """A width that can be chosen."""

    paths: tuple[KeyPath, ...]
    """Paths of the layers that have this width; a residual connection makes it that of several."""
    value: float
    step: int
    """Number that divides the width: it is split into as many groups or heads."""


def free_widths(layers: Sequence[LayerSpec]) -> tuple[FreeWidth, ...]:
    """List the widths of layers that can be chosen while inputs and outputs keep their channels,
    in the order written.

    >>> from ceflow.spec.models.layers import EnsembleLayer
    >>> block = EnsembleLayer(multiplicity=2, layers=[
    ...     {"type": "convolution", "channels": 24, "kernel": 1},
    ...     {"type": "convolution", "groups": "depthwise"},
    ...     {"type": "convolution", "channels": 6, "kernel": 1}])
    >>> free_widths(block.layers)
    (FreeWidth(paths=((0,),), value=24, step=1),)
    """
    found = _Channels()
    found.tie(found.through(layers, ENDS[0]), ENDS[1])
    fixed = {found.root(name) for name in found.fixed}
    free: dict[KeyPath, list[KeyPath]] = {}
    for path in found.widths:
        if found.root(path) not in fixed:
            free.setdefault(found.root(path), []).append(path)
    return tuple(
        FreeWidth(tuple(paths), found.widths[paths[0]], found.step(root))
        for root, paths in free.items()
    )


class _Channels:
    """The channels after each layer: which of them are equal, fixed, or must have divisors.

    Channels are named by the path of the layer that sets them.
    """

    def __init__(self) -> None:
        self.widths: dict[KeyPath, float] = {}
        self.same: dict[KeyPath, KeyPath] = {}
        self.flat: dict[KeyPath, KeyPath] = {}
        self.fixed: set[KeyPath] = set(ENDS)
        self.divisors: list[tuple[KeyPath, int]] = []

    def root(self, name: KeyPath) -> KeyPath:
        """Return the name that stands for all channels equal to these."""
        while name in self.same:
            name = self.same[name]
        return name

    def tie(self, one: KeyPath, two: KeyPath) -> None:
        """Note that two numbers of channels are equal."""
        if one == two:
            return
        for name in (one, two):
            while name in self.flat:  # a function of other channels, which no ratio keeps
                self.fixed |= {name, self.flat[name]}
                name = self.flat[name]
        one, two = self.root(one), self.root(two)
        if one != two:
            self.same[two] = one

    def step(self, root: KeyPath) -> int:
        """Return the least number that all divisors of some channels divide."""
        return math.lcm(*(divisor for name, divisor in self.divisors if self.root(name) == root))

    def through(self, layers: Sequence[LayerSpec], before: KeyPath, *path: str | int) -> KeyPath:
        """Follow the channels through some layers."""
        for index, layer in enumerate(layers):
            for _ in range(min(layer.repeat, 2)):  # a second time, it acts on its own outputs
                before = self._after(layer, before, (*path, index))
        return before

    def _after(self, layer: LayerSpec, before: KeyPath, path: KeyPath) -> KeyPath:
        match layer:
            case DenseLayer() | ConvolutionLayer():
                return self._after_weights(layer, before, path)
            case AttentionLayer(head_width=None):
                self.divisors.append((before, layer.heads))
            case ResidualLayer():
                straight = self.through(layer.shortcut or (), before, *path, "shortcut")
                self.tie(straight, self.through(layer.body, before, *path, "body"))
                return straight
            case TokenMixingLayer():  # whose channels are the positions, which are given
                self.fixed.add(path)
                self.tie(path, self.through(layer.layers, path, *path, "layers"))
            case EnsembleLayer() | SequenceLayer():
                return self.through(layer.layers, before, *path, "layers")
            case FlattenLayer() if before != path:
                self.flat[path] = before
                return path
            case _ if layer.is_added:
                self.divisors.append((before, layer.step))
                if type(layer).once is not LayerSpec.once and before != path:
                    self.flat[path] = before
                    return path
            case _:
                pass
        return before

    def _after_weights(
        self, layer: DenseLayer | ConvolutionLayer, before: KeyPath, path: KeyPath
    ) -> KeyPath:
        width = layer.width
        if width is None:
            return before if is_depthwise(layer) else ENDS[1]
        self.widths[path] = width
        if is_depthwise(layer):
            if self.widths.get(before) != width:  # a multiple of its inputs, which no ratio keeps
                self.fixed.add(path)
            self.tie(before, path)
        elif isinstance(layer, ConvolutionLayer):
            self.divisors += [(before, int(layer.groups)), (path, int(layer.groups))]
        return path


def changed(
    layers: Sequence[LayerSpec], values: Mapping[KeyPath, Mapping[str, Any]], *path: str | int
) -> tuple[LayerSpec, ...]:
    """Return layers with other values of the keys of those at some paths, without validation.

    >>> changed([DenseLayer(units=3), DenseLayer()], {(0,): {"units": 5}})[0].units
    5
    """
    return tuple(_changed(layer, values, (*path, index)) for index, layer in enumerate(layers))


def _changed(
    layer: LayerSpec, values: Mapping[KeyPath, Mapping[str, Any]], path: KeyPath
) -> LayerSpec:
    inner = {key: changed(layers, values, *path, key) for key, layers in layer.inner}
    update = {**inner, **values.get(path, {})}
    return layer.replaced(update) if update else layer
