"""Exports of a plan's network to `timm`, `torchvision`, `equinox`, `stablehlo` and `safetensors`,
by the names in `formats`.

`given` names a file of `weights`; `state_dict` has them by the names of PyTorch, for the
`counterparts` that models have in timm.
"""

from ceflow.exports.equinox import equinox_file
from ceflow.exports.formats import Artefact, Format, export
from ceflow.exports.given import Weights
from ceflow.exports.timm import timm_line
from ceflow.exports.torchvision import torchvision_line

__all__ = [
    "Artefact",
    "Format",
    "Weights",
    "equinox_file",
    "export",
    "timm_line",
    "torchvision_line",
]
