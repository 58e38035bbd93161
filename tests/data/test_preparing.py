"""What is done to inputs: mirror images, contrast, whitening and scale, in this order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import ceflow
from ceflow.compiler.plan import without_data
from ceflow.data import Extent, cost_of, load
from ceflow.data.normalising import contrast
from ceflow.data.whitening import whiten
from ceflow.report import plan_tree
from ceflow.runs import prepare
from ceflow.seeding import Seed
from ceflow.spec import (
    Bottleneck,
    Cifar10,
    Digits,
    Document,
    Flow,
    Idx,
    Mlp,
    Npz,
    SpecError,
    Train,
    Variance,
)

SEED = Seed(0)
EPS = 2.0**-52
RANDOM = np.random.default_rng(0)


@pytest.fixture
def images(folder: Path) -> Path:
    """A folder with images of every source of files."""
    x = np.random.default_rng(1).normal(size=(4, 2, 3, 5))
    np.savez(folder / "images.npz", x=x, y=np.arange(4), x_test=x[:2], y_test=np.arange(2))
    return folder


SOURCES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "digits": (Digits(train=20, test=5), (1, 8, 8)),
    "idx": (Idx(path="."), (1, 2, 3)),
    "cifar10": (Cifar10(path="."), (3, 32, 32)),
    "npz": (Npz(path="images.npz"), (2, 3, 5)),
}


# mirror images


@pytest.mark.parametrize("name", SOURCES)
def test_mirror_images_follow_the_training_images(name: str, images: Path):
    source, shape = SOURCES[name]
    plain = load(source, images, SEED)
    flipped = load(source.model_copy(update={"flips": True}), images, SEED)
    x = plain.train.x.reshape(-1, *shape)
    both = np.concatenate([x, np.flip(x, axis=3)]).reshape(-1, np.prod(shape))
    assert not np.array_equal(both[len(x) :], plain.train.x)
    np.testing.assert_array_equal(flipped.train.x, both)
    np.testing.assert_array_equal(flipped.train.y, np.tile(plain.train.y, (2, 1)))
    np.testing.assert_array_equal(flipped.test.x, plain.test.x)
    np.testing.assert_array_equal(flipped.test.y, plain.test.y)


def test_standard_and_whitening_learn_from_mirror_images_too(images: Path):
    plain = load(Idx(path="."), images, SEED)
    keys: dict[str, Any] = {"flips": True, "normalise": "standard", "zca": 0.5, "scale": 3.0}
    found = load(Idx(path=".", **keys), images, SEED)
    raw = plain.train.x.reshape(-1, 2, 3)
    both = np.concatenate([raw, raw[:, :, ::-1]]).reshape(-1, 6)
    mean, deviation = both.mean(0), both.std(0)
    x, test = ((rows - mean) / deviation for rows in (both, plain.test.x))
    inverse = by_square_root(x, 0.5)
    # some tens of roundings of numbers of order 1
    np.testing.assert_allclose(found.train.x, 3 * x @ inverse, atol=1e-13)
    np.testing.assert_allclose(found.test.x, 3 * test @ inverse, atol=1e-13)


# contrast


def test_contrast_is_distance_from_the_own_mean_over_its_norm():
    x = RANDOM.normal(size=(5, 7)) * 10.0 ** np.arange(-300, 301, 150)[:, None] + 0
    centred = (x / abs(x).max(1)[:, None]) - (x / abs(x).max(1)[:, None]).mean(1)[:, None]
    expected = centred / np.linalg.norm(centred, axis=1)[:, None]
    np.testing.assert_allclose(contrast(x), expected, atol=10 * EPS)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 255.0, 1e-310, 1e300])
def test_an_image_of_one_colour_has_no_contrast(constant: float):
    np.testing.assert_array_equal(contrast(np.full((2, 3072), constant)), 0)


# whitening


def by_square_root(x: np.ndarray, regularisation: float) -> np.ndarray:
    """(C + r tr(C)/d I)^(-1/2), with another algorithm: Schur's, and an inverse."""
    moments = x.T @ x / len(x)
    added = regularisation * np.trace(moments) / len(moments)
    root: Any = scipy.linalg.sqrtm(moments + added * np.eye(len(moments)))
    return np.linalg.inv(root)


