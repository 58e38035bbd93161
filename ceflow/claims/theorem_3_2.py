"""BN theorem 3.2: the evolution equations, on a finite network in training (BN figure 12)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ceflow.bottlenecks import DecoderKernels, Simulation
from ceflow.claims.experiment import experiment
from ceflow.claims.followed import LimitKernels, Residuals, norms, residuals
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import FACTOR, TRAJECTORY, Part, Verdict, by_step, typical
from ceflow.kernels import analytic
from ceflow.spec.models import SLOPES

SWITCHING_FACTOR = 2
"""Largest residual of J, as a multiple of the one expected from units that switch."""


def evolution(
    trial: Trial,
    kernels: type[DecoderKernels] = DecoderKernels,
    simulation: type[Simulation] = Simulation,
) -> Verdict:
    """Follow a network of width n down `steps` small steps, all examples at once.

    `f`, `g`: the median over steps of the residual of BN eq. 14 and 12 with the limit's kernels
    (figure 12). `J`: that of eq. 13 at the points g_0; of an activation with a kink that of all
    steps together, for masks switch one by one and leave noise of n^-1/4, which in single steps
    drowns the rest. `trajectory`: the largest relative error of F over the steps, against function
    space from the same initial functions.
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
    noise = FACTOR * typical(int(network.size), trial.sizes[1], n)
    f, g, jacobian = (float(np.median(residual.steps[name])) for name in "fgJ")
    finite = float(np.median(residual.discrete))
    parts = {"f": Part(f, 0.0, noise + finite), "g": Part(g, 0.0, noise)}
    parts["J"] = Part(jacobian, 0.0, noise)
    if network.decoder.kinks:
        switched = SWITCHING_FACTOR * switching(trial, residual)
        parts["J"] = Part(float(residual.sums["J"][-1]), 0.0, noise + switched)
    return parts | {"trajectory": Part(float(errors.max()), 0.0, TRAJECTORY * n**-0.5)}


def switching(trial: Trial, residual: Residuals) -> float:
    """Compute what units that switch leave in J over all steps, root mean square, relative.

    They switch one by one.

    At x a unit's pre-activation moves by `v.W/sqrt n` with W about df = dJ x, so that
    `|W| sqrt(n d)/(pi |x|)` of them pass 0, and each changes J by `jump v u^T/sqrt(n d)` with u
    perpendicular to x: in all, squared, `jump^2 (outputs + 1)(d - 1) |W|/(pi |x| sqrt(n d))`.
    """
    network, d = trial.bottleneck, int(trial.bottleneck.size)
    decoder = network.decoder
    size = (decoder.weight_variance * decoder.last_variance) ** 0.5
    jump = size * (1 - SLOPES[decoder.activation])
    moved = np.einsum("nod,nd->no", residual.turned, residual.start)
    ratio = (norms(moved) / norms(residual.start)).sum() / size
    each = (trial.sizes[1] + 1) * (d - 1) / (np.pi * (trial.width * d) ** 0.5)
    return float(jump * (each * ratio) ** 0.5 / np.linalg.norm(residual.turned))
