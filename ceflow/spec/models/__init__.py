"""Models: what a network is. What each is made of is in `ceflow.compiler`.

What a `model` can be asked is the same of every kind: of `mlp`s and ensembles of them, a `resnext`
and its block, and a `bottleneck`. `activations` are names, with what is known of them.
"""

from typing import Annotated

from pydantic import Field

from ceflow.spec.models.activations import CLOSED_MOMENTS, KINKED, SLOPES, Activation
from ceflow.spec.models.bottleneck import Bottleneck
from ceflow.spec.models.mlp import Ensemble, Mlp
from ceflow.spec.models.model import End, ModelSpec
from ceflow.spec.models.resnext import Block, Resnext

__all__ = [
    "CLOSED_MOMENTS",
    "KINKED",
    "SLOPES",
    "Activation",
    "Block",
    "Bottleneck",
    "End",
    "Ensemble",
    "Member",
    "Mlp",
    "Model",
    "ModelSpec",
    "Resnext",
]

Model = Annotated[Mlp | Ensemble | Block | Resnext | Bottleneck, Field(discriminator="type")]

Member = Mlp | Block
"""A network that is repeated."""
