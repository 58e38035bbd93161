"""Documents that could only fail, or say nothing, are refused before anything runs."""

import numpy as np
import pytest

from ceflow.compiler import compile
from ceflow.spec import SpecError, load, loads

MODEL = '[model]\ntype = "mlp"\nwidths = [8, 8]\ninputs = 2\noutputs = 1\n'
DATA = '[data]\nsource = "gaussian"\ninputs = 2\ntrain = 8\n'
WIDE = '[model]\ntype = "bottleneck"\nsize = 2\nencoder = {widths = [inf]}\n'
WIDE += "decoder = {widths = [inf]}\n" + DATA + '[stages.t]\ntype = "train"\n'
FLOW = MODEL + DATA + '[stages.f]\ntype = "flow"\ntime = 1.0\n'
SWEPT = FLOW + '[sweep]\nseed = [1, 2]\n[collect.c]\nx = "seed"\n'
VARIANCE = MODEL + '[stages.v]\ntype = "variance"\n'
SEARCH = MODEL + '[stages.s]\ntype = "search"\n'
RESNEXT = '[model]\ntype = "resnext"\nblocks = [1]\nbase_width = 4\n'

# text, code, path, what is said, what is advised
USELESS = {
    "a ratio twice": (
        VARIANCE + "ratios = [0.5, 1.0, 0.5]\n",
        "CE104",
        ("stages", "v", "ratios", 2),
        "the ratio 0.5 is given twice",
    ),
    "ratios of one width": (
        VARIANCE + "ratios = [0.01, 0.1]\n",
        "CE202",
        ("stages", "v", "ratios"),
        "at every ratio the widths are 1, 1",
    ),
    "an error that no draws come to": (
        VARIANCE + "error = 1e-200\n",
        "CE104",
        ("stages", "v", "error"),
        "error must be at least 1e-06, not 1e-200",
    ),
    "an error that is none": (
        MODEL + DATA + '[stages.k]\ntype = "kernel"\nmethod = "mean"\nerror = 1e300\n',
        "CE104",
        ("stages", "k", "error"),
        "error must be at most 1.0",
    ),
    "a tolerance of everything": (
        SEARCH + "alpha = 3.0\ntolerance = 1e300\n",
        "CE104",
        ("stages", "s", "tolerance"),
        "tolerance must be at most 1.0",
    ),
    "an alpha of nothing": (
        SEARCH + "alpha = 1e-300\n",
        "CE104",
        ("stages", "s", "alpha"),
        "alpha must be at least 0.001",
    ),
    "an enormous alpha": (SEARCH + "alpha = 1e9\n", "CE104", ("stages", "s", "alpha"), "at most"),
    "an alpha that is no number": (
        SEARCH + "alpha = nan\n",
        "CE104",
        ("stages", "s", "alpha"),
        "not nan",
    ),
    "weights of no size": (
        MODEL.replace("inputs", "weight_variance = 1e-40\ninputs"),
        "CE104",
        ("model", "weight_variance"),
        "must be at least 1e-12, not 1e-40",
    ),
    "a sweep that repeats": (
        FLOW + "[sweep]\nseed = [1, 2, 1]\n",
        "CE104",
        ("sweep", "seed", 2),
        "two runs of the sweep are the same: seed = 1",
    ),
    "a zip that repeats": (
        FLOW + '[sweep]\nmode = "zip"\nseed = [1, 1]\n"stages.f.time" = [2.0, 2.0]\n',
        "CE104",
        ("sweep", "stages.f.time", 1),
        "two runs of the sweep are the same",
    ),
    "two spellings of a value": (
        FLOW + '[sweep]\n"model.widths" = [[inf], ["inf"]]\n',
        "CE104",
        ("sweep", "model.widths", 1),
        "makes no difference",
    ),
    "a sweep over a number": (
        FLOW + "[sweep]\nseed = 3\n",
        "CE103",
        ("sweep", "seed"),
        "seed must be an array of the values it takes, not 3",
    ),
    "a power law of one point": (
        SWEPT.replace("[1, 2]", "[1]") + 'y = "stages.f.train_loss"\nfit = "power"\n',
        "CE202",
        ("collect", "c", "fit"),
        "a power law needs two values of seed",
    ),
    "a loss of no test examples": (
        SWEPT + 'y = "stages.f.test_loss"\n',
        "CE202",
        ("collect", "c", "y"),
        "there are no test examples for test_loss",
    ),
    "the accuracy of numbers": (
        SWEPT + 'y = "stages.f.train_accuracy"\n',
        "CE202",
        ("collect", "c", "y"),
        "train_accuracy needs class labels, and the targets are numbers",
    ),
    "less than half a step": (
        WIDE + "epochs = 0.1\nbatch = 4\n",
        "CE202",
        ("stages", "t", "epochs"),
        "0.1 epochs of 8 examples are less than half a step",
    ),
    "names that differ in their case": (
        VARIANCE + '[stages.V]\ntype = "variance"\n',
        "CE104",
        ("stages", "V"),
        "'V' and 'v' name the same files",
    ),
    "tables that differ in their case": (
        SWEPT + 'y = "stages.f.train_loss"\n[collect.C]\nx = "seed"\ny = "stages.f.train_loss"\n',
        "CE104",
        ("collect", "C"),
        "'C' and 'c' name the same files",
    ),
    "a stage with the figures of a table": (
        SWEPT.replace("stages.f", "stages.collect") + 'y = "stages.collect.train_loss"\n',
        "CE104",
        ("stages", "collect"),
        "'collect' names the figures",
    ),
    "the name of a device": ('name = "CON"\n' + MODEL, "CE104", ("name",), "of a device"),
    "a stage named as a device": (
        MODEL + '[stages.nul]\ntype = "variance"\n',
        "CE104",
        ("stages", "nul"),
        "a name must not be that of a device",
    ),
    "channels last": (
        RESNEXT + "inputs = [224, 224, 3]\n",
        "CE204",
        ("model", "inputs"),
        "224 channels of 224 x 3?",
    ),
    "grey, channels last": (
        RESNEXT + "inputs = [28, 28, 1]\n",
        "CE204",
        ("model", "inputs"),
        "28 channels of 28 x 1?",
    ),
}


