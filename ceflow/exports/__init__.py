"""The network of a plan for other tools: a line of timm, a file of Equinox, a StableHLO module."""

from ceflow.exports.equinox import equinox_file
from ceflow.exports.formats import Artefact, Format, export
from ceflow.exports.timm import timm_line

__all__ = ["Artefact", "Format", "equinox_file", "export", "timm_line"]