@pytest.mark.parametrize("regularisation", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize(("count", "inputs"), [(40, 6), (6, 40), (12, 12), (1, 3), (3, 1)])
def test_rows_are_multiplied_by_the_inverse_square_root(
    count: int, inputs: int, regularisation: float
):
    x = RANDOM.normal(size=(count, inputs)) * RANDOM.uniform(0.1, 3, inputs) + 0.5
    test = RANDOM.normal(size=(4, inputs))
    inverse = by_square_root(x, regularisation)
    found, found_test = whiten(x, test, regularisation)
    # the oracle loses the digits of the condition number, 10^4 times a few tens of roundings
    np.testing.assert_allclose(found, x @ inverse, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found_test, test @ inverse, rtol=1e-11, atol=1e-11)


def test_whitened_inputs_have_the_identity_as_second_moments():
    x = RANDOM.normal(size=(100, 8)) @ RANDOM.normal(size=(8, 8)) + 1
    found, _ = whiten(x, x[:0], 0.0)
    condition = np.linalg.cond(x.T @ x)
    np.testing.assert_allclose(found.T @ found / 100, np.eye(8), atol=8 * condition * EPS)


@pytest.mark.parametrize("exponent", [-1000, -30, 30, 1000])
@pytest.mark.parametrize("count", [3, 30])
def test_whitening_does_not_depend_on_size(count: int, exponent: int):
    x, test = RANDOM.uniform(-1, 1, (count, 5)), RANDOM.uniform(-1, 1, (2, 5))
    one = whiten(x, test, 0.1)
    other = whiten(np.ldexp(x, exponent), np.ldexp(test, exponent), 0.1)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_test_examples_have_no_part_in_whitening(tmp_path: Path):
    x, test = RANDOM.normal(size=(9, 4)), RANDOM.normal(size=(6, 4))
    for name, tested in (("all", test), ("one", test[2:3])):
        y = np.zeros(len(tested))
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.zeros(9), x_test=tested, y_test=y)
    all_, one = (load(Npz(path=f"{name}.npz", zca=0.1), tmp_path, SEED) for name in ("all", "one"))
    np.testing.assert_array_equal(all_.train.x, one.train.x)
    np.testing.assert_allclose(all_.test.x[2:3], one.test.x, rtol=1e-14)  # another product
    assert abs(all_.test.x).max() > 0.1


@pytest.mark.parametrize("train", [30, 300])
def test_pixels_that_are_always_0_stay_so(train: int):
    plain = load(Digits(train=train, test=5), Path(), SEED)
    white = load(Digits(train=train, test=5, zca=0.1), Path(), SEED)
    never = ~plain.train.x.any(axis=0)
    assert never.any()
    # roundings of numbers of order 10
    np.testing.assert_allclose(white.train.x[:, never], 0, atol=1e-13)
    assert np.isfinite(white.test.x).all()


def test_real_images_are_whitened(data_folder: Path):
    """The products of whitened rows are those of the inverse of C + a I, by Woodbury's identity;
    and the root of the inverse that is positive and symmetric is the only one."""
    keys: dict[str, Any] = {"train": 30, "test": 5, "flips": True, "normalise": "contrast"}
    plain = load(Cifar10(**keys), data_folder, SEED)
    white = load(Cifar10(zca=0.1, **keys), data_folder, SEED)
    x, test = plain.train.x, plain.test.x
    added = 0.1 / 3072  # the trace is 1, for rows of norm 1
    kernel = x @ x.T / 60
    np.testing.assert_allclose(np.trace(kernel), 1)
    inverse = np.linalg.inv(kernel + added * np.eye(60))
    beside = test @ x.T @ inverse
    for found, expected in (
        (white.train.x @ white.train.x.T, 60 * kernel @ inverse),
        (white.test.x @ white.train.x.T, beside),
        (white.test.x @ white.test.x.T, (test @ test.T - beside @ x @ test.T / 60) / added),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * abs(expected).max())
    across = x @ white.train.x.T
    np.testing.assert_allclose(across, across.T, atol=1e-12)
    assert np.linalg.eigvalsh(across)[0] > 0


