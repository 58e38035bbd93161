"""Models: the kinds of network. `ceflow.compiler` builds their layers.

Every kind has the same properties (`model`): an `mlp`, a `resnext` and its block, a `network` of
any `layers`, of which `limits` tells whether it has a kernel at infinite width, and an `external`
module of the user's; an `ensemble` has others as `parts`, and so have a `bottleneck` and a `chain`
of several, which are `segmented`. `focus` chooses the ensemble inside a network that a stage acts
on, `members` and `widths` tell what is known of its members.
`activations` lists the names of the activations and what is known of each.
"""

from typing import Annotated

from pydantic import Field

from ceflow.spec.models.activations import CLOSED_MOMENTS, KINKED, SLOPES, Activation
from ceflow.spec.models.bottleneck import Bottleneck
from ceflow.spec.models.chain import Chain
from ceflow.spec.models.ensemble import Ensemble
from ceflow.spec.models.external import External
from ceflow.spec.models.focus import NetworkMember
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.model import End, ModelSpec, NoLimit
from ceflow.spec.models.network import Network
from ceflow.spec.models.resnext import Block, Resnext

__all__ = [
    "CLOSED_MOMENTS",
    "KINKED",
    "SLOPES",
    "Activation",
    "Block",
    "Bottleneck",
    "Chain",
    "End",
    "Ensemble",
    "External",
    "Member",
    "Mlp",
    "Model",
    "ModelSpec",
    "Network",
    "NetworkMember",
    "NoLimit",
    "Resnext",
]

Model = Annotated[
    Mlp | Ensemble | Block | Resnext | Bottleneck | Chain | Network | External,
    Field(discriminator="type"),
]

Member = Mlp | Block
"""A network that can be repeated in an ensemble."""
