"""BN theorem 3.2: the evolution equations, tested on a finite network (BN figure 12)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ceflow.bottlenecks import DecoderKernels, Simulation
from ceflow.claims.experiment import experiment
from ceflow.claims.followed import LimitKernels, Residuals, norms, ratio, residuals
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import (
    RESIDUAL_FACTOR,
    TRAJECTORY_FACTOR,
    Part,
    Verdict,
    by_step,
    typical,
)
from ceflow.kernels import analytic
from ceflow.spec.models import SLOPES

SWITCHING_FACTOR = 2
"""Largest allowed residual of J, as a multiple of that expected from units that switch."""


def evolution(
    trial: Trial,
    kernels: type[DecoderKernels] = DecoderKernels,
    simulation: type[Simulation] = Simulation,
) -> Verdict:
    """Compare a network of width n, trained by small full-batch steps, with the limit's equations.

    The network makes `steps` steps of gradient descent.

    - `f` and `g` are medians over steps of the residuals of BN eq. 14 and 12, with the kernels of
      the limit (figure 12).
    - `J` is the median residual of eq. 13 at the initial points g_0. For an activation with a kink,
      it is the residual summed over all steps: masks switch one by one, and leave noise of n^-1/4
      that dominates single steps.
    - `trajectory` is the largest relative error of F over the steps, against the simulation in
      function space from the same initial functions.
    """
    tried = experiment(trial, trial.bottleneck, simulation)
    trial.observe(1, 4)
    followed = tried.descend(trial.steps)
    trial.observe(2, 4)
    decoder = kernels(trial.bottleneck)
    theta = jnp.asarray(analytic(trial.bottleneck.encoder, np.asarray(tried.x)).ntk)
    limit = LimitKernels(theta, decoder.ntk, decoder.ntk_slope, tried.rates)
    residual = residuals(limit, followed, tried.y)
    trial.observe(3, 4)
    errors = tried.errors(followed)
    columns = {**residual.steps, "J, all steps": residual.sums["J"], "trajectory": errors[1:]}
    return Verdict(_parts(trial, residual, errors), {"learning_rate": tried.rate}, by_step(columns))


def _parts(
    trial: Trial, residual: Residuals, errors: Float[np.ndarray, " steps"]
) -> dict[str, Part]:
    network, n = trial.bottleneck, trial.width
    noise = RESIDUAL_FACTOR * typical(int(network.size), trial.sizes[1], n)
    f, g, jacobian = (float(np.median(residual.steps[name])) for name in "fgJ")
    finite = float(np.median(residual.discrete))
    parts = {"f": Part(f, 0.0, noise + finite), "g": Part(g, 0.0, noise)}
    parts["J"] = Part(jacobian, 0.0, noise)
    if network.wide_decoder.kinks:
        switched = SWITCHING_FACTOR * switching(trial, residual)
        parts["J"] = Part(float(residual.sums["J"][-1]), 0.0, noise + switched)
    return parts | {"trajectory": Part(float(errors.max()), 0.0, TRAJECTORY_FACTOR * n**-0.5)}


def switching(trial: Trial, residual: Residuals) -> float:
    """Compute the expected residual of J over all steps that is due to units that switch.

    It is a root mean square, relative to the change of J.

    At x, a unit's pre-activation moves by `v.W/sqrt n`, where W is about `dJ x/sqrt(b c)`. So about
    `|W| sqrt(n d)/(pi |x|)` units pass 0, one by one, and each changes J by `jump v u^T/sqrt(n d)`
    with u perpendicular to x. The sum of these changes has the mean square
    `jump^2 (outputs + 1)(d - 1) |W|/(pi |x| sqrt(n d))`, where jump is `sqrt(b c)` times that
    of phi'. So it is with one hidden layer without biases. With biases x has one more coordinate,
    whose part of W is not known from J: `|W|/|x|` is taken as |dJ|, as if no part of W cancelled
    another. With L hidden layers, c is multiplied by `c E[phi'^2]` for each further one, and the
    units of all of them switch alike, which multiplies the square by L. Of 60 networks of n = 1,500
    and 4,000 with biases and 1 to 3 layers, one had more than twice the result, and of 20 without
    none had as much as the result.
    """
    network, d = trial.bottleneck, int(trial.bottleneck.size)
    decoder = network.wide_decoder
    below, depth = SLOPES[decoder.activation], len(decoder.widths)
    size = (decoder.weight_variance * decoder.last_variance) ** 0.5
    size *= (decoder.weight_variance * (1 + below**2) / 2) ** ((depth - 1) / 2)
    jump = size * (1 - below) * depth**0.5
    moved = np.einsum("nod,nd->no", residual.turned, residual.start)
    turned = ratio(norms(moved), norms(residual.start))
    if decoder.bias_variance:
        turned = norms(residual.turned)
    each = (trial.sizes[1] + 1) * (d - 1) / (np.pi * (trial.width * d) ** 0.5)
    return float(ratio(jump * (each * turned.sum() / size) ** 0.5, np.linalg.norm(residual.turned)))
