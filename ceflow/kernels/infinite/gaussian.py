"""Check that the inputs of all activations of a network are Gaussian at infinite width."""

from ceflow.compiler import nodes

NO_KERNEL = (
    "a network with {} has no kernel at infinite width here: its values are not Gaussian; draw"
    " networks (empirical_ntk), or take a block without it"
)


def require_gaussian(node: nodes.Node, gaussian: bool = False) -> bool:
    """Return whether the outputs of a node are Gaussian; `gaussian` says whether its inputs are.

    Raises `ValueError` if the inputs of an activation are not Gaussian: such a network has a limit,
    but no closed recursion computes it. Also raises it for a residual connection with correlated
    branches, and for a node without a kernel at infinite width.
    """
    match node:
        case nodes.Dense() | nodes.Convolution():
            return True
        case nodes.Activation():
            if not gaussian:
                raise ValueError(
                    f"{node.name} acts on values that are not Gaussian at infinite width: put a"
                    " dense layer or a convolution before it (in a residual network, on the"
                    " shortcut, or the activation at the head of the body)"
                )
            return False
        case nodes.Residual():
            body = require_gaussian(node.body, gaussian)
            straight = node.shortcut and require_gaussian(node.shortcut, gaussian)
            if not any(_ends_in_weights(branch) for branch in (node.body, node.shortcut)):
                raise ValueError(
                    "neither branch of a residual connection ends in weights of its own, so that"
                    " they are correlated: end the body or the shortcut in a dense layer or a"
                    " convolution"
                )
            return body and bool(gaussian if straight is None else straight)
        case nodes.Chain():
            for layer in node.layers:
                gaussian = require_gaussian(layer, gaussian)
            return gaussian
        case nodes.Ensemble():
            return require_gaussian(node.member, gaussian)
        case nodes.AveragePool() | nodes.Flatten():  # linear
            return gaussian
        case _:
            raise ValueError(NO_KERNEL.format(type(node).__name__))


def _ends_in_weights(node: nodes.Node | None) -> bool:
    match node:
        case nodes.Dense() | nodes.Convolution():
            return True
        case nodes.Chain():
            return _ends_in_weights(node.layers[-1])
        case nodes.Ensemble():
            return _ends_in_weights(node.member)
        case nodes.Residual():
            return _ends_in_weights(node.body) and _ends_in_weights(node.shortcut)
        case _:
            return False
