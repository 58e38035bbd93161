"""The collegial ensemble."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key


class Ensemble(eqx.Module):
    """`F(x) = (1/sqrt(m)) sum_j F_j(x)` over m independent members (CE eq. 4).

    `members` is one module whose arrays carry a leading axis of length m.

    >>> from ceflow.nets import Dense
    >>> pair = Ensemble(lambda key: Dense(3, 2, key=key), 2, key=jax.random.key(0))
    >>> pair.members.weight.shape, pair(jax.numpy.ones(3)).shape
    ((2, 2, 3), (2,))
    """

    members: eqx.Module
    multiplicity: int = eqx.field(static=True)

    def __init__(
        self, member: Callable[[Array], eqx.Module], multiplicity: int, *, key: Key[Array, ""]
    ):
        self.members = eqx.filter_vmap(member)(jax.random.split(key, multiplicity))
        self.multiplicity = multiplicity

    def __call__(
        self, x: Float[Array, "..."], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, " outputs"]:
        """The scaled sum of the members' outputs for one example."""
        apply = eqx.filter_vmap(lambda member: member(x), in_axes=eqx.if_array(0))
        return apply(self.members).sum(axis=0) / math.sqrt(self.multiplicity)
