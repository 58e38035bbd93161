"""An ensemble of MLPs as one chain of block-diagonal layers."""

from itertools import pairwise

from ceflow.compiler import nodes
from ceflow.compiler.models import expand
from ceflow.spec import Ensemble


def merged(model: Ensemble) -> nodes.Chain:
    """Merge the layers of an ensemble's members, which share inputs, side by side in one chain.

    The first layer is dense onto the units of all members, the middle layers are block-diagonal,
    and the last, dense from m n_H units, sums the members: its fan-in m n_H gives the 1/sqrt(m) of
    CE eq. 4. The function, its law, its NTK and its FLOPs are those of the ensemble. So are its
    parameters, except the last biases: the m biases of an output become one,
    `beta = (beta_1 + ... + beta_m)/sqrt(m)`, which is standard normal too. That removes (m - 1)
    outputs parameters and leaves gradient flow unchanged.

    Raises `ValueError` if inputs or outputs are not known (`sized`), or the members are not mlps.

    >>> from ceflow.spec import Mlp
    >>> model = Ensemble(multiplicity=364, member=Mlp(widths=[19, 19], inputs=784, outputs=10))
    >>> chain = merged(model)
    >>> [layer.groups for layer in chain.layers if isinstance(layer, nodes.Dense)]
    [1, 364, 1]
    >>> chain.parameters == expand(model).parameters
    True
    """
    m, member = model.multiplicity, model.member.as_mlp
    if member is None:
        raise ValueError("only members that are mlps are merged")
    alone = expand(member)  # which asks for its sizes
    c, b = member.weight_variance, member.bias_variance
    first, *others = (m * width for width in member.widths)
    layers: list[nodes.Node] = [nodes.Dense(nodes.units(alone.inputs), first, c, b)]
    for fan_in, width in pairwise((first, *others)):
        layers.append(nodes.Activation(member.activation, fan_in))
        layers.append(nodes.Dense(fan_in, width, c, b, groups=m))
    last = nodes.units(layers[-1].outputs)
    layers.append(nodes.Activation(member.activation, last))
    outputs = nodes.units(alone.outputs)
    return nodes.Chain((*layers, nodes.Dense(last, outputs, member.last_variance, b)))
