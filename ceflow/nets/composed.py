"""Modules made of other modules: residual connections, ensembles, token mixing, networks with
frozen state.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key


def is_stateful(module: Any) -> bool:
    """Return whether a module takes a state and returns a new one."""
    return isinstance(module, eqx.nn.StatefulLayer) and module.is_stateful()


def holds_state(module: Any) -> bool:
    """Return whether any part of a module, not frozen with its state, has a state."""
    ends = (Frozen, eqx.nn.StateIndex)
    parts = jax.tree.leaves(module, is_leaf=lambda part: isinstance(part, ends))
    return any(isinstance(part, eqx.nn.StateIndex) for part in parts)


def apply(
    module: Any, x: Array, state: Any, key: Key[Array, ""] | None = None
) -> tuple[Array, Any]:
    """Apply a module to one example; return its outputs and the new state.

    A module without state returns the state unchanged. The key is passed on if there is one.
    """
    drawn = {} if key is None else {"key": key}
    return module(x, state, **drawn) if is_stateful(module) else (module(x, **drawn), state)


class Frozen(eqx.Module):
    """A network in inference mode, with its state fixed: a function of one example.

    The state is a constant: it is not a parameter and has no gradient.

    >>> from ceflow.nets import BatchNorm
    >>> norm, state = eqx.nn.make_with_state(BatchNorm)(2)
    >>> Frozen(norm, state)(jax.numpy.ones((2, 3, 3))).shape
    (2, 3, 3)
    """

    module: eqx.Module
    state: eqx.nn.State

    def __init__(self, module: eqx.Module, state: eqx.nn.State):
        self.module = eqx.nn.inference_mode(module)
        self.state = state

    def __call__(
        self, x: Float[Array, "..."], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "..."]:
        """Compute the outputs for one example; `key` is ignored."""
        module: Any = self.module
        if not holds_state(module):
            return module(x)
        return module(x, jax.lax.stop_gradient(self.state))[0]


class Residual(eqx.nn.StatefulLayer):
    """`h -> shortcut(h) + body(h)`; the shortcut is the identity if it is None.

    The module takes and returns a state, like `equinox.nn.Sequential`, if one of its branches does.

    >>> import jax
    >>> from ceflow.nets import Dense
    >>> Residual(Dense(3, 3, key=jax.random.key(0)))(jax.numpy.ones(3)).shape
    (3,)
    """

    body: eqx.Module
    shortcut: eqx.Module | None

    def __init__(self, body: eqx.Module, shortcut: eqx.Module | None = None):
        self.body = body
        self.shortcut = shortcut

    def is_stateful(self) -> bool:
        """Return whether a branch has state."""
        return is_stateful(self.body) or is_stateful(self.shortcut)

    def __call__(
        self,
        x: Float[Array, "..."],
        state: eqx.nn.State | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Any:
        """Return the sum of both branches, and the new state if one was given.

        `key` is for layers that draw random numbers in training, as dropout does.
        """
        first, second = (None, None) if key is None else jax.random.split(key)
        straight, after = (
            (x, state) if self.shortcut is None else apply(self.shortcut, x, state, first)
        )
        bent, after = apply(self.body, x, after, second)
        return straight + bent if state is None else (straight + bent, after)


class TokenMixing(eqx.nn.StatefulLayer):
    """Apply a module to an image whose positions and channels are swapped, and swap them back.

    The module takes and returns (positions, channels, 1).

    >>> from ceflow.nets import Convolution
    >>> mixer = Convolution(4, 4, kernel=1, key=jax.random.key(0))
    >>> TokenMixing(mixer)(jax.numpy.ones((3, 2, 2))).shape
    (3, 2, 2)
    """

    mixer: eqx.Module

    def __init__(self, mixer: eqx.Module):
        self.mixer = mixer

    def is_stateful(self) -> bool:
        """Return whether the module has state."""
        return is_stateful(self.mixer)

    def __call__(
        self,
        x: Float[Array, "channels height width"],
        state: eqx.nn.State | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Any:
        """Return the outputs, and the new state if one was given; `key` is passed on."""
        swapped = x.reshape(len(x), -1).T[..., None]
        mixed, after = apply(self.mixer, swapped, state, key)
        y = mixed[..., 0].T.reshape(x.shape)
        return y if state is None else (y, after)


class Ensemble(eqx.nn.StatefulLayer):
    """`F(x) = (1/sqrt(m)) sum_j F_j(x)` over m independent members (CE eq. 4).

    `members` is a single module whose arrays have a leading axis of length m. If the members have
    state, its arrays have that axis too.

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
        """Return whether the members have state."""
        return is_stateful(self.members)

    def __call__(
        self,
        x: Float[Array, "..."],
        state: eqx.nn.State | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Any:
        """Return the scaled sum of the members' outputs, and the new state if one was given.

        `key` is split into one for each member.
        """
        own = None if state is None else state.substate(self.members)
        keys = None if key is None else jax.random.split(key, self.multiplicity)
        each = eqx.filter_vmap(
            lambda member, own, key: apply(member, x, own, key),
            in_axes=(eqx.if_array(0), 0, 0),
            axis_size=self.multiplicity,  # members without arrays have no axis to count
        )
        outputs, own = each(self.members, own, keys)
        y = self.combined(outputs)
        return y if state is None else (y, state.update(own))

    def combined(self, outputs: Float[Array, "members ..."]) -> Float[Array, "..."]:
        """Return the scaled sum of outputs of all members."""
        return outputs.sum(axis=0) / math.sqrt(self.multiplicity)
