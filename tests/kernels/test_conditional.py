"""Exact draws of the NTK without weights, against drawing all weights: the same law."""

import re
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import compile
from ceflow.kernels import analytic, conditional_ntk, conditional_outputs, empirical_ntk
from ceflow.spec import Document, Mlp
from ceflow.variance import exact_moments

X = np.random.default_rng(0).standard_normal((4, 3))

MODELS = {
    "relu": Mlp(widths=(6, 5)),
    "one layer": Mlp(widths=(7,), activation="erf", weight_variance=1.3),
    "biases": Mlp(widths=(6, 5), activation="tanh", bias_variance=0.3, last_variance=0.6),
    "narrower than the inputs are many": Mlp(widths=(2, 3, 2), activation="tanh"),
    "wider": Mlp(widths=(20, 9)),
}
DRAWS = 4000


def drawn(draw: Any) -> np.ndarray:
    keys = jax.random.split(jax.random.key(5), DRAWS)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=400))(keys))


def statistics(kernels: np.ndarray) -> np.ndarray:
    """Of each draw: entries, their squares, and products of entries of different pairs."""
    flat = kernels.reshape(len(kernels), -1)
    return np.concatenate([flat, flat**2, flat[:, :5] * flat[:, 7:12]], axis=1)


@pytest.mark.parametrize("outputs", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    [
        *("relu", "biases"),
        *(pytest.param(n, marks=pytest.mark.slow) for n in MODELS if n not in ("relu", "biases")),
    ],
)
def test_the_law_is_that_of_drawn_weights(name: str, outputs: int, x64: None):
    model = MODELS[name]
    sized = model.model_copy(update={"inputs": 3, "outputs": outputs})
    plan = compile(Document(model=sized))
    weights = statistics(drawn(lambda key: empirical_ntk(plan.module(key), X, trace=True)))
    without = statistics(drawn(lambda key: conditional_ntk(model, X, outputs=outputs, key=key)))
    error = np.sqrt((weights.var(axis=0) + without.var(axis=0)) / DRAWS)
    # 37 statistics in each of 10 cases: five standard errors are passed by chance in 2e-4 of runs
    # of nearly normal means; the seed is fixed.
    assert (np.abs(weights.mean(axis=0) - without.mean(axis=0)) < 5 * error).all()
    assert (error[:16] < 0.05 * weights[:, :16].mean(axis=0).max()).all()  # so 25 % would be seen


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="only CPUs call LAPACK")
@pytest.mark.parametrize("draw", [conditional_ntk, conditional_outputs])
def test_no_two_calls_of_lapack_can_run_at_once(draw):
    """A batch of them waits in the thread pool for others in that pool: two at once stopped a run
    on two cores for ever (jaxlib 0.10.2).
    """
    batch = jax.vmap(lambda key: draw(Mlp(widths=(6, 5)), X, key=key))
    compiled = (
        jax.jit(batch).lower(jax.random.split(jax.random.key(0), 7)).compile().as_text() or ""
    )
    entry = compiled[compiled.index("ENTRY") :]
    found = re.findall(r"%?([\w.-]+) = [^\n]*?\((.*)", entry)
    needs = {name: set(re.findall(r"%([\w.-]+)", rest)) for name, rest in found}
    for name in needs:  # in the order of the program, so that those of its operands are complete
        needs[name] |= set().union(*(needs.get(other, set()) for other in needs[name]))
    calls = [name for name, rest in found if 'custom_call_target="lapack' in rest]
    assert len(calls) > 1
    assert all(one in needs[two] for one, two in pairwise(calls))


def test_moments_are_the_closed_form_ones(x64: None):
    model = Mlp(widths=(20, 20, 20))
    x = np.array([[1.0, 1.0]])  # |x|^2 = d
    draws = drawn(lambda key: conditional_ntk(model, x, key=key))[:, 0, 0]
    exact = exact_moments(model)
    for power, expected in ((1, exact.mean), (2, exact.mean**2 * exact.ratio)):
        values = draws**power
        # two statistics: five standard errors, 1e-6 by chance
        assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(DRAWS)


