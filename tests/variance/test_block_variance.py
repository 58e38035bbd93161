"""A block's NTK: the closed form, the conditional sampler, and drawing all of its weights.

Statistical tests: a z-score beyond Z = 6 has probability 2e-9, and there are about 70 of them; the
Kolmogorov-Smirnov tests reject at 1e-8, and there are 6. The error rate of the file is below 1e-6.
Seeds are fixed. Squares of K have a heavy tail at widths 1 and 2, which makes a z-score of them
smaller, not larger: their own deviation grows with the same rare draws.
"""

import math
import tracemalloc

import numpy as np
import pytest
from scipy.stats import ks_2samp

from ceflow.seeding import Seed
from ceflow.spec import Block, Mlp, Resnext
from ceflow.variance import draw_inputs, exact_moments, sample_chunks, sample_ntk

Z = 6.0
REJECT = 1e-8
ROUNDING = 1e-12
"""Some hundred terms in double precision, all of which are positive."""

WIDTHS = [(1, 1), (2, 2), (8, 8), (32, 32), (3, 7), (9, 2)]
CHANNELS = 4
PATCH = draw_inputs((CHANNELS, 3, 3), "rectified", np.random.default_rng(0))[0]
"""Correlated positions."""
DIRECTION = np.array([0.3, -1.2, 0.8, 2.0])


def block(widths: tuple[int, int], activation: str = "relu", channels: int = CHANNELS) -> Block:
    keys = {"activation": activation, "weight_variance": 1.7, "last_variance": 0.6}
    return Block(channels=channels, widths=widths, **keys)  # pyright: ignore[reportArgumentType]


