"""The collegial ensemble."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from ceflow.nets.states import apply, is_stateful


class Ensemble(eqx.nn.StatefulLayer):
    """`F(x) = (1/sqrt(m)) sum_j F_j(x)` over m independent members (CE eq. 4).

    `members` is one module whose arrays carry a leading axis of length m, and so do the arrays of
    their state, if they have one.

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

    def is_stateful(self) -> bool:
        """Tell whether its members have state."""
        return is_stateful(self.members)

    def __call__(
        self,
        x: Float[Array, "..."],
        state: eqx.nn.State | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Any:
        """Sum the members' outputs for one example, scaled; give the new state too, if any."""
        own = None if state is None else state.substate(self.members)
        each = eqx.filter_vmap(
            lambda member, own: apply(member, x, own), in_axes=(eqx.if_array(0), 0)
        )
        outputs, own = each(self.members, own)
        y = outputs.sum(axis=0) / math.sqrt(self.multiplicity)
        return y if state is None else (y, state.update(own))
