"""Two activations: one that is smooth, and one with a kink and its dual."""

from ceflow.spec.models.activations import ActivationSpec


class Mish(ActivationSpec):
    """`x tanh(softplus(x))`; its kernels at infinite width come from a Hermite series."""

    name = "mish"
    expression = "x * jnp.tanh(jax.nn.softplus(x))"

    def function(self, x):
        import jax
        import jax.numpy as jnp

        return x * jnp.tanh(jax.nn.softplus(x))


class SteepRelu(ActivationSpec):
    """ReLU of slope 2, whose dual is 4 times that of ReLU (an arc-cosine kernel)."""

    name = "steep-relu"
    kinked = True

    def function(self, x):
        import jax

        return 2 * jax.nn.relu(x)

    def dual(self, q1, q2, covariance):
        import jax.numpy as jnp

        size = jnp.sqrt(q1 * q2)
        rho = jnp.clip(covariance / jnp.where(size > 0, size, 1.0), -1.0, 1.0)
        angle = jnp.arccos(rho)
        sine = jnp.sqrt(1 - rho**2)
        value = size * (sine + (jnp.pi - angle) * rho) / (2 * jnp.pi)
        return 4 * value, 4 * (jnp.pi - angle) / (2 * jnp.pi)
