"""The dense layer in NTK parameterisation, with optional groups (a block-diagonal matrix)."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ceflow.nets.weighted import Weighted


class Dense(Weighted):
    """`h -> sqrt(c/fan_in) W h + sqrt(b) beta`, entries of W and beta iid N(0, 1) (CE eq. 3).

    `c` is `weight_variance`, `b` is `bias_variance`; at b = 0 there is no bias. With `groups`, W is
    block-diagonal: outputs of group i depend on inputs of group i, and `fan_in = inputs / groups`.
    In `standard` parameterisation the layer computes `W h + beta`, with initial variances
    `c/fan_in` of W and `b/fan_in` of beta. It takes one example; batch it with `jax.vmap`. Arrays
    have JAX's default float type.

    >>> import jax
    >>> Dense(6, 4, groups=2, key=jax.random.key(0))(jnp.ones(6)).shape
    (4,)
    """

    weight: Float[Array, "outputs fan_in"]

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        weight_variance: float = 1.0,
        bias_variance: float = 0.0,
        groups: int = 1,
        standard: bool = False,
        key: Key[Array, ""],
    ):
        if inputs % groups or outputs % groups:
            raise ValueError(
                f"{inputs} inputs and {outputs} outputs cannot be split into {groups} groups"
            )
        shape = (outputs, inputs // groups)
        super().__init__(shape, weight_variance, bias_variance, groups, standard, key)

    @property
    def fan_in(self) -> int:
        """Number of inputs that each output depends on."""
        return self.weight.shape[-1]

    def __call__(
        self, x: Float[Array, " inputs"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, " outputs"]:
        """Apply the layer. `key` is ignored; `equinox.nn.Sequential` passes it."""
        inputs = self.fan_in * self.groups
        if x.shape != (inputs,):
            raise ValueError(
                f"a dense layer of {inputs} inputs was given an array of shape {x.shape};"
                " modules take one example, batch them with jax.vmap"
            )
        # The output is scaled, not W: kernels recognise a layer by its bare product W h.
        weight, bias = self.factors()
        y = weight * self._product(x)
        return y if self.bias is None else y + bias * self.bias

    def _product(self, x: Array) -> Array:
        if self.groups == 1:
            return self.weight @ x
        blocks = self.weight.reshape(self.groups, -1, self.fan_in)
        return jnp.einsum("goi,gi->go", blocks, x.reshape(self.groups, -1)).reshape(-1)
