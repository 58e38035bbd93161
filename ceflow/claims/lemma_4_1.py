"""BN lemma 4.1: a deep linear network with a bottleneck is a two-layer one (BN figures 13, 14)."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.bottlenecks import Rates
from ceflow.claims.experiment import Experiment, experiment
from ceflow.claims.followed import (
    Followed,
    LimitKernels,
    Residuals,
    Segments,
    follow,
    relative,
    residuals,
)
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import (
    RESIDUAL_FACTOR,
    ROUNDING_FACTOR,
    TRAJECTORY_FACTOR,
    Part,
    Verdict,
    by_step,
    typical,
)
from ceflow.history import History
from ceflow.nets import Dense
from ceflow.spec import Bottleneck, Mlp

RATE_FACTORS = Rates(1.0, 0.5)
"""Factors of the learning rates of encoder and decoder; they differ, to test both."""


class Networks(NamedTuple):
    """Values during training of the network of width n, and of the network of two layers."""

    wide: Followed
    effective: Followed


def two_layers(trial: Trial, depths: tuple[int, int] | None = None) -> Verdict:
    """Compare the model, with its activations made linear, with a network of two layers.

    The halves of the model have L_g and L_f layers (`depths`).

    - `wide.f`, `wide.g`, `wide.J` are median residuals of the model's evolution at width n, with
      Theta = L_g xi.xi'/d_0 and K = L_f x.x'/d (figure 13).
    - `effective.f`, `effective.g`, `effective.J` are median residuals of the two layers `w_eff
      theta_eff xi`, with L = 1 at the rates L_g e_g, L_f e_f (figure 14). They are due to rounding;
      that of f also to the finite step size, by a known amount.
    - `wide.trajectory` is the largest relative error of F between the two networks.
    - `function-space` is the largest relative error of F between the two layers and the limit's
      dynamics, due to rounding.
    """
    network = linear(trial.bottleneck)
    tried = experiment(trial, network, rate_factors=RATE_FACTORS)
    encoder, decoder = _halves(network)
    deep = depths or (len(encoder.widths) + 1, len(decoder.widths) + 1)
    raised = Rates(*(depth * each for depth, each in zip(deep, tried.rates, strict=True)))
    trial.observe(1, 4)
    two = follow(effective(network, tried), tried.x, tried.y, raised, trial.steps)
    networks = Networks(tried.descend(trial.steps), two)
    trial.observe(2, 4)
    settings = ((networks.wide, deep, tried.rates), (networks.effective, (1, 1), raised))
    both = [
        residuals(_limit(network, tried.x, layers, rates), followed, tried.y)
        for followed, layers, rates in settings
    ]
    trial.observe(3, 4)
    errors = _errors(tried, networks)
    parts = _wide(trial, both[0]) | _effective(both[1]) | _trajectories(trial, tried, errors)
    details = {"learning_rate": tried.rate, "depths": list(deep)}
    return Verdict(parts, details, _history(both, errors))


def linear(network: Bottleneck) -> Bottleneck:
    """Return the model without activations and biases."""

    def half(model: Mlp) -> Mlp:
        return model.replaced({"activation": "linear", "bias_variance": 0.0})

    encoder, decoder = map(half, _halves(network))
    return network.replaced({"encoder": encoder, "decoder": decoder})


def _halves(network: Bottleneck) -> tuple[Mlp, Mlp]:
    encoder = network.encoder.as_mlp
    assert encoder is not None, "the document was checked"
    return encoder, network.wide_decoder


def effective(network: Bottleneck, tried: Experiment) -> Segments:
    """Return two layers that compute the same function as the wide network."""
    inputs, d = tried.x.shape[1], int(network.size)
    matrices = (
        jax.jacfwd(tried.initial.encoder)(jnp.zeros(inputs)),
        tried.initial.decoder.jacobian(jnp.zeros((1, d)))[0],
    )
    made = []
    for matrix, scale in zip(matrices, _scales(network, inputs), strict=True):
        outputs, fan_in = matrix.shape
        dense = Dense(fan_in, outputs, weight_variance=scale * fan_in, key=jax.random.key(0))
        made.append(eqx.tree_at(lambda whole: whole.weight, dense, matrix / scale**0.5))
    return Segments(tuple(made))


def _scales(network: Bottleneck, inputs: int) -> tuple[float, float]:
    """Compute the factors of `xi.xi'` and `x.x'` in the kernels of one layer.

    Each is the product of all variances of a half, divided by its number of inputs.
    """
    fans = (inputs, int(network.size))
    first, last = (
        half.weight_variance ** len(half.widths) * half.last_variance / fan
        for half, fan in zip(_halves(network), fans, strict=True)
    )
    return first, last


def _limit(
    network: Bottleneck, x: Float[Array, "n inputs"], depths: tuple[int, int], rates: Rates
) -> LimitKernels:
    scales = _scales(network, x.shape[1])
    theta, ntk = (scale * depth for scale, depth in zip(scales, depths, strict=True))

    def slope(one: Array, two: Array) -> Array:
        return jnp.broadcast_to(ntk * two, (len(one), *two.shape))

    return LimitKernels(theta * x @ x.T, (lambda one, two: ntk * one @ two.T,), (slope,), rates)


def _errors(tried: Experiment, networks: Networks) -> dict[str, Float[np.ndarray, " moments"]]:
    wide, two = (np.asarray(each.outputs, float) for each in networks)
    return {
        "wide.trajectory": relative(wide, two),
        "function-space": tried.errors(networks.effective),
    }


def _wide(trial: Trial, residual: Residuals) -> dict[str, Part]:
    noise = RESIDUAL_FACTOR * typical(int(trial.bottleneck.size), trial.sizes[1], trial.width)
    finite = {"f": float(np.median(residual.discrete["f"]))}
    return {
        f"wide.{name}": Part(float(np.median(each)), 0.0, noise + finite.get(name, 0.0))
        for name, each in residual.steps.items()
    }


def _effective(residual: Residuals) -> dict[str, Part]:
    finite = {"f": float(np.median(residual.discrete["f"]))}
    return {
        f"effective.{name}": Part(
            float(np.median(each)), finite.get(name, 0.0), ROUNDING_FACTOR * residual.rounding[name]
        )
        for name, each in residual.steps.items()
    }


def _trajectories(
    trial: Trial, tried: Experiment, errors: dict[str, np.ndarray]
) -> dict[str, Part]:
    exact = ROUNDING_FACTOR * trial.steps * float(jnp.finfo(tried.x.dtype).eps)
    bounds = {"wide.trajectory": TRAJECTORY_FACTOR * trial.width**-0.5, "function-space": exact}
    return {name: Part(float(each.max()), 0.0, bounds[name]) for name, each in errors.items()}


def _history(both: list[Residuals], errors: dict[str, np.ndarray]) -> History:
    steps = {
        f"{name}.{key}": each
        for name, residual in zip(Networks._fields, both, strict=True)
        for key, each in residual.steps.items()
    }
    return by_step(steps | {name: each[1:] for name, each in errors.items()})
