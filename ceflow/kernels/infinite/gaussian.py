"""Check that a network has a kernel at infinite width: the inputs of all its activations, and its
outputs, are Gaussian.
"""

import math
from itertools import pairwise

from ceflow.compiler import nodes
from ceflow.spec.models.layers import shape_text
from ceflow.spec.models.limits import INPUTS, OF_MEMBERS, Values

NO_KERNEL = (
    "a network with {} has no kernel at infinite width here: its values are not Gaussian; draw"
    " networks (empirical_ntk), or take a block without it"
)

OF_INPUTS = "has only as many channels as the inputs, so that the kernel depends on its weights"


def require_outputs(root: nodes.Node) -> None:
    """Raise `ValueError` unless all outputs of a network have the same kernel at infinite width.

    The rules are those of `ceflow.spec.models.limits`, for trees that are built in Python.
    """
    values = require_gaussian(root)
    help = "end the network in a dense layer, or in a convolution and a pooling of all positions"
    if nodes.positions(root.outputs) > 1:
        raise ValueError(f"the outputs are an image, with a kernel for each position: {help}")
    if not values.gaussian:
        raise ValueError(f"the outputs are not Gaussian at infinite width: {help}")
    if values.normalised or values.scaled:
        what = "a layer norm" if values.normalised else "a scale"
        raise ValueError(f"{what} acts on the outputs, which are finitely many: {help}")


def require_gaussian(node: nodes.Node, values: Values = INPUTS) -> Values:
    """Return what is known of the outputs of a node, given what is known of its inputs.

    Raises `ValueError` if the inputs of an activation are not Gaussian: such a network has a limit,
    but no closed recursion computes it. Also raises it for an activation after scales of single
    channels, for parameters of the channels of the inputs, for a residual connection with
    correlated branches, for an ensemble of correlated members, for a node without a kernel at
    infinite width, and for layers that do not fit.
    """
    match node:
        case nodes.Convolution() if node.is_depthwise:
            if values.channels == "inputs" and node.channels == node.inputs[0] < math.inf:
                raise ValueError(
                    f"a depthwise convolution {OF_INPUTS}: give it more channels, or put a"
                    " convolution of kernel 1 before it"
                )
            return values.filtered()
        case nodes.Dense() | nodes.Convolution():
            return values.weighted(node.groups != 1)
        case nodes.Activation():
            _require_before_activation(node, values)
            return values.activated()
        case nodes.Flatten() if nodes.positions(node.inputs) > 1:
            return values.flattened()
        case nodes.Scale() | nodes.PositionEmbedding():
            if values.channels == "inputs":
                raise ValueError(
                    f"a {node.title} acts on inputs, whose channels are finitely many: put a dense"
                    " layer or a convolution before it"
                )
            return values._replace(scaled=values.scaled or isinstance(node, nodes.Scale))
        case nodes.LayerNorm():
            if not values.centred:
                raise ValueError(
                    "a layer norm acts on values whose mean is not known at infinite width: put a"
                    " dense layer or a convolution before it"
                )
            return values._replace(scaled=node.affine or values.scaled, normalised=True)
        case nodes.Residual():
            beside = node.shortcut.outputs if node.shortcut else node.inputs
            _require_fit("the shortcut of a residual connection", beside, node.outputs)
            body = require_gaussian(node.body, values)
            straight = require_gaussian(node.shortcut, values) if node.shortcut else values
            if not any(_ends_in_weights(branch) for branch in (node.body, node.shortcut)):
                raise ValueError(
                    "neither branch of a residual connection ends in weights of its own, so that"
                    " they are correlated: end the body or the shortcut in a dense layer or a"
                    " convolution"
                )
            if body.channels != "inputs" and straight.channels == "inputs":
                raise ValueError(
                    f"the shortcut of a residual connection {OF_INPUTS}: give it a dense layer, or"
                    " a convolution of kernel 1"
                )
            return body.added(straight)
        case nodes.Chain():
            for before, layer in pairwise(node.layers):
                _require_fit(f"{before.title} before {layer.title}", before.outputs, layer.inputs)
            for layer in node.layers:
                values = require_gaussian(layer, values)
            return values
        case nodes.Ensemble(multiplicity=1):
            return require_gaussian(node.member, values)
        case nodes.Ensemble():
            after = require_gaussian(node.member, values._replace(apart=False))
            if not after.apart:
                raise ValueError(
                    f"the members of an ensemble are correlated at infinite width: {OF_MEMBERS}:"
                    " end each in a dense layer or a convolution"
                )
            return after
        case nodes.AveragePool() | nodes.Flatten() | nodes.Dropout():  # linear
            return values
        case _:
            raise ValueError(NO_KERNEL.format(type(node).__name__))


def _require_fit(what: str, found: nodes.Shape, wanted: nodes.Shape) -> None:
    if found != wanted:
        one, other = map(shape_text, (found, wanted))
        raise ValueError(f"{what} has outputs of another shape, {one} and not {other}: change one")


def _require_before_activation(node: nodes.Activation, values: Values) -> None:
    if not values.gaussian:
        raise ValueError(
            f"{node.name} acts on values that are not Gaussian at infinite width: put a"
            " dense layer or a convolution before it (in a residual network, on the"
            " shortcut, or the activation at the head of the body)"
        )
    if values.scaled:
        raise ValueError(
            f"{node.name} acts on values that were scaled channel by channel, so that the NTK does"
            " not factorise: leave out the scales (affine = false in a layer norm), or put a dense"
            " layer or a convolution between"
        )


def _ends_in_weights(node: nodes.Node | None) -> bool:
    match node:
        case nodes.Dense():
            return True
        case nodes.Convolution():
            return not node.is_depthwise
        case nodes.Chain():
            kept = (nodes.Scale, nodes.Dropout)
            rest = (layer for layer in reversed(node.layers) if not isinstance(layer, kept))
            return _ends_in_weights(next(rest, None))
        case nodes.Ensemble():
            return _ends_in_weights(node.member)
        case nodes.Residual():
            return _ends_in_weights(node.body) and _ends_in_weights(node.shortcut)
        case _:
            return False
