"""BN eq. 6: gradient flow of a network with a bottleneck, by the empirical NTKs of its halves."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.claims.gradient import Start, started
from ceflow.claims.tolerances import ROUNDINGS
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict
from ceflow.kernels import empirical_ntk


def by_kernels(trial: Trial) -> Verdict:
    """Compare the derivative of F along the gradient with sums of empirical NTKs.

    At width n these are an identity: `-sum_i K_n chi_i - sum_i J Theta_n J_i^T chi_i`, relative in
    Frobenius norm, to rounding."""
    start = started(trial)
    exact = start.rate(start.velocity)
    error = float(jnp.linalg.norm(kernel_sums(start) - exact) / jnp.linalg.norm(exact))
    eps = float(jnp.finfo(exact.dtype).eps)
    return Verdict({"derivative": Part(error, 0.0, ROUNDINGS * trial.width**0.5 * eps)})


def kernel_sums(start: Start) -> Float[Array, "n outputs"]:
    """Compute the right side, of empirical NTKs (n, n, outputs, outputs) and (n, n, d, d)."""
    network, chi = start.network, start.chi
    points = jax.vmap(network.encoder)(start.x)
    jacobian = jax.vmap(jax.jacrev(network.decoder))(points)
    theta = empirical_ntk(network.encoder, start.x)
    pulled = jnp.einsum("nod,no->nd", jacobian, chi)
    moved = -jnp.einsum("ijab,jb->ia", theta, pulled)
    learned = -jnp.einsum("ijab,jb->ia", empirical_ntk(network.decoder, points), chi)
    return learned + jnp.einsum("nod,nd->no", jacobian, moved)
