"""The layers of a network as branches of a tree, each with its parameters and FLOPs, and the names
of the networks of a sweep along a curve.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from rich.tree import Tree

from ceflow.blocks import counted, number
from ceflow.compiler import Plan, nodes
from ceflow.runs.prepared import expected_models
from ceflow.spec import Search, flops_text, network_name, scaled
from ceflow.spec.diagnostics import dotted

WIDEST = 100
"""Column of a terminal at which counts end, if it is not narrower."""
WIDTHS = (8, 9)
"""Widths of the columns of parameters and FLOPs."""


@dataclass(frozen=True)
class Row:
    """A line of a tree, with counts in columns at the right edge of the terminal."""

    line: str
    counts: tuple[str, str] = ("", "")
    """Parameters and FLOPs."""
    said: str = ""
    """The counts in words."""

    @property
    def plain(self) -> str:
        """The row as text without columns."""
        return f"{self.line}: {self.said}" if self.said else self.line

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line with its counts; they go below it if there is no room."""
        pairs = zip(self.counts, WIDTHS, strict=True)
        cells = "".join(f"{count:>{width}}" for count, width in pairs).lstrip()
        width = options.max_width - max(0, options.size.width - WIDEST)
        gap = width - len(self.line) - len(cells)
        if not self.counts[0] and not self.counts[1]:
            yield Text(self.line)
        elif gap < 2:
            yield Text(f"{self.line}\n").append(cells.rjust(width), "dim")
        else:
            yield Text(self.line + " " * gap).append(cells, "dim")


def costs(node: nodes.Node) -> str:
    """Write parameters and FLOPs in words."""
    if math.isinf(node.parameters):
        return "infinitely wide"
    return f"{counted(node.parameters, 'parameter')}, {flops_text(node.flops)} an example"


def add_network(tree: Tree, plan: Plan) -> None:
    """Add the inputs and layers of a plan's network; with bottlenecks, those of each part."""
    counts = [layer.parameters for _, layer in nodes.leaves(plan.root)]
    finite = any(0 < count < math.inf for count in counts)
    titles = ("parameters", "FLOPs") if finite else ("", "")
    tree.add(Row(f"inputs {_shape(plan.root.inputs)}", titles))
    if not plan.model.parts:
        add_layers(tree, plan.root)
    for path, part in plan.model.parts.items():
        node = plan.expand(part)
        add_layers(tree.add(f"{dotted(path)}  {costs(node)}"), node)


def add_layers(tree: Tree, node: nodes.Node) -> None:
    """Add layers in order; successive equal layers are shown once, with their number."""
    for step, alike in groupby(_steps(node)):
        count = len(list(alike))
        branch = tree.add(_row(step, f"  x {count}, each" if count > 1 else ""))
        _add_inner(branch, step.layer)


class _Step(NamedTuple):
    """A layer, with those after it that keep its shape."""

    line: str
    layer: nodes.Node
    parameters: float
    flops: float

    def and_then(self, layer: nodes.Node) -> "_Step":
        """Add a layer that keeps the shape; what holds other layers is shown before them."""
        line = f"{self.line}, {'then ' if self.layer.inner else ''}{layer.suffix}"
        parameters, flops = self.parameters + layer.parameters, self.flops + layer.flops
        return _Step(line, self.layer, parameters, flops)


def _steps(node: nodes.Node) -> Iterator[_Step]:
    """Yield layers in order; one that keeps the shape is joined to the one before, unless that is
    the last of several equal ones which hold other layers.
    """
    before = step = None
    for layer in node.layers if isinstance(node, nodes.Chain) else (node,):
        if step and layer.suffix and not (step.layer.inner and step == before):
            step = step.and_then(layer)
            continue
        if step:
            yield step
        before, step = step, _Step(_line(layer), layer, layer.parameters, layer.flops)
    if step:
        yield step


def _row(step: _Step, times: str = "") -> Row:
    line = step.line + times
    parameters, flops = (
        scaled(count).rstrip() if 0 < count < math.inf else ""  # FLOPs may be NaN
        for count in (step.parameters, step.flops)
    )
    said = [counted(step.parameters, "parameter")] if parameters else []
    return Row(line, (parameters, flops), ", ".join(said + [flops_text(step.flops)] * bool(flops)))


def _line(node: nodes.Node) -> str:
    """Write a layer; the shape of an image that it takes is that of the row above."""
    if isinstance(node, nodes.Ensemble):
        each = node.member.parameters
        known = counted(each, "parameter") if each < math.inf else "infinitely wide"
        return f"{counted(node.multiplicity, 'member')}, each {known}"
    if node.suffix:
        return node.suffix
    image = isinstance(node.inputs, tuple)
    return f"{node.title} {'' if image else _shape(node.inputs) + ' '}→ {_shape(node.outputs)}"


def _add_inner(branch: Tree, node: nodes.Node) -> None:
    """Add the layers inside a layer; a shortcut of one layer takes one row."""
    if not isinstance(node, nodes.Residual):
        for inner in node.inner:
            add_layers(branch, inner)
        rest = node.parameters - sum(inner.parameters for inner in node.inner)
        if isinstance(node, nodes.External) and node.inner and rest > 0:
            branch.add(Row("biases and what else has parameters", (scaled(rest).rstrip(), "")))
        return
    add_layers(branch, node.body)
    if node.shortcut is None:
        return
    step, *more = _steps(node.shortcut)
    if more or step.layer.inner:
        add_layers(branch.add("shortcut"), node.shortcut)
    else:
        branch.add(_row(step._replace(line=f"shortcut: {step.line}")))


def _shape(shape: nodes.Shape) -> str:
    return " x ".join(map(number, shape)) if isinstance(shape, tuple) else number(shape)


def networks_along(plan: Plan) -> list[str]:
    """Write each network of a sweep along a curve, by its multiplicity and widths, and in how many
    runs it is; empty for other sweeps. What only the run can tell is about so.
    """
    sweep = plan.document.sweep
    if sweep is None or sweep.along is None:
        return []
    names = list(_names(plan, sweep.along))
    return [f"{name}  {counted(names.count(name), 'run')}" for name in dict.fromkeys(names)]


def _names(plan: Plan, along: str) -> Iterator[str]:
    """Yield the name of the network of each run."""
    for run in plan.runs.values():
        stages = run.document.stages
        on = [name for name, stage in stages.items() if stage.model == along]
        if not on:
            continue
        search = Search.expect(stages[along.partition(".")[0]])
        model = expected_models(run)[on[0]].focused(search.at)
        exactly = search.using == "law" and search.alpha is not None
        about = "" if exactly else "about "
        yield about + network_name(int(model.multiplicity), [*map(int, model.widths)])