@pytest.mark.parametrize("case", USELESS)
def test_what_is_useless_is_refused_where_it_stands(case):
    text, code, path, said = USELESS[case]
    with pytest.raises(SpecError) as caught:
        compile(loads(text))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == (code, path)
    assert said in fault.message
    assert fault.help or fault.code in ("CE103", "CE104")


USEFUL = {
    "ratios by default": MODEL.replace("[8, 8]", "[1]") + '[stages.v]\ntype = "variance"\n',
    "one ratio": VARIANCE + "ratios = [1.0]\n",
    "many channels": RESNEXT + "inputs = [64, 8, 4]\n",
    "a signal": RESNEXT + "inputs = [16, 32, 1]\n",
    "colours first": RESNEXT + "inputs = [3, 32, 32]\n",
    "a zip of alike values": FLOW
    + '[sweep]\nmode = "zip"\nseed = [1, 1]\n"stages.f.time" = [2.0, 3.0]\n',
    "test examples that are swept": SWEPT.replace("seed = ", '"data.test" = [1, 2]\nseed = ')
    + 'y = "stages.f.test_loss"\n',
    "a stage named collect alone": VARIANCE.replace("stages.v", "stages.collect"),
}


@pytest.mark.parametrize("case", USEFUL)
def test_what_is_of_use_is_accepted(case):
    compile(loads(USEFUL[case]))


@pytest.mark.parametrize("source", ["digits", "npz"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("moments = [5]", "moments go beyond the last step, 1"),
        ("batch = 99999", "a batch of 99999 examples"),
    ],
)
def test_what_only_the_data_show_is_said_too(tmp_path, source, line, said):
    np.savez(tmp_path / "x.npz", x=np.eye(8), y=np.ones(8))
    path = 'path = "x.npz"\n' if source == "npz" else ""
    text = WIDE.replace(DATA, f'[data]\nsource = "{source}"\n{path}') + "epochs = 1.0\n" + line
    (tmp_path / "spec.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=said):
        compile(load(tmp_path / "spec.toml"))


def test_images_with_their_channels_last_are_asked_about(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 32, 32, 3)), y=np.ones(2))
    text = '[data]\nsource = "npz"\npath = "x.npz"\n' + RESNEXT
    (tmp_path / "spec.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match="32 x 32 x 3, and channels come first here") as caught:
        compile(load(tmp_path / "spec.toml"))
    assert caught.value.faults[0].help == (
        "save x, and x_test where there is one, as x.transpose(0, 3, 1, 2)"
    )
