"""Initial functions: laws of the weights, Jacobians, reproducibility."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.bottlenecks import DecoderKernels, mlp, normal_rows, relu, sample
from ceflow.kernels import analytic
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck

KINDS = ["iid", "orthogonal", "quasi-random"]
NETWORK = Bottleneck(size=3, encoder=relu(2), decoder=relu())


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_standard_normal(kind):
    """Mean, covariance and fourth moment of 2^14 rows, within 6 standard errors of iid ones."""
    rows = np.asarray(normal_rows(kind, 2**14, 3, Seed(3)))
    error = 6 / 2**7
    assert abs(rows.mean(0)).max() < error
    assert abs(rows.T @ rows / len(rows) - np.eye(3)).max() < error * np.sqrt(2)
    assert abs((rows**4).mean(0) - 3).max() < error * np.sqrt(96)


def test_orthogonal_rows_are_orthogonal_and_keep_their_lengths():
    rows = np.asarray(normal_rows("orthogonal", 40, 16, Seed(0)))
    gram = rows[:16] @ rows[:16].T
    assert abs(gram - np.diag(gram.diagonal())).max() < 1e-4
    assert np.ptp(gram.diagonal()) > 1


def test_quasi_random_features_bring_the_kernel_nearer():
    """Of the NNGP at n = 4096, median of 5 draws: the standard errors differ tenfold."""
    points = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))
    network = Bottleneck(size=2, encoder=relu(), decoder=relu())
    exact = DecoderKernels(network).nngp(points, points)

    def error(kind, seed):
        hidden = jax.nn.relu(points @ normal_rows(kind, 4096, 2, Seed(seed)).T / 2**0.5)
        return float(abs(hidden @ hidden.T / 4096 - exact).max())

    iid, quasi = (np.median([error(kind, s) for s in range(5)]) for kind in (KINDS[0], KINDS[2]))
    assert quasi < iid / 4


def test_g_has_the_law_of_the_encoder():
    """Covariance over 2,000 units of the bottleneck of width 2,000, within 6 standard errors."""
    x = np.random.default_rng(1).normal(size=(4, 5))
    net = sample(Bottleneck(size=2000, encoder=relu(), decoder=relu()), 5, 1, Seed(1), width=2000)
    g = np.asarray(net.embed(jnp.asarray(x)))
    exact = np.asarray(analytic(relu(), x).nngp)
    spread = np.sqrt(np.outer(exact.diagonal(), exact.diagonal()) + exact**2)
    # width brings as much noise as the number of units, with a kurtosis of ReLU of 6 at most
    assert (abs(g @ g.T / 2000 - exact) < 6 * np.sqrt(4 / 2000) * spread).all()


@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_the_jacobian_is_exact(x64, activation):
    net = sample(
        Bottleneck(size=3, encoder=relu(), decoder=mlp(activation)), 4, 2, Seed(0), width=30
    )
    points = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))
    exact = jax.vmap(jax.jacfwd(net.decoder))(points)
    np.testing.assert_allclose(net.decoder.jacobian(points), exact, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_functions_come_from_the_seed(kind):
    def drawn(seed):
        return sample(NETWORK, 4, 2, Seed(seed), width=64, features=kind)

    x = jnp.ones((3, 4))
    assert (drawn(0)(x) == drawn(0)(x)).all()
    assert (drawn(0)(x) != drawn(1)(x)).all()


def test_outputs_do_not_depend_on_how_many_are_asked_for():
    net = sample(NETWORK, 4, 1, Seed(0), width=50)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(700, 4)))
    np.testing.assert_allclose(net(x)[600:], net(x[600:]), atol=1e-6)


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="at least as wide"):
        sample(Bottleneck(size=100, encoder=relu(), decoder=relu()), 4, 1, Seed(0), width=50)
    with pytest.raises(ValueError, match=r"features must be .* or 'quasi-random', not 'sobol'"):
        normal_rows("sobol", 3, 3, Seed(0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="at most 21201 inputs"):
        normal_rows("quasi-random", 3, 30000, Seed(0))
    with pytest.raises(ValueError, match="1 unit and 1 input"):
        normal_rows("iid", 0, 3, Seed(0))
