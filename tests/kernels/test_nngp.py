"""The empirical NNGP against outer products of outputs, one example at a time."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow import compile
from ceflow.kernels import analytic, costs, empirical_nngp, mean_kernel
from ceflow.nets import BatchNorm, Convolution, Dense
from ceflow.spec import Block, Bottleneck, Document, Ensemble, Mlp, Model, Network, Resnext

KEY = jax.random.key(0)

LAYERS: Any = ({"type": "dense", "units": 4}, "erf")
MODELS: dict[str, Model] = {
    "mlp": Mlp(widths=(6, 5), inputs=3, outputs=2, bias_variance=0.3),
    "ensemble": Ensemble(multiplicity=3, member=Mlp(widths=(4,), inputs=3, outputs=2)),
    "bottleneck": Bottleneck(
        size=2, encoder=Mlp(widths=(4,), inputs=3), decoder=Mlp(widths=(4,), outputs=2)
    ),
    "block": Block(channels=4, widths=(3, 3), cardinality=2, projection=True),
    "network": Network(inputs=3, layers=LAYERS),
    "resnext": Resnext(blocks=(1,), cardinality=2, base_width=2, inputs=(1, 8, 8), outputs=3),
}


def by_outer_products(module: Any, x: np.ndarray) -> np.ndarray:
    """f_a(x) f_b(x') for all pairs, (n, n, outputs, outputs)."""
    f = np.array([np.asarray(module(jnp.asarray(one))).reshape(-1) for one in x])
    return np.array([[np.outer(one, two) for two in f] for one in f])


def examples(model: Model, rows: int) -> np.ndarray:
    shape = compile(Document(model=model)).expand(model).inputs
    shape = shape if isinstance(shape, tuple) else (shape,)
    return np.random.default_rng(1).standard_normal((rows, *map(int, shape)))


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_outer_products_of_the_outputs(name: str, x64: None):
    plan = compile(Document(model=MODELS[name]))
    module: Any = plan.module(KEY)
    x = examples(MODELS[name], 3)
    expected = by_outer_products(eqx.filter_jit(module), x)
    mean = np.einsum("nmaa->nm", expected) / expected.shape[-1]
    scale = mean.max()
    found = empirical_nngp(module, x)
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found, mean, rtol=0, atol=1e-12 * scale)  # sums of 100s of terms
    np.testing.assert_array_equal(found, found.T)
    full = empirical_nngp(module, x, outputs="full")
    np.testing.assert_allclose(full, expected, rtol=0, atol=1e-12 * scale)
    rows = empirical_nngp(module, x[:1], x)
    np.testing.assert_allclose(rows, mean[:1], rtol=0, atol=1e-12 * scale)


def test_float32_is_near_float64():
    dense = Dense(50, 7, key=KEY)
    x = np.random.default_rng(0).standard_normal((9, 50))
    found = empirical_nngp(dense, x.astype(np.float32))
    assert found.dtype == jnp.float32
    f = x @ np.asarray(dense.weight, float).T / np.sqrt(50)
    # sums of 50 terms, each with a rounding of 6e-8
    np.testing.assert_allclose(found, f @ f.T / 7, atol=50 * 6e-8 * np.abs(f).max() ** 2)


def test_few_outputs_have_a_kernel_of_low_rank(x64: None):
    dense = Dense(50, 2, key=KEY)
    eigenvalues = np.linalg.eigvalsh(empirical_nngp(dense, np.eye(50)[:6]))
    assert (eigenvalues[-2:] > 1e-3).all()
    assert (abs(eigenvalues[:-2]) < 1e-15).all()