def all_weights(model: Block, x: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """K by drawing every weight: the definition, with the derivatives written out."""
    random, (n, last), c = np.random.default_rng(seed), model.widths, model.weight_variance
    phi = (lambda z: np.maximum(z, 0)) if model.activation == "relu" else (lambda z: z)
    slope = (lambda z: z > 0) if model.activation == "relu" else np.ones_like
    positions = x.reshape(model.channels, 9)
    first, second = math.sqrt(c / model.channels), math.sqrt(c / (9 * n))
    third = math.sqrt(model.last_variance / last)

    def one() -> float:
        z1 = first * random.standard_normal((n, model.channels)) @ positions
        weights = random.standard_normal((last, n, 9))
        z2 = second * np.einsum("jip,ip->j", weights, phi(z1))
        e2 = third * random.standard_normal(last) * slope(z2)
        e1 = second * np.einsum("j,jip->ip", e2, weights) * slope(z1)
        return (
            third**2 * (phi(z2) ** 2).sum()
            + second**2 * (e2**2).sum() * (phi(z1) ** 2).sum()
            + first**2 * ((e1 @ positions.T) ** 2).sum()
        )

    return np.array([one() for _ in range(draws)])


def z_score(values: np.ndarray, expected: float) -> float:
    return float((values.mean() - expected) / (values.std(ddof=1) / np.sqrt(len(values))))


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_exact_draws_have_the_exact_moments(widths, activation):
    model = block(widths, activation)
    moments = exact_moments(model, PATCH)
    draws = sample_ntk(model, 100_000, np.random.default_rng(1), PATCH)
    assert abs(z_score(draws, moments.mean)) < Z
    assert abs(z_score(draws**2, moments.second)) < Z


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_drawing_all_weights_has_the_exact_moments(widths, activation):
    model = block(widths, activation)
    moments = exact_moments(model, PATCH)
    draws = all_weights(model, PATCH, 6000, seed=2)
    assert abs(z_score(draws, moments.mean)) < Z
    assert abs(z_score(draws**2, moments.second)) < Z


@pytest.mark.parametrize("widths", WIDTHS[:5], ids=str)
def test_exact_draws_have_the_law_that_all_weights_give(widths):
    exact = sample_ntk(block(widths), 50_000, np.random.default_rng(3), PATCH)
    drawn = all_weights(block(widths), PATCH, 6000, seed=4)
    assert ks_2samp(exact, drawn).pvalue > REJECT  # type: ignore[attr-defined]


def test_distribution_test_has_the_power_to_see_a_wrong_law():
    exact = sample_ntk(block((8, 8)), 50_000, np.random.default_rng(3), PATCH)
    drawn = all_weights(block((8, 8)), PATCH, 6000, seed=4)
    assert ks_2samp(1.1 * exact, drawn).pvalue < REJECT  # type: ignore[attr-defined]


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("widths", [(1, 1), (5, 3), (64, 200)], ids=str)
@pytest.mark.parametrize(("alike", "share"), [(True, 1.0), (False, 1 / 9)])
def test_block_on_one_direction_is_an_mlp(widths, activation, alike, share):
    # Nine equal positions act as one under a kernel of nine times the fan-in; of a patch with one
    # position that is not 0, eight ninths of that fan-in are idle. The angles are 0 here, where a
    # cosine would leave 1e-8 of them.
    x = np.zeros((CHANNELS, 3, 3))
    x[:, :, :] = DIRECTION[:, None, None] if alike else 0
    x[:, 2, 0] = DIRECTION
    model = block(widths, activation)
    keys = {"weight_variance": 1.7, "last_variance": 0.6, "activation": activation}
    expected = exact_moments(Mlp(widths=widths, **keys), DIRECTION)  # pyright: ignore
    found = exact_moments(model, x)
    assert found.mean == pytest.approx(share * expected.mean, rel=ROUNDING)
    assert found.second == pytest.approx(share**2 * expected.second, rel=ROUNDING)


@pytest.mark.parametrize("widths", [(1, 1), (3, 50), (128, 128)], ids=str)
def test_mean_is_three_whatever_the_widths_and_the_directions(widths):
    # Each layer adds (c/2)^2 v |x|^2/(9 channels): 1 at c = 2, v = 1 and |x|^2 = inputs.
    for law in ("iid", "rectified"):
        x = draw_inputs((256, 3, 3), law, np.random.default_rng(5))[0]
        assert exact_moments(Block(widths=widths), x).mean == pytest.approx(3, rel=ROUNDING)


def test_moments_do_not_change_when_the_channels_are_rotated():
    turn, _ = np.linalg.qr(np.random.default_rng(6).standard_normal((CHANNELS, CHANNELS)))
    turned = np.einsum("dc,cij->dij", turn, PATCH)
    found = exact_moments(block((5, 6)), turned)
    assert found == pytest.approx(exact_moments(block((5, 6)), PATCH), rel=ROUNDING)


def test_a_patch_by_default_is_one_of_very_many_channels():
    many = draw_inputs((10**6, 3, 3), "iid", np.random.default_rng(7))[0]
    found = exact_moments(Block(channels=10**6, widths=(8, 8)), many)
    assert found.ratio == pytest.approx(
        exact_moments(Block(widths=(8, 8))).ratio, rel=1e-3
    )  # 1/root


@pytest.mark.parametrize(("low", "high", "law"), [(2.6, 2.7, "iid"), (3.0, 3.15, "rectified")])
def test_alpha_of_widths_that_matter_is_near_three(low, high, law):
    # 2.6 to 3.4 over widths 8 to 128, by input law.
    x = draw_inputs((256, 3, 3), law, np.random.default_rng(8))[0]
    alphas = [
        math.log(exact_moments(Block(widths=(n, n)), x).ratio) / (1 / 256 + 1 / (9 * n) + 1 / n)
        for n in (8, 16, 32, 64, 128)
    ]
    assert low - 0.1 < np.mean(alphas) < high + 0.1


def test_alpha_of_width_one_is_the_papers():
    # The paper's 1.60, fitted over all n from 1, is what the narrowest block has by itself.
    ratio = exact_moments(Block(widths=(1, 1))).ratio
    assert math.log(ratio) / (1 / 256 + 1 / 9 + 1) == pytest.approx(1.6, abs=0.03)


@pytest.mark.parametrize("widths", [(1, 1), (2, 1), (1, 3)], ids=str)
def test_dead_layers_give_a_kernel_of_zero(widths):
    # All of x in one direction: a unit of the first layer is active everywhere or nowhere.
    x = np.ones((CHANNELS, 3, 3))
    draws = sample_ntk(block(widths), 20_000, np.random.default_rng(9), x)
    assert np.isfinite(draws).all()
    dead = 1 - float(np.prod([1 - 2.0**-n for n in widths]))
    assert abs((draws == 0).mean() - dead) < Z * math.sqrt(dead * (1 - dead) / len(draws))


def test_a_chunk_depends_on_its_seed_and_index_only():
    few = list(sample_chunks(block((4, 4)), 1500, Seed(1), PATCH))
    many = list(sample_chunks(block((4, 4)), 4000, Seed(1), PATCH))
    assert [len(chunk) for chunk in few] == [1000, 500]
    np.testing.assert_array_equal(np.concatenate(few), np.concatenate(many)[:1500])
    assert len({chunk[0] for chunk in many}) == 4


def test_memory_of_the_sampler_does_not_grow_with_the_draws():
    tracemalloc.start()
    for chunk in sample_chunks(block((256, 256)), 5000, Seed(0), PATCH):
        assert len(chunk) == 1000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6  # a piece is 2 MB an array, and a few of them; all draws would be 90 MB


@pytest.mark.parametrize(
    ("change", "x", "message"),
    [
        ({"activation": "tanh"}, None, "no closed form for the activation tanh"),
        ({"cardinality": 2}, None, "for one group"),
        ({"projection": True}, None, "without projection"),
        ({}, np.zeros((4, 3, 3)), "x is 0"),
        ({}, np.ones((3, 3, 3)), r"4 x 3 x 3 numbers, not of shape \(3, 3, 3\)"),
        ({}, np.full((4, 3, 3), np.nan), "NaN or infinity"),
    ],
)
def test_what_has_no_closed_form_is_refused_by_both(change, x, message):
    model = block((4, 4)).model_copy(update=change)
    with pytest.raises(ValueError, match=message):
        exact_moments(model, x)
    with pytest.raises(ValueError, match=message):
        sample_ntk(model, 10, np.random.default_rng(0), x)


def test_what_a_resnext_repeats_is_a_block_that_is_measured():
    model = Resnext(blocks=[3, 3, 3], base_width=64, cardinality=4).member
    assert exact_moments(model).mean == pytest.approx(3)