def test_a_width_that_no_matrix_would_fit_is_near_the_limit(x64: None):
    # 200,000 units a layer: matrices of 3e11 bytes. The relative deviation of an entry is
    # sqrt(3.2 * 2/n) = 0.6 %; five of them.
    model = Mlp(widths=(200_000, 200_000))
    kernel = conditional_ntk(model, X, key=jax.random.key(0))
    limit = analytic(model, X).ntk
    assert jnp.linalg.norm(kernel - limit) / jnp.linalg.norm(limit) < 0.03


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_kernels_are_symmetric_and_positive_semidefinite(activation: Any, x64: None):
    x = np.concatenate([X, X[:1], -X[:1], np.zeros((1, 3))])
    kernel = conditional_ntk(Mlp(widths=(30, 30), activation=activation), x, key=jax.random.key(2))
    np.testing.assert_allclose(kernel, kernel.T, rtol=0, atol=1e-14 * float(kernel.max()))
    eigenvalues = np.linalg.eigvalsh(np.asarray(kernel))
    assert eigenvalues[0] > -1e-13 * eigenvalues[-1]
    np.testing.assert_allclose(kernel[0], kernel[4], rtol=1e-10)  # equal inputs, equal rows


def test_in_float32_as_in_float64():
    kernel = conditional_ntk(MODELS["wider"], X.astype(np.float32), key=jax.random.key(3))
    assert kernel.dtype == jnp.float32
    assert np.isfinite(kernel).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [(np.ones(3), "examples, inputs"), ([[1.0, np.nan]], "row 0 of x holds NaN"), ([], "rows")],
)
def test_inputs_that_are_no_rows_of_numbers_are_refused(x: Any, message: str):
    with pytest.raises(ValueError, match=message):
        conditional_ntk(MODELS["relu"], x, key=jax.random.key(0))


@pytest.mark.parametrize("outputs", [0, -1, 1.5])
def test_outputs_are_counted(outputs: Any):
    with pytest.raises(ValueError, match="outputs must be a whole number of 1 or more, not"):
        conditional_ntk(MODELS["relu"], X, outputs=outputs, key=jax.random.key(0))


def test_an_infinite_width_is_refused():
    with pytest.raises(ValueError, match=r"infinite layer cannot be drawn; use"):
        conditional_ntk(Mlp(widths=(float("inf"),)), X, key=jax.random.key(0))


def test_a_kernel_that_is_not_finite_is_refused():
    def draw(key: Any) -> Any:
        return conditional_ntk(MODELS["relu"], X.astype(np.float32) * 1e20, key=key)

    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"NaN or infinite at examples 0 and 0: .*float64"):
        draw(key)
    # Nothing can be said of what is traced, which goes on to whoever called.
    for traced in (jax.jit(draw)(key), jax.vmap(draw)(key[None])[0]):
        assert not np.isfinite(traced).all()


@pytest.mark.parametrize("name", ["biases", "narrower than the inputs are many"])
def test_the_law_of_outputs_is_that_of_drawn_weights(name: str, x64: None):
    model = MODELS[name]
    plan = compile(Document(model=model.model_copy(update={"inputs": 3, "outputs": 2})))

    def by_weights(key: jax.Array) -> jax.Array:
        return jax.vmap(plan.module(key))(jnp.asarray(X))  # type: ignore[arg-type]

    def without(key: jax.Array) -> jax.Array:
        return conditional_outputs(model, X, outputs=2, key=key)

    def products(draw: Any) -> np.ndarray:
        outputs = drawn(draw).transpose(0, 2, 1).reshape(-1, len(X))
        return statistics(outputs[:, :, None] * outputs[:, None, :])

    one, two = products(by_weights), products(without)
    # The two outputs of a network are dependent, so that an error may be sqrt(2) times as large:
    # six of these, passed by chance in 2e-3 of 37 statistics in two cases at the very worst.
    error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / len(one))
    assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) < 6 * error).all()
    assert (error[:16] < 0.05 * one[:, :16].mean(axis=0).max()).all()  # so 30 % would be seen


def test_outputs_at_equal_inputs_are_equal(x64: None):
    x = np.array([[1.0, 2.0, 3.0]] * 3)
    outputs = conditional_outputs(Mlp(widths=(50, 50)), x, outputs=3, key=jax.random.key(0))
    # a covariance is exact to 1e-16, and its root to 1e-8
    np.testing.assert_allclose(outputs, outputs[:1].repeat(3, axis=0), atol=1e-6)
