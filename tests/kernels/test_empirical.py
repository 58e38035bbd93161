"""The empirical NTK of one table of modules against Jacobians formed whole. A new kind joins it."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import compile
from ceflow.kernels import empirical_ntk
from ceflow.nets import Dense
from ceflow.nets import Ensemble as EnsembleModule
from ceflow.spec import Document, Ensemble, Mlp


def model(**fields: Any) -> Mlp:
    return Mlp(**{"widths": (6, 5), "inputs": 4, "outputs": 3, **fields})


def of_language(spec: Mlp | Ensemble) -> Callable[[jax.Array], Any]:
    return lambda key: compile(Document(model=spec)).module(key)


class Tied(eqx.Module):
    """One matrix used twice."""

    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.weight @ jnp.tanh(self.weight @ x)


class TiedThroughCalls(Tied):
    """One matrix used twice, each time by the same jitted function."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jitted_layer(self.weight, jitted_layer(self.weight, x))


class UsedElsewhereToo(Tied):
    """A matrix in one product, and again outside any product."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.weight @ x + self.weight.sum(axis=0) * (self.weight**2).mean()


class Squared(Tied):
    """A matrix multiplied by itself."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.weight @ self.weight.T) @ x


class Two(eqx.Module):
    """Two matrices; how they are used is up to the subclass."""

    one: jax.Array
    two: jax.Array

    def __init__(self, key: jax.Array):
        self.one, self.two = jax.random.normal(key, (2, 4, 4))


