"""What is no input, seed or activation is refused in a sentence, and changes nothing in silence."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow import kernels, variance
from ceflow.spec import Block, Mlp

MODEL = Mlp(widths=[6], inputs=4, outputs=1, activation="erf")
RELU = Mlp(widths=[6])
BLOCK = Block(widths=[4, 4], channels=4)
X = np.random.default_rng(0).uniform(1, 2, (4, 4))
LINEAR = eqx.nn.Linear(4, 1, key=jax.random.key(0))

DOORS: dict[str, Callable[[Any], Any]] = {
    "analytic": lambda x: kernels.analytic(MODEL, x),
    "analytic, of a block": lambda x: kernels.analytic(
        Block(widths=[4, 4], channels=4), x[:, TILED]
    ),
    "conditional_ntk": lambda x: kernels.conditional_ntk(MODEL, x, key=jax.random.key(0)),
    "draw_ntk": lambda x: next(variance.draw_ntk(MODEL, x[0], x[1], draws=2)),
    "empirical_ntk": lambda x: kernels.empirical_ntk(LINEAR, x),
    "exact_moments": lambda x: variance.exact_moments(RELU, x[0]),
    "fit": lambda x: kernels.fit(x @ x.T, x[0], ridge=1.0),
}
TILED = np.tile(np.arange(4), 9)

TINY = "float32 cannot hold numbers of up to .*e-.*: bring them to the scale of 1"
LARGE = r"float32 cannot hold numbers of up to .*e\+.*or take precision float64"
SCALES = [(1e-200, TINY), (1e-40, TINY), (1e200, LARGE)]


@pytest.mark.parametrize(("scale", "says"), SCALES)
@pytest.mark.parametrize(
    "name", ["analytic", "analytic, of a block", "conditional_ntk", "draw_ntk"]
)
def test_what_float32_cannot_hold_is_said(name: str, scale: float, says: str):
    with pytest.raises(ValueError, match=says):
        DOORS[name](X * scale)


@pytest.mark.parametrize("scale", [1e-22, 1e-30, 1e-40])
def test_kernels_that_vanish_are_refused(scale: float):
    x = (X * scale).astype(np.float32)
    for call in (partial(kernels.analytic, RELU), kernels.block_kernel(RELU, "ntk")):
        with pytest.raises(ValueError, match="has variances out of the range of float32"):
            call(x)


def test_other_models_counts_and_keys_are_refused():
    key, given = jax.random.key(0), {"block": BLOCK, "mlp": RELU, "number": 0, "text": "1"}
    other: Any = given.get  # as an editor would not let it be written
    wrong: list[Any] = [
        (TypeError, lambda: kernels.conditional_ntk(other("block"), X, key=key), "takes an Mlp"),
        (ValueError, lambda: kernels.conditional_ntk(RELU, X, key=other("number")), "a key of jax"),
        (TypeError, lambda: kernels.ensemble_ntk(other("mlp"), X), "takes an Ensemble of ceflow"),
        (ValueError, lambda: kernels.fit(np.eye(4), X, ridge=other("text")), "a number of 0"),
    ]
    for kind, call, says in wrong:
        with pytest.raises(kind, match=says):
            call()


@pytest.mark.parametrize("seed", [-1, 2**64, None, "a", 1.5, True, jax.random.key(0)], ids=str)
def test_what_is_no_seed_is_refused(seed: Any):
    calls = (
        lambda: kernels.mean_kernel(lambda key: jnp.eye(2), seed, draws=2),
        lambda: variance.draw_ntk(MODEL, X[0], draws=2, seed=seed),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"a seed is a whole number from 0 to 2\^63 - 1"):
            call()


ACTIVATIONS: dict[str, tuple[Any, str]] = {
    "a word": ("foo", "activation must be 'relu', .* or 'silu', not 'foo'"),
    "a number": (5, "activation must be an elementwise function in JAX, not 5"),
    "of NumPy": (np.tanh, r"write it with jax.numpy \(TracerArrayConversionError\)"),
    "NaN": (jnp.log, "must be finite at every number; this one is not at -3"),
    "infinite": (lambda u: 1 / u, "must be finite at every number; this one is not at 0"),
    "bools": (lambda u: u > 0, "must give an array of real floats"),
    "complex": (lambda u: u * 1j, "must give an array of real floats"),
    "nothing": (lambda u: None, "must give an array of real floats"),
    "a constant": (lambda u: 1.0, r"must be elementwise: this one gives an array of shape \(\)"),
}


@pytest.mark.parametrize("case", ACTIVATIONS)
def test_what_is_no_activation_is_refused(case: str):
    activation, says = ACTIVATIONS[case]
    with pytest.raises(ValueError, match=says):
        kernels.analytic(RELU, X, activation=activation)


NO_INPUTS: dict[str, tuple[Callable[[], Any], str]] = {
    "conditional_ntk": (
        lambda: kernels.conditional_ntk(MODEL, X[:, :3], key=jax.random.key(0)),
        r"x must be \(examples, 4\), not \(4, 3\)",
    ),
    "conditional_ntk, empty": (
        lambda: kernels.conditional_ntk(RELU, X[:, :0], key=jax.random.key(0)),
        r"x must be \(examples, inputs\), not \(4, 0\)",
    ),
    "draw_ntk": (
        lambda: variance.draw_ntk(MODEL, X[0, :3], draws=2),
        "the model takes 4 inputs, and x1 has 3",
    ),
    "draw_ntk, empty": (
        lambda: variance.draw_ntk(RELU, X[0, :0], draws=2),
        r"x1 must be one example, not of shape \(0,\)",
    ),
    "exact_moments, empty": (
        lambda: variance.exact_moments(RELU, np.zeros(0)),
        "x must be one input",
    ),
}


@pytest.mark.parametrize("case", NO_INPUTS)
def test_inputs_of_another_number_are_refused(case: str):
    call, says = NO_INPUTS[case]
    with pytest.raises(ValueError, match=says):
        call()


UNHEEDED: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "a mask": (lambda x: np.ma.masked_array(x, x == x.max()), "masked arrays are not supported"),
    "digits": (lambda x: x.astype(np.longdouble), "has more precision than float64: use astype"),
}


@pytest.mark.parametrize("case", UNHEEDED)
@pytest.mark.parametrize("name", DOORS)
def test_masks_and_digits_are_not_dropped_in_silence(name: str, case: str):
    make, says = UNHEEDED[case]
    with pytest.raises(ValueError, match=says):
        DOORS[name](make(X))
