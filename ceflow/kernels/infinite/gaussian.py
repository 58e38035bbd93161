"""Check that the inputs of all activations of a network are Gaussian at infinite width."""

from ceflow.compiler import nodes
from ceflow.spec.models.limits import INPUTS, Values

NO_KERNEL = (
    "a network with {} has no kernel at infinite width here: its values are not Gaussian; draw"
    " networks (empirical_ntk), or take a block without it"
)


def require_gaussian(node: nodes.Node, values: Values = INPUTS) -> Values:
    """Return what is known of the outputs of a node, given what is known of its inputs.

    Raises `ValueError` if the inputs of an activation are not Gaussian: such a network has a limit,
    but no closed recursion computes it. Also raises it for an activation after scales of single
    channels, for parameters of the channels of the inputs, for a residual connection with
    correlated branches, and for a node without a kernel at infinite width.
    """
    match node:
        case nodes.Convolution() if node.is_depthwise:
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
            body = require_gaussian(node.body, values)
            straight = require_gaussian(node.shortcut, values) if node.shortcut else values
            if not any(_ends_in_weights(branch) for branch in (node.body, node.shortcut)):
                raise ValueError(
                    "neither branch of a residual connection ends in weights of its own, so that"
                    " they are correlated: end the body or the shortcut in a dense layer or a"
                    " convolution"
                )
            return body.added(straight)
        case nodes.Chain():
            for layer in node.layers:
                values = require_gaussian(layer, values)
            return values
        case nodes.Ensemble():
            return require_gaussian(node.member, values)
        case nodes.AveragePool() | nodes.Flatten() | nodes.Dropout():  # linear
            return values
        case _:
            raise ValueError(NO_KERNEL.format(type(node).__name__))


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
