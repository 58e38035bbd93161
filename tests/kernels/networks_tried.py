"""Modules whose kernels are tried, and their kernels by Jacobians formed whole."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ceflow.compiler import compile
from ceflow.nets import Dense
from ceflow.nets import Ensemble as EnsembleModule
from ceflow.spec import Document, Ensemble, Mlp, Network


def model(**fields: Any) -> Mlp:
    return Mlp(**{"widths": (6, 5), "inputs": 4, "outputs": 3, **fields})


def of_language(spec: Mlp | Ensemble | Network) -> Callable[[jax.Array], Any]:
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


TOKENS: Any = {
    "inputs": (2, 2, 2),
    "layers": [
        {"type": "position-embedding", "variance": 0.5},
        {
            "type": "token-mixing",
            "layers": [{"type": "convolution", "channels": 4, "kernel": 1}, "tanh"],
        },
        {"type": "scale", "initial": 0.7},
        "flatten",
        {"type": "dense", "units": 3},
    ],
}

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
    "token mixing": Case(of_language(Network(**TOKENS)), (2, 2, 2)),
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