SINGULAR: list[tuple[Any, float, str]] = [
    (np.eye(4)[:, :3] + 0, 0.0, ""),
    (np.repeat(np.eye(4)[:, :2], 2, axis=1), 0.0, "rank 2, .*: raise data.zca"),
    (np.repeat(np.eye(4)[:, :2], 2, axis=1), 1e-17, "rank 2, .*: raise data.zca"),
    (np.eye(2, 4), 1e-17, "rank 2, .*: raise data.zca"),
    (np.zeros((4, 3)), 0.1, "are all 0"),
    (np.zeros((2, 3)), 0.1, "are all 0"),
]


@pytest.mark.parametrize(("x", "zca", "message"), SINGULAR)
def test_singular_second_moments_are_refused(x: Any, zca: float, message: str, tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(len(x)))
    source = Npz(path="a.npz", zca=zca)
    if not message:
        assert np.isfinite(load(source, tmp_path, SEED).train.x).all()
        return
    with pytest.raises(SpecError, match=message) as caught:
        load(source, tmp_path, SEED)
    assert caught.value.faults[0].path == ("data", "zca")


def test_whitened_inputs_that_overflow_are_refused(tmp_path: Path):
    x = np.array([[1e-200, 0], [0, 1e-200]])
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(2), x_test=x * 1e300 * 1e200, y_test=np.zeros(2))
    with pytest.raises(SpecError, match="the inputs are too large"):
        load(Npz(path="a.npz", zca=0.1), tmp_path, SEED)


# what is refused before anything is read

TEXT = """
[data]
source = "npz"
path = "a.npz"
{}
[model]
type = "mlp"
widths = [3]
"""

