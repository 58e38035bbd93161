"""Exact moments, exact draws and drawing all weights: three roads to one law.

Statistical tests: a z-score beyond Z = 6 has probability 2e-9, and there are about 60 of them; the
Kolmogorov-Smirnov tests reject at 1e-8, and there are 6. The error rate of the file is below 1e-6.
Seeds are fixed, so a test that passes keeps passing.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ks_2samp

import ceflow
from ceflow.kernels import analytic, empirical_ntk
from ceflow.spec import Document, Ensemble, Mlp
from ceflow.variance import costs, draw_inputs, draw_ntk, exact_moments, sample_ntk

Z = 6.0
REJECT = 1e-8

NETWORKS = [
    Mlp(widths=(30,)),
    Mlp(widths=(12, 20)),
    Mlp(widths=(40, 30, 50)),
    Mlp(widths=(30, 20), weight_variance=1.0, last_variance=3.0),
    Mlp(widths=(15, 25), activation="linear", weight_variance=1.0),
    Mlp(widths=(30, 40, 30), activation="linear", weight_variance=1.5, last_variance=0.5),
]
NARROW = [Mlp(widths=(1,)), Mlp(widths=(2, 3)), Mlp(widths=(1, 8), activation="linear")]


def name(model: Mlp) -> str:
    return f"{model.activation}-{'-'.join(map(str, model.widths))}"


def z_score(values: np.ndarray, expected: float) -> float:
    values = values.astype(float)
    return float((values.mean() - expected) / (values.std(ddof=1) / np.sqrt(len(values))))


def given(inputs: int) -> np.ndarray:
    """Two inputs of |x|^2 = inputs."""
    return draw_inputs((inputs,), "iid", np.random.default_rng(5))


@functools.cache
def _drawn(key: str, draws: int, inputs: int) -> np.ndarray:
    model = Mlp.model_validate_json(key)
    return np.concatenate(list(draw_ntk(model, given(inputs)[0], draws=draws, seed=5)))


def drawn(model: Mlp, draws: int = 12_000, inputs: int = 3) -> np.ndarray:
    return _drawn(model.model_dump_json(), draws, inputs)


@pytest.mark.parametrize("model", NETWORKS, ids=name)
def test_exact_draws_have_the_exact_moments(model):
    moments = exact_moments(model)
    draws = sample_ntk(model, 400_000, np.random.default_rng(1))
    assert abs(z_score(draws, moments.mean)) < Z
    assert abs(z_score(draws**2, moments.second)) < Z


@pytest.mark.parametrize("model", NETWORKS, ids=name)
def test_drawing_all_weights_has_the_exact_moments(model):
    moments = exact_moments(model)
    draws = drawn(model).astype(float)
    assert abs(z_score(draws, moments.mean)) < Z
    assert abs(z_score(draws**2, moments.second)) < Z


@pytest.mark.parametrize("model", [*NETWORKS[1:3], NETWORKS[4], *NARROW], ids=name)
def test_exact_draws_and_drawn_weights_have_the_same_distribution(model):
    exact = sample_ntk(model, 100_000, np.random.default_rng(2))
    assert ks_2samp(exact, drawn(model)).pvalue > REJECT  # type: ignore[attr-defined]


def test_distribution_test_has_the_power_to_see_a_wrong_law():
    # A factor of 1.05 on K: a twentieth of its deviation or so.
    exact = sample_ntk(NETWORKS[1], 100_000, np.random.default_rng(2))
    assert ks_2samp(1.05 * exact, drawn(NETWORKS[1])).pvalue < REJECT  # type: ignore[attr-defined]


@pytest.mark.parametrize("widths", [(1,), (2, 3), (1, 2, 1)], ids=str)
@pytest.mark.parametrize("method", ["sample", "draw"])
def test_kernel_is_zero_just_when_a_layer_is_dead(widths, method):
    # A layer of n units is dead with probability 2^-n; K is then exactly 0, and never otherwise.
    model = Mlp(widths=widths)
    draws = (
        sample_ntk(model, 20_000, np.random.default_rng(3)) if method == "sample" else drawn(model)
    )
    dead = 1 - float(np.prod([1 - 2.0**-n for n in widths]))
    assert abs((draws == 0).mean() - dead) < Z * np.sqrt(dead * (1 - dead) / len(draws))


def test_linear_networks_have_no_dead_layers():
    model = Mlp(widths=(1, 1), activation="linear")
    assert (sample_ntk(model, 20_000, np.random.default_rng(4)) > 0).all()


def test_law_does_not_depend_on_the_number_of_inputs():
    model = NETWORKS[1]
    assert ks_2samp(drawn(model, inputs=1), drawn(model, inputs=40)).pvalue > REJECT  # type: ignore[attr-defined]


def test_one_generator_state_gives_one_set_of_draws():
    first, second = (sample_ntk(NETWORKS[2], 50, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.fixture
def chunks_of_100(monkeypatch):
    """A model, and chunks of exactly 100 networks for it."""
    model = Mlp(widths=(4, 4))
    parameters = 3 * 4 + 4 * 4 + 4
    monkeypatch.setattr(costs, "CHUNK_NUMBERS", 100 * parameters)
    return model


def test_chunks_have_the_planned_size_and_sum_to_the_draws(chunks_of_100):
    sizes = [len(chunk) for chunk in draw_ntk(chunks_of_100, np.ones(3), draws=250)]
    assert sizes == [100, 100, 50]


@pytest.mark.parametrize("draws", [100, 130, 260, 300])
def test_numbers_do_not_depend_on_how_many_are_asked_for(chunks_of_100, draws):
    many = np.concatenate(list(draw_ntk(chunks_of_100, np.ones(3), draws=300)))
    few = np.concatenate(list(draw_ntk(chunks_of_100, np.ones(3), draws=draws)))
    np.testing.assert_array_equal(few, many[:draws])


def test_every_chunk_and_every_seed_has_numbers_of_its_own(chunks_of_100):
    one, draws = np.ones(3), []
    for seed in (0, 1):
        draws += draw_ntk(chunks_of_100, one, draws=200, seed=seed)
    alive = np.concatenate(draws)
    alive = alive[alive != 0]  # dead networks are all equal
    # Of 400 float32 draws a pair coincides by chance with probability of about 400^2/2 / 2^23.
    assert len(set(alive.tolist())) >= len(alive) - 1


@pytest.mark.parametrize(
    ("parameters", "draws", "expected"),
    [
        (1e12, 2000, 1),  # at least one network
        (100, 2000, 1024),  # not more than 1024
        (100, 150, 150),  # not more than asked for
        (2**24 / 7, 2000, 7),  # as many as the numbers allow
    ],
)
def test_chunk_size_is_bounded(parameters, draws, expected):
    assert costs.chunk_size(parameters, draws) == expected


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_off_diagonal_entries_are_of_two_inputs(activation):
    # With one hidden layer, and for linear networks at any depth, E[K(x, x')] at finite width is
    # the infinite-width value.
    widths = (20,) if activation == "relu" else (20, 30)
    model = Mlp(widths=widths, activation=activation, weight_variance=2.0)
    x1, x2 = given(5)
    draws = np.concatenate(list(draw_ntk(model, x1, x2, draws=20_000, seed=3)))
    expected = float(analytic(model, x1[None], x2[None]).ntk[0, 0])
    assert abs(z_score(draws, expected)) < Z
    assert abs(z_score(draws, exact_moments(model).mean)) > Z


def ensemble_entry(multiplicity: int, draws: int) -> np.ndarray:
    """Draws of K(x, x) of the ensemble, through the module that a plan makes."""
    member = Mlp(widths=(16, 16), inputs=3, outputs=1)
    plan = ceflow.compile(Document(model=Ensemble(multiplicity=multiplicity, member=member)))
    x = jnp.ones((1, 3))  # |x|^2 = inputs

    @eqx.filter_jit
    def draw(keys: jax.Array) -> jax.Array:
        return jax.vmap(lambda key: empirical_ntk(plan.module(key), x, trace=True)[0, 0])(keys)

    keys = jax.random.split(jax.random.key(11), draws)
    return np.asarray(draw(keys), float)


@pytest.mark.parametrize("multiplicity", [1, 4, 16])
def test_variance_of_an_ensemble_is_its_members_over_their_number(multiplicity):
    moments = exact_moments(Mlp(widths=(16, 16)))
    draws = ensemble_entry(multiplicity, 3000)
    assert abs(z_score(draws, moments.mean)) < Z
    squares = (draws - moments.mean) ** 2
    assert abs(z_score(squares, (moments.second - moments.mean**2) / multiplicity)) < Z
