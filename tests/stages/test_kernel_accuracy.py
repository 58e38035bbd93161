"""An analytic kernel that may be far off is a warning of every stage that stands on it."""

from pathlib import Path

import pytest

import ceflow

INACCURATE = """
precision = "float32"
[data]
source = "gaussian"
inputs = 5
train = 8
test = 4
scale = 1e5
[model]
type = "mlp"
widths = [inf]
activation = "sin"
[stages.whole]
type = "kernel"
[stages.tiled]
type = "kernel"
tile = 4
[stages.measured]
type = "kernel"
reference = "whole"  # whose own is a warning too
[stages.flow]
type = "flow"
time = 0.1
points = 2
engine = "closed-form"
"""

BOTTLENECK = """
precision = "float32"
[data]
source = "gaussian"
inputs = 5
outputs = 1
train = 6
scale = 1e5
[model]
type = "bottleneck"
size = 2
[model.encoder]
type = "mlp"
widths = [inf]
activation = "sin"
[model.decoder]
type = "mlp"
widths = [inf]
[stages.train]
type = "train"
steps = 1
width = 100
"""

OVERFLOW = """
[data]
source = "gaussian"
inputs = 3
train = 4
scale = {scale}
[model]
type = "mlp"
widths = [inf]
[stages.k]
type = "kernel"
{tile}
"""


@pytest.mark.parametrize("text", [INACCURATE, BOTTLENECK])
def test_every_stage_on_an_inaccurate_kernel_warns(text: str, tmp_path: Path):
    run = ceflow.run(ceflow.loads(text), tmp_path)
    for name, values in run.results.items():
        said = [each for each in values["warnings"] if "analytic kernel may be" in each]
        assert len(said) == (2 if name == "measured" else 1)


@pytest.mark.parametrize("scale", ["1e160", "1e-165"])
@pytest.mark.parametrize("tile", ["", "tile = 2"])
def test_variances_that_cannot_be_held_end_the_stage(scale: str, tile: str, tmp_path: Path):
    with pytest.raises(Exception, match="bring the inputs to the scale of 1"):
        ceflow.run(ceflow.loads(OVERFLOW.format(scale=scale, tile=tile)), tmp_path)