REFUSED = {
    "rows have no mirror image": (
        (9, 6), "flips = true", 9, "flips needs images, and an example is a row of 6 numbers",
        "save x with the axes examples, channels, height and width, or leave flips out",
    ),
    "channels come first": (
        (9, 6, 6, 3), "flips = true", 1, "the images of the data are 6 x 6 x 3, and channels come",
        "save x, and x_test where there is one, as x.transpose(0, 3, 1, 2)",
    ),
    "too few examples": (
        (9, 10), "zca = 0.0", 7, "9 training examples are too few to whiten 10 inputs with zca = 0",
        "raise data.zca, such as to 0.1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_prepared_is_refused_at_its_place(name: str, tmp_path: Path):
    shape, line, column, message, help = REFUSED[name]
    np.savez(tmp_path / "a.npz", x=np.zeros(shape), y=np.zeros((len(np.zeros(shape)), 1)))
    path = tmp_path / "a.toml"
    path.write_text(TEXT.format(line))
    with pytest.raises(SpecError, match=message) as caught:
        ceflow.compile(ceflow.load(path))
    assert f"a.toml:5:{column}: " in str(caught.value)
    assert caught.value.faults[0].help == help


# what counts the doubled set

WIDE, NARROW = Mlp(widths=[float("inf")]), Mlp(widths=[3])


def test_a_run_counts_mirror_images_and_is_opened_again(images: Path, tmp_path: Path):
    source = Npz(path=str(images / "images.npz"), flips=True, zca=0.1)
    stage = Variance(inputs_law="data", ratios=[1.0])
    given = Document(data=source, model=NARROW, stages={"s": stage})
    plan = ceflow.compile(given)
    assert plan.data == Extent(30, 1, 8, 2, (2, 3, 5))
    ceflow.run(given, tmp_path / "run")
    opened = ceflow.open(tmp_path / "run").document
    assert opened is not None
    assert opened.data == source
    assert ceflow.compile(opened).data == plan.data


def test_a_document_without_its_files_counts_mirror_images():
    model = Mlp(widths=[3], inputs=4, outputs=1)
    source = Npz(path="nowhere.npz", train=5, flips=True)
    (plan,) = without_data(Document(model=model, data=source).examine())
    assert plan.data is not None
    assert plan.data.train == 10


@pytest.mark.parametrize(("batch", "faults"), [(8, 0), (9, 1)])
def test_batches_are_of_the_doubled_set_where_train_is_left_out(
    batch: int, faults: int, images: Path
):
    data = Npz(path=str(images / "images.npz"), flips=True)
    model = Bottleneck(encoder=WIDE, decoder=WIDE, size=2)
    given = Document(data=data, model=model, stages={"t": Train(steps=1, batch=batch)})
    if not faults:
        ceflow.compile(given)
        return
    with pytest.raises(SpecError, match="a batch of 9 examples out of 8"):
        ceflow.compile(given)


def test_stages_count_mirror_images():
    source = Digits(train=5, test=0, flips=True)
    trained = Document(
        data=source,
        model=Bottleneck(encoder=WIDE, decoder=WIDE, size=2),
        stages={"train": Train(steps=1, batch=10), "more": Train(steps=1, batch=11)},
    )
    assert [fault.message for fault in trained.faults()] == ["a batch of 11 examples out of 10"]
    entries = Flow(time=1.0, record=["drift"], entries=[[0, 9], [12, 0]])
    flow = Document(data=source, model=NARROW, stages={"flow": entries})
    (fault,) = flow.faults()
    assert fault.message == "there is no training example 12: they are 0 to 9"
    assert fault.help == "name examples from 0 to 9, or set data.train to 7 or more"


# what it costs


@pytest.mark.parametrize(("train", "side"), [(400, 400), (5000, 3072)])
def test_whitening_is_in_the_forecast(train: int, side: int):
    size = Extent(3072, 10, train, 100)
    plain, white = (cost_of(Cifar10(zca=zca), size) for zca in (None, 0.1))
    rows = 8 * (train + 100) * 3072
    assert white.loading > rows + 5 * 8 * side**2
    assert plain.loading < 3 * rows
    assert white.work.flops - plain.work.flops > 10 * side**3
    assert white.held == plain.held


def test_a_whitening_that_does_not_fit_is_refused_with_a_remedy(
    images: Path, monkeypatch: pytest.MonkeyPatch
):
    np.savez(images / "a.npz", x=np.zeros((900, 1000), np.uint8), y=np.zeros(900))
    source = Npz(path=str(images / "a.npz"), zca=0.1)
    stage = Variance(inputs_law="data")
    plan = ceflow.compile(Document(data=source, model=NARROW, stages={"s": stage}))
    needed = prepare(plan).needs()["s"].memory
    monkeypatch.setattr("ceflow.runs.machine.memory", lambda: 1e6)
    with pytest.raises(SpecError) as caught:
        prepare(plan)
    assert needed > 5 * 8 * 900**2
    assert caught.value.faults[0].help == "lower data.train, or leave data.zca out"


# what is said


def test_a_report_tells_what_is_done_to_the_inputs():
    source = Digits(train=5, flips=True, normalise="contrast", zca=0.1, scale=2.0)
    (line,) = lines_of(source)
    steps = ("flips = true", 'normalise = "contrast"', "zca = 0.1", "scale = 2.0")
    assert line == "inputs  " + ", then ".join(steps)
    assert lines_of(Digits(train=5)) == []


def lines_of(source: Digits) -> list[str]:
    data, *_ = plan_tree(ceflow.compile(Document(data=source, model=NARROW))).children
    return [str(child.label) for child in data.children]