@jax.jit
def jitted_layer(weight: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.tanh(weight @ x / 2)


@jax.jit
def jitted_identity(weight: jax.Array) -> jax.Array:
    return weight


class Called(Two):
    """One jitted function called twice, with different weights."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jitted_layer(self.two, jitted_layer(self.one, x))


class CalledWithin(Two):
    """Jitted functions in jitted functions, a weight handed through one of them."""

    def __call__(self, x: jax.Array) -> jax.Array:
        def inner(one: jax.Array, two: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            return jitted_layer(one, x), jitted_identity(two)

        h, two = jax.jit(inner)(self.one, self.two, x)
        return two @ h


class Composed(Two):
    """Two weights that meet in a product before any input does."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.one @ self.two) @ x


class RightHand(Two):
    """Weights on the right of a product, and transposed."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.two.T @ jnp.tanh(x @ self.one)


class OnMatrices(Two):
    """A weight meets several vectors of one example at once, from the left and the right."""

    def __call__(self, x: jax.Array) -> jax.Array:
        rows = jnp.outer(x, jnp.cos(x))
        return jnp.tanh(self.one @ rows @ self.two).sum(axis=0)


class Contracted(Two):
    """Weights contracted over two axes, and over a batch axis."""

    def __call__(self, x: jax.Array) -> jax.Array:
        cube = self.one.reshape(4, 2, 2)
        h = jnp.tanh(jnp.einsum("ijk,jk->i", cube, x.reshape(2, 2)))
        return jnp.einsum("bij,bj->bi", self.two.reshape(2, 2, 4)[:, :, :2], h.reshape(2, 2))


class Checkpointed(Two):
    """A layer whose forward pass is done again in the backward one."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.two @ jax.checkpoint(lambda w, h: jnp.tanh(w @ h))(self.one, x)


class Branches(Two):
    """A weight used in one branch only of a condition."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.lax.cond(x[0] > 0, lambda: self.one @ x, lambda: self.two @ jnp.tanh(x))


class Stopped(Two):
    """Gradients that do not pass: through one weight, and through one input."""

    def __call__(self, x: jax.Array) -> jax.Array:
        frozen = jax.lax.stop_gradient(self.one)
        return frozen @ x + self.two @ jax.lax.stop_gradient(self.one @ x)


class Unused(Two):
    """A weight that nothing depends on."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(self.one @ x)


class Scanned(eqx.Module):
    """Layers stacked in one array, and a scan over them."""

    weights: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        def step(h: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
            return jnp.tanh(weight @ h), h

        return jax.lax.scan(step, x, self.weights)[0]


class WithIntegers(Two):
    """Arrays of integers and booleans, which are no parameters."""

    order: jax.Array
    mask: jax.Array

    def __init__(self, key: jax.Array):
        super().__init__(key)
        self.order, self.mask = jnp.array([2, 0, 3, 1]), jnp.array([True, False, True, True])

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.two @ jnp.where(self.mask, jnp.tanh(self.one @ x[self.order]), 0)


class Normed(eqx.Module):
    """Linear, LayerNorm, linear: scales and offsets beside matrices."""

    first: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        one, two = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(4, 6, key=one), eqx.nn.Linear(6, 3, key=two)
        self.norm = eqx.nn.LayerNorm(6)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(jnp.tanh(self.norm(self.first(x))))


class Convolved(eqx.Module):
    """A convolution, and a linear layer on what comes out of it."""

    convolution: eqx.nn.Conv2d
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        one, two = jax.random.split(key)
        self.convolution = eqx.nn.Conv2d(2, 3, 3, padding=1, key=one)
        self.last = eqx.nn.Linear(3 * 4 * 4, 2, key=two)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(jax.nn.relu(self.convolution(x)).reshape(-1))


class Scaled(Two):
    """Weights scaled before they are used: by a number, by an array computed, by a quotient."""

    def __call__(self, x: jax.Array) -> jax.Array:
        h = jnp.tanh((0.5 * self.one) @ x)
        return (jnp.sqrt(2.0 / len(x)) * self.two.T / 3.0) @ h


class LearnedScale(eqx.Module):
    """A weight times a scalar that is a parameter itself, and depends on the input."""

    weight: jax.Array
    scale: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.weight * (self.scale * x.sum())) @ jnp.tanh(x)


class ScaledByItself(Tied):
    """Weight normalisation: the scalar comes from the weight."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.weight / jnp.sqrt((self.weight**2).sum())) @ x


class ScalarWeight(Tied):
    """A parameter without axes, which multiplies everything."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(self.weight * x)


class Attention(eqx.Module):
    """Embedded tokens that attend to each other, summed."""

    embedding: eqx.nn.Embedding
    attention: eqx.nn.MultiheadAttention

    def __init__(self, key: jax.Array):
        one, two = jax.random.split(key)
        self.embedding = eqx.nn.Embedding(7, 4, key=one)
        self.attention = eqx.nn.MultiheadAttention(2, 4, key=two)

    def __call__(self, x: jax.Array) -> jax.Array:
        tokens = jax.vmap(self.embedding)((3 * jnp.abs(x)).astype(int) % 7)
        tokens = jnp.tanh(tokens * (1 + x[:, None]))
        return self.attention(tokens, tokens, tokens).sum(axis=0)


class Recurrent(eqx.Module):
    """A GRU scanned over a sequence."""

    cell: eqx.nn.GRUCell
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        one, two = jax.random.split(key)
        self.cell, self.last = eqx.nn.GRUCell(2, 3, key=one), eqx.nn.Linear(3, 2, key=two)

    def __call__(self, x: jax.Array) -> jax.Array:
        h, _ = jax.lax.scan(lambda h, step: (self.cell(step, h), None), jnp.zeros(3), x)
        return self.last(h)


class Residual(eqx.Module):
    """A convolution, and around it the identity."""

    convolution: eqx.nn.Conv1d

    def __init__(self, key: jax.Array):
        self.convolution = eqx.nn.Conv1d(3, 3, 3, padding="SAME", key=key)

    def __call__(self, x: jax.Array) -> jax.Array:
        return (x + self.convolution(jnp.tanh(x))).mean(axis=1)


class TiedConvolution(Residual):
    """One filter used twice."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.convolution(jnp.tanh(self.convolution(x))).mean(axis=1)


class Frames(Residual):
    """One convolution of several frames of one example, a batch axis of its own."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(jax.vmap(self.convolution)(x)).mean(axis=(0, 2))


class ChannelsLast(eqx.Module):
    """A convolution over (height, width, channels), in layouts that Equinox never makes."""

    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jax.lax.conv_general_dilated(
            x[None],
            2.0 * self.weight,
            window_strides=(1, 2),
            padding=[(1, -1), (2, 0)],
            lhs_dilation=(2, 1),
            rhs_dilation=(1, 2),
            dimension_numbers=("NHWC", "WHOI", "HNWC"),
            feature_group_count=2,
        )
        return jnp.tanh(y).sum(axis=(0, 2)).reshape(-1)


def layers(*kinds: Any) -> Callable[[jax.Array], Any]:
    """One after another, from their constructors, functions between them."""

    def build(key: jax.Array) -> eqx.nn.Sequential:
        keys = jax.random.split(key, len(kinds))
        made = [kind(key=one) for kind, one in zip(kinds, keys, strict=True)]
        return eqx.nn.Sequential(made)

    return build


def function(apply: Callable[[jax.Array], jax.Array]) -> Callable[..., Any]:
    return lambda key: eqx.nn.Lambda(apply)


TANH, FLAT = function(jnp.tanh), function(jnp.ravel)


def convolution(kind: Any, *sizes: Any, **options: Any) -> Callable[..., Any]:
    return lambda key: kind(*sizes, **options, key=key)


class SquareOutput(Two):
    """Outputs that are a matrix."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.one @ x).reshape(2, 2)


class Case(NamedTuple):
    build: Callable[..., Any]
    shape: tuple[int, ...] = (4,)


def mlp_of_equinox(key: jax.Array) -> eqx.Module:
    return eqx.nn.MLP(4, 3, 6, 2, key=key)


def square(key: jax.Array) -> jax.Array:
    return jax.random.normal(key, (4, 4))


MODULES = {
    "dense": Case(lambda key: Dense(4, 3, weight_variance=2.0, key=key)),
    "relu": Case(of_language(model())),
    "linear": Case(of_language(model(activation="linear"))),
    "erf": Case(of_language(model(activation="erf"))),
    "tanh": Case(of_language(model(activation="tanh"))),
    "biases": Case(of_language(model(bias_variance=0.3, weight_variance=1.7, last_variance=0.6))),
    "deep": Case(of_language(model(widths=(5,) * 5))),
    "one unit wide": Case(of_language(model(widths=(1, 1), activation="tanh"))),
    "one input": Case(of_language(model(inputs=1)), (1,)),
    "one output": Case(of_language(model(outputs=1))),
    "ensemble": Case(of_language(Ensemble(multiplicity=3, member=model()))),
    "ensemble of one": Case(of_language(Ensemble(multiplicity=1, member=model()))),
    "ensemble with biases": Case(
        of_language(Ensemble(multiplicity=4, member=model(bias_variance=0.5)))
    ),
    "ensemble of ensembles": Case(
        lambda key: EnsembleModule(
            of_language(Ensemble(multiplicity=2, member=model())), 3, key=key
        )
    ),
    "ensemble of eqx.nn.MLP": Case(lambda key: EnsembleModule(mlp_of_equinox, 3, key=key)),
    "eqx.nn.MLP": Case(mlp_of_equinox),
    "scalar": Case(lambda key: eqx.nn.MLP(4, "scalar", 6, 1, activation=jnp.tanh, key=key)),
    "matrix of outputs": Case(SquareOutput),
    "convolution": Case(Convolved, (2, 4, 4)),
    "norm": Case(Normed),
    "tied": Case(lambda key: Tied(square(key))),
    "tied through calls": Case(lambda key: TiedThroughCalls(square(key))),
    "used elsewhere too": Case(lambda key: UsedElsewhereToo(square(key))),
    "squared": Case(lambda key: Squared(square(key))),
    "called": Case(Called),
    "called within": Case(CalledWithin),
    "composed": Case(Composed),
    "right-hand": Case(RightHand),
    "on matrices": Case(OnMatrices),
    "contracted": Case(Contracted),
    "checkpoint": Case(Checkpointed),
    "branches": Case(Branches),
    "stop_gradient": Case(Stopped),
    "unused": Case(Unused),
    "scan": Case(lambda key: Scanned(jax.random.normal(key, (3, 4, 4)) / 2)),
    "integers": Case(WithIntegers),
    "scaled": Case(Scaled),
    "learned scale": Case(lambda key: LearnedScale(square(key), jnp.array(0.7))),
    "scaled by itself": Case(lambda key: ScaledByItself(square(key))),
    "scalar weight": Case(lambda key: ScalarWeight(jnp.array(0.7))),
    "attention": Case(Attention),
    "GRU": Case(Recurrent, (3, 2)),
    "residual": Case(Residual, (3, 5)),
    "tied convolution": Case(TiedConvolution, (3, 5)),
    "frames": Case(Frames, (2, 3, 5)),
    "channels last": Case(
        lambda key: ChannelsLast(jax.random.normal(key, (2, 3, 4, 2))), (5, 6, 4)
    ),
    "1-d convolution": Case(
        layers(convolution(eqx.nn.Conv1d, 2, 3, 3, stride=2), TANH, FLAT), (2, 8)
    ),
    "grouped convolution": Case(
        layers(
            convolution(eqx.nn.Conv2d, 4, 6, 3, padding=1, groups=2),
            TANH,
            convolution(eqx.nn.Conv2d, 6, 2, (1, 2), groups=2, dilation=2, stride=(2, 1)),
            FLAT,
        ),
        (4, 4, 4),
    ),
    "depthwise convolution": Case(
        layers(convolution(eqx.nn.Conv2d, 3, 6, 2, groups=3), TANH, FLAT), (3, 3, 3)
    ),
    "3-d convolution": Case(
        layers(convolution(eqx.nn.Conv3d, 1, 2, 2, padding=(0, 1, 0)), TANH, FLAT), (1, 2, 2, 3)
    ),
    "transposed convolution": Case(
        layers(convolution(eqx.nn.ConvTranspose1d, 2, 3, 3, stride=2), TANH, FLAT), (2, 3)
    ),
    "convolution at one position": Case(
        layers(convolution(eqx.nn.Conv2d, 2, 40, 3), TANH, FLAT, convolution(eqx.nn.Linear, 40, 2)),
        (2, 3, 3),
    ),
    "ensemble of convolutions": Case(
        lambda key: EnsembleModule(
            layers(
                convolution(eqx.nn.Conv1d, 2, 4, 3),
                TANH,
                convolution(eqx.nn.Conv1d, 4, 2, 2, groups=2),
                FLAT,
            ),
            3,
            key=key,
        ),
        (2, 5),
    ),
    "group and RMS norm": Case(
        layers(
            convolution(eqx.nn.Conv1d, 2, 4, 3),
            lambda key: eqx.nn.GroupNorm(2, 4),
            TANH,
            FLAT,
            lambda key: eqx.nn.RMSNorm(12),
            convolution(eqx.nn.Linear, 12, 2),
        ),
        (2, 5),
    ),
}


class Answer(NamedTuple):
    module: Any
    x: np.ndarray
    kernel: np.ndarray
    """The whole kernel of x with itself, by Jacobians."""


def by_jacobians(module: Any, x1: jax.Array, x2: jax.Array) -> jax.Array:
    """`J(x1) J(x2)^T`, every gradient formed."""
    parameters, static = eqx.partition(module, eqx.is_inexact_array)

    @jax.jit
    def jacobian(parameters: Any, x: jax.Array) -> jax.Array:
        def output(parameters: Any) -> jax.Array:
            return eqx.combine(parameters, static)(x).reshape(-1)

        leaves = jax.tree.leaves(jax.jacrev(output)(parameters))
        return jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)

    one, two = (jnp.stack([jacobian(parameters, row) for row in x]) for x in (x1, x2))
    return jnp.einsum("iap,jbp->ijab", one, two)


@cache
def answer(name: str) -> Answer:
    """Module, four inputs and their kernel, in float64."""
    case = MODULES[name]
    with jax.enable_x64(True):
        module = case.build(jax.random.key(11))
        x = jax.random.normal(jax.random.key(12), (4, *case.shape))
        return Answer(module, np.asarray(x), np.asarray(by_jacobians(module, x, x)))


def assert_close(kernel: Any, expected: np.ndarray, relative: float) -> None:
    assert kernel.shape == expected.shape
    error = np.abs(np.asarray(kernel) - expected).max() / np.abs(expected).max()
    assert error <= relative


# Sums of at most a few hundred products, in another order: some hundred roundings of 1e-16
# (6e-8 in float32), which add up like their root.
DOUBLE, SINGLE = 1e-10, 1e-5


@pytest.mark.parametrize("name", MODULES)
def test_kernel_is_that_of_the_jacobians(name: str, x64: None):
    module, x, expected = answer(name)
    assert_close(empirical_ntk(module, x[:3], x[1:]), expected[:3, 1:], DOUBLE)


@pytest.mark.parametrize("name", MODULES)
def test_trace_is_the_sum_of_the_diagonal_over_outputs(name: str, x64: None):
    module, x, expected = answer(name)
    trace = np.trace(expected, axis1=2, axis2=3)
    assert_close(empirical_ntk(module, x, trace=True), trace, DOUBLE)


# what takes minutes on the whole table takes seconds on these; `make test-slow` does it all
OFTEN = ["relu", "ensemble", "eqx.nn.MLP", "tied", "grouped convolution", "attention", "scaled"]
SELDOM = [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in MODULES]


@pytest.mark.parametrize("name", SELDOM)
def test_kernel_in_float32(name: str):
    module, x, expected = answer(name)

    def narrow(leaf: Any) -> Any:
        array = np.asarray(leaf)
        return jnp.asarray(array.astype(np.float32) if array.dtype.kind == "f" else array)

    arrays, static = eqx.partition(module, eqx.is_array)
    kernel = empirical_ntk(eqx.combine(jax.tree.map(narrow, arrays), static), narrow(x))
    assert kernel.dtype == jnp.float32
    assert_close(kernel, expected, SINGLE)


@pytest.mark.parametrize("name", MODULES)
def test_answers_are_kernels_of_something(name: str):
    # keeps the table honest: a module with a zero kernel would pass every test
    kernel = answer(name).kernel
    assert (np.trace(kernel, axis1=2, axis2=3).diagonal() > 0.01).all()


@pytest.mark.parametrize("name", SELDOM)
def test_products_of_the_kernel_with_vectors_are_its_rows(name: str, x64: None):
    module, x, expected = answer(name)
    kernel = empirical_ntk(module, x[:3], x[1:], method="products")
    assert_close(kernel, expected[:3, 1:], DOUBLE)


SOME = ["relu", "ensemble with biases", "convolution", "tied", "scan"]


@pytest.mark.parametrize("name", [*SOME, "grouped convolution", "scaled"])
@pytest.mark.parametrize("method", ["structured", "jacobian"])
def test_other_methods(name: str, method: Any, x64: None):
    module, x, expected = answer(name)
    assert_close(empirical_ntk(module, x, method=method), expected, DOUBLE)
    trace = empirical_ntk(module, x, x[1:], trace=True, method=method)
    assert_close(trace, np.trace(expected, axis1=2, axis2=3)[:, 1:], DOUBLE)


@pytest.mark.parametrize("name", ["relu", "tied convolution"])
def test_trace_by_products(name: str, x64: None):
    module, x, expected = answer(name)
    trace = empirical_ntk(module, x, trace=True, method="products")
    assert_close(trace, np.trace(expected, axis1=2, axis2=3), DOUBLE)


@pytest.mark.parametrize("name", SOME)
def test_one_batch_is_taken_with_itself(name: str, x64: None):
    module, x, expected = answer(name)
    assert_close(empirical_ntk(module, x), expected, DOUBLE)


@pytest.mark.parametrize("name", SOME)
def test_kernel_is_symmetric_and_positive_semidefinite(name: str, x64: None):
    module, x, _ = answer(name)
    kernel = np.asarray(empirical_ntk(module, x))
    size = kernel.shape[0] * kernel.shape[2]
    matrix = kernel.transpose(0, 2, 1, 3).reshape(size, size)
    # rounding alone may break either, by some 1e-16 of the largest eigenvalue
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-13 * np.abs(matrix).max())
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert eigenvalues[0] >= -1e-13 * eigenvalues[-1]


@pytest.mark.parametrize("name", SOME)
def test_kernel_one_pair_at_a_time_is_the_batched_one(name: str, x64: None):
    module, x, expected = answer(name)
    for i in range(2):
        for j in range(2):
            one = empirical_ntk(module, x[i : i + 1], x[j : j + 1])
            np.testing.assert_allclose(
                one[0, 0], expected[i, j], rtol=0, atol=DOUBLE * np.abs(expected).max()
            )


@pytest.mark.parametrize("name", ["ensemble with biases", "tied"])
def test_kernel_within_jit(name: str, x64: None):
    module, x, expected = answer(name)
    assert_close(eqx.filter_jit(empirical_ntk)(module, jnp.asarray(x)), expected, DOUBLE)


@pytest.mark.parametrize("name", ["relu", "ensemble"])
def test_kernel_within_vmap_over_keys(name: str, x64: None):
    build, x = MODULES[name].build, answer(name).x
    keys = jax.random.split(jax.random.key(1), 3)
    batched = jax.vmap(lambda key: empirical_ntk(build(key), x, trace=True))(keys)
    for key, kernel in zip(keys, batched, strict=True):
        expected = by_jacobians(build(key), jnp.asarray(x), jnp.asarray(x))
        assert_close(kernel, np.trace(expected, axis1=2, axis2=3), DOUBLE)


@pytest.mark.parametrize("bias_variance", [0.0, 0.4])
@pytest.mark.parametrize("multiplicity", [1, 3])
def test_an_ensembles_kernel_is_the_mean_of_its_members(
    multiplicity: int, bias_variance: float, x64: None
):
    member = model(bias_variance=bias_variance)
    spec = Ensemble(multiplicity=multiplicity, member=member)
    ensemble: Any = of_language(spec)(jax.random.key(21))
    x = jax.random.normal(jax.random.key(22), (3, 4))
    arrays, static = eqx.partition(ensemble.members, eqx.is_array)
    members = [
        eqx.combine(jax.tree.map(lambda array, index=index: array[index], arrays), static)
        for index in range(multiplicity)
    ]
    mean = np.mean([empirical_ntk(one, x) for one in members], axis=0)
    assert_close(empirical_ntk(ensemble, x), mean, DOUBLE)


def test_kernel_of_a_dense_layer_by_hand(x64: None):
    x = np.array([[1.0, 2.0], [0.0, -1.0]])
    dense = Dense(2, 2, weight_variance=3.0, bias_variance=0.5, key=jax.random.key(0))
    # c/fan_in x.x' + b, on the diagonal over outputs
    expected = (1.5 * x @ x.T + 0.5)[:, :, None, None] * np.eye(2)
    np.testing.assert_allclose(empirical_ntk(dense, x), expected, rtol=1e-14, atol=1e-15)


def test_equal_inputs_have_equal_entries(x64: None):
    module, x, _ = answer("relu")
    kernel = np.asarray(empirical_ntk(module, np.stack([x[0], x[1], x[0]])))
    np.testing.assert_allclose(kernel[0], kernel[2], rtol=1e-12)


def test_a_zero_input_of_a_network_without_biases_has_a_zero_kernel(x64: None):
    module, x, _ = answer("relu")
    kernel = np.asarray(empirical_ntk(module, np.zeros((1, 4)), x))
    np.testing.assert_array_equal(kernel, 0)


# what is refused


class Integers(Two):
    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.one @ x > 0).astype(int)


class Pair(Two):
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.one @ x, self.two @ x


def made(kind: Callable[..., Any]) -> Any:
    return kind(jax.random.key(0))


class WithBatch(eqx.Module):
    """A module that multiplies whole batches."""

    weight: jax.Array = eqx.field(default_factory=lambda: jnp.eye(4))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.einsum("ni,io->no", x, self.weight)


class IntegerParameters(WithBatch):
    """Weights that are integers."""

    weight: jax.Array = eqx.field(default_factory=lambda: jnp.eye(4, dtype=int))


DENSE = Dense(4, 2, key=jax.random.key(0))
NORM = eqx.nn.BatchNorm(4, axis_name="batch", mode="batch")


@pytest.mark.parametrize(
    ("module", "x1", "x2", "says"),
    [
        (eqx.nn.Lambda(jnp.tanh), np.ones((2, 4)), None, "no parameters"),
        (made(Integers), np.ones((2, 4)), None, "one array of floats, not an array of int"),
        (made(Pair), np.ones((2, 4)), None, "one array of floats, not tuple"),
        (made(Called), np.ones((2, 4)), np.ones((2, 3)), r"different shapes, \(4,\) and \(3,\)"),
        (made(Called), np.ones((2, 4)), np.ones((4,)), "different shapes"),
        (DENSE, np.ones((2, 3)), None, "4 inputs was given"),
        (DENSE, np.ones(4), None, "4 inputs was given"),
        (DENSE, np.ones(()), None, "examples"),
        (DENSE, np.ones((0, 4)), None, "examples"),
        (DENSE, [[1, 1, 1, 1], [1, np.nan, 1, 1]], None, "row 1 of x1 holds NaN or infinity"),
        (DENSE, np.ones((2, 4)), np.full((2, 4), np.inf), r"row 0 of x2 .*\(2 rows do\)"),
        (WithBatch(), np.ones((2, 4)), None, "modules take one example, not a batch"),
        (IntegerParameters(), np.ones((2, 4)), None, "hold no floats; convert"),
        (Tied(jnp.eye(4) * 1j), np.ones((2, 4)), None, "complex parameters"),
        (eqx.nn.Sequential([DENSE, eqx.nn.Dropout()]), np.ones((2, 4)), None, "a Dropout in train"),
        (NORM, np.ones((2, 4)), None, "a BatchNorm in training mode; pass eqx.nn.inference_mode"),
        (eqx.nn.inference_mode(NORM), np.ones((2, 4)), None, "its state as state="),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_kernel_is_refused(module: Any, x1: Any, x2: Any, says: str):
    with pytest.raises(ValueError, match=says):
        empirical_ntk(module, x1, x2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"memory": 0}, "memory must be a number of bytes above 0, not 0"),
        ({"memory": float("nan")}, "memory must be"),
        ({"method": "fast"}, "one of auto, structured, jacobian, products"),
        ({"where": lambda module: module.bias}, "where picks no parameters"),
    ],
    ids=["memory", "nan", "method", "where"],
)
def test_options_that_mean_nothing_are_refused(options: Any, says: str):
    with pytest.raises(ValueError, match=says):
        empirical_ntk(DENSE, np.ones((2, 4)), **options)


# a subset of the parameters, and state


def test_subsets_of_the_parameters_add_up(x64: None):
    module, x, expected = answer("eqx.nn.MLP")
    weights = empirical_ntk(module, x, where=lambda m: [layer.weight for layer in m.layers])
    biases = empirical_ntk(module, x, where=lambda m: [layer.bias for layer in m.layers])
    assert np.abs(biases).max() > 0.1
    assert_close(weights + biases, expected, DOUBLE)


def test_a_layer_is_a_subset(x64: None):
    module, x, expected = answer("eqx.nn.MLP")
    parts = [
        empirical_ntk(module, x, where=lambda m, layer=layer: m.layers[layer]) for layer in range(3)
    ]
    assert_close(sum(parts[1:], parts[0]), expected, DOUBLE)


class Normalised(eqx.Module):
    """Linear, batch normalisation, linear."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        one, two = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(4, 6, key=one), eqx.nn.Linear(6, 3, key=two)
        self.norm = eqx.nn.BatchNorm(6, axis_name="batch", mode="batch")

    def __call__(self, x: jax.Array, state: eqx.nn.State) -> tuple[jax.Array, eqx.nn.State]:
        h, state = self.norm(self.first(x), state)
        return self.last(jnp.tanh(h)), state


def test_batch_normalisation_with_its_state(x64: None):
    module, state = eqx.nn.make_with_state(Normalised)(jax.random.key(3))
    x = jax.random.normal(jax.random.key(4), (4, 4))
    train = jax.vmap(module, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    _, state = train(x, state)
    still = eqx.nn.inference_mode(module)

    class Alone(eqx.Module):
        inner: Normalised

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.inner(x, state)[0]

    expected = np.asarray(by_jacobians(Alone(still), x, x))
    assert_close(empirical_ntk(still, x, state=state), expected, DOUBLE)
