"""Infinitely wide networks with a bottleneck (BN), and wide finite networks that approximate them.

`network` builds encoders and decoders, and `kernels` has their limit kernels. `wide`, `decoders`
and `sampling` draw finite networks, whose functions training starts from. `training` simulates SGD
in function space, and `continuous` gradient flow. `costs` forecasts memory and time, and sets batch
sizes.
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy
from ceflow._machine import MEMORY
from ceflow.bottlenecks.network import limit_of, mlp, relu

if TYPE_CHECKING:
    from ceflow.bottlenecks.continuous import BottleneckFlow, flow
    from ceflow.bottlenecks.decoders import Decoder, DeepDecoder, WideDecoder
    from ceflow.bottlenecks.kernels.decoder import DecoderKernels
    from ceflow.bottlenecks.kernels.encoder import ComposedKernel, EncoderKernel
    from ceflow.bottlenecks.sampling import normal_rows
    from ceflow.bottlenecks.training.checks import remarks
    from ceflow.bottlenecks.training.loop import Batches, Instability, Training
    from ceflow.bottlenecks.training.simulation import Simulation, composed_ntk
    from ceflow.bottlenecks.training.steps import Rates, State
    from ceflow.bottlenecks.wide import WideNetwork, sample

__all__ = [
    "MEMORY",
    "Batches",
    "BottleneckFlow",
    "ComposedKernel",
    "Decoder",
    "DecoderKernels",
    "DeepDecoder",
    "EncoderKernel",
    "Instability",
    "Rates",
    "Simulation",
    "State",
    "Training",
    "WideDecoder",
    "WideNetwork",
    "composed_ntk",
    "flow",
    "limit_of",
    "mlp",
    "normal_rows",
    "relu",
    "remarks",
    "sample",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ceflow.bottlenecks.continuous": ("BottleneckFlow", "flow"),
        "ceflow.bottlenecks.decoders": ("Decoder", "DeepDecoder", "WideDecoder"),
        "ceflow.bottlenecks.kernels.decoder": ("DecoderKernels",),
        "ceflow.bottlenecks.kernels.encoder": ("ComposedKernel", "EncoderKernel"),
        "ceflow.bottlenecks.sampling": ("normal_rows",),
        "ceflow.bottlenecks.training.checks": ("remarks",),
        "ceflow.bottlenecks.training.loop": ("Batches", "Instability", "Training"),
        "ceflow.bottlenecks.training.simulation": ("Simulation", "composed_ntk"),
        "ceflow.bottlenecks.training.steps": ("Rates", "State"),
        "ceflow.bottlenecks.wide": ("WideNetwork", "sample"),
    },
)