def test_examples_pass_in_chunks_within_memory(monkeypatch: pytest.MonkeyPatch, x64: None):
    monkeypatch.setattr(costs, "OUTPUT_BYTES", 6000.0)
    monkeypatch.setattr(costs, "FEWEST_EXAMPLES", 1)
    layer = Convolution(2, 3, kernel=3, key=KEY)
    x = np.random.default_rng(0).standard_normal((11, 2, 5, 5))
    lengths = re.findall(
        r"length=(\d+)", str(jax.make_jaxpr(lambda x: empirical_nngp(layer, x))(x))
    )
    assert lengths == ["6"]  # of two examples each, the last one padded
    expected = np.einsum("nmaa->nm", by_outer_products(layer, x)) / 75
    np.testing.assert_allclose(empirical_nngp(layer, x), expected, rtol=0, atol=1e-12)


def test_the_mean_over_draws_tends_to_the_analytic_kernel(x64: None):
    # With one hidden layer E[K] is the analytic NNGP at any width.
    spec = Mlp(widths=(100,), inputs=3, outputs=4, last_variance=1.5, bias_variance=0.2)
    x, plan = np.random.default_rng(2).standard_normal((4, 3)), compile(Document(model=spec))
    draw = eqx.filter_jit(lambda key: empirical_nngp(plan.module(key), x))
    found = mean_kernel(draw, draws=200)
    limit = np.asarray(analytic(spec, x).nngp)
    # ten entries: five standard errors are passed by chance in 1e-5 of seeds
    assert (np.abs(found.mean - limit) < 5 * found.stderr).all()
    # The stated rate: the shared layer of 100 units adds some percent, and the error of an error
    # over 200 draws of products of normal numbers is some 7 %.
    rate = np.sqrt((1 + np.trace(limit) ** 2 / (limit**2).sum()) / (200 * 4))
    assert found.error == pytest.approx(rate, rel=0.2)


def test_a_module_needs_no_parameters():
    x = np.arange(6.0).reshape(3, 2)
    found = empirical_nngp(eqx.nn.Lambda(lambda one: 2 * one), x)
    np.testing.assert_allclose(found, 2 * x @ x.T)


def test_batch_normalisation_needs_its_state_in_inference_mode(x64: None):
    norm, state = eqx.nn.make_with_state(BatchNorm)(2)
    frozen, x = eqx.nn.inference_mode(norm), np.random.default_rng(0).standard_normal((3, 2, 2, 2))
    with pytest.raises(ValueError, match="BatchNorm in training mode"):
        empirical_nngp(norm, x, state=state)
    with pytest.raises(ValueError, match="its state as state="):
        empirical_nngp(frozen, x)
    expected = np.einsum("nmaa->nm", by_outer_products(lambda one: frozen(one, state)[0], x)) / 8
    np.testing.assert_allclose(empirical_nngp(frozen, x, state=state), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("module", "x", "said"),
    [
        (Dense(2, 1, key=KEY), np.ones((3, 4)), "the module fails on one example"),
        (Dense(2, 1, key=KEY), np.full((3, 2), np.nan), "row 0 of x1 holds NaN"),
        (Dense(2, 1, key=KEY), np.full((3, 2), 1e30), "kernel is NaN or infinite at examples 0"),
        (eqx.nn.Lambda(lambda one: (one, one)), np.ones((3, 2)), "must return one array of floats"),
        (eqx.nn.Dropout(), np.ones((3, 2)), "Dropout in training mode"),
    ],
)
def test_what_has_no_kernel_is_refused(module: Any, x: np.ndarray, said: str):
    with pytest.raises(ValueError, match=said):
        empirical_nngp(module, x)


def test_outputs_are_a_mean_or_all():
    with pytest.raises(ValueError, match="outputs"):
        empirical_nngp(Dense(2, 1, key=KEY), np.ones((3, 2)), outputs="sum")  # type: ignore[arg-type]


def test_it_can_be_differentiated(x64: None):
    dense, x = Dense(3, 2, key=KEY), np.ones((2, 3))
    gradient = eqx.filter_grad(lambda module: empirical_nngp(module, x).sum())(dense)
    # K = |W x|^2/6 at all four pairs of examples
    product = np.asarray(dense.weight) @ np.ones(3)
    np.testing.assert_allclose(gradient.weight, 4 / 3 * np.outer(product, np.ones(3)))
