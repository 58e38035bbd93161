"""Exports of a plan's network to `timm`, `torchvision`, `equinox` and `stablehlo`, by the names in
`formats`.
"""

from ceflow.exports.equinox import equinox_file
from ceflow.exports.formats import Artefact, Format, export
from ceflow.exports.timm import timm_line
from ceflow.exports.torchvision import torchvision_line

__all__ = ["Artefact", "Format", "equinox_file", "export", "timm_line", "torchvision_line"]
