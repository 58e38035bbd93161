"""The names of the activations, and what is known of each; those of plugins are added."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from ceflow.spec.plugins import plugins


class ActivationSpec:
    """An activation that a plugin adds: a class derived from this one, named by an entry point that
    begins with `activation.`. Its methods import JAX when they are called.
    """

    name: ClassVar[str]
    """Its name in documents."""
    kinked: ClassVar[bool] = False
    """True if its derivative jumps somewhere."""
    expression: ClassVar[str | None] = None
    """The function of `x` as a Python expression with `jax` and `jnp`, for exported files."""

    def function(self, x: Any) -> Any:
        """Compute phi(x) of each entry of an array, by operations that JAX differentiates."""
        raise NotImplementedError

    def dual(self, q1: Any, q2: Any, covariance: Any) -> tuple[Any, Any]:
        """Compute `E[phi(u) phi(v)]` and `E[phi'(u) phi'(v)]` for Gaussians u and v.

        The arguments are arrays of their variances and of their covariance, which broadcast. A
        smooth activation may leave this out: then a Hermite series is used.
        """
        raise NotImplementedError

    @property
    def has_dual(self) -> bool:
        """True if the class computes its dual itself."""
        return type(self).dual is not ActivationSpec.dual


_Known = Literal[
    "relu",
    "leaky-relu",
    "abs",
    "linear",
    "erf",
    "gelu",
    "sin",
    "cos",
    "tanh",
    "softplus",
    "silu",
]
ADDED: dict[str, ActivationSpec] = {
    kind.name: kind() for kind in plugins("activation", ActivationSpec, "name", get_args(_Known))
}
"""The activations of plugins, by name."""

if TYPE_CHECKING:
    Activation = _Known
else:
    Activation = Literal[(*get_args(_Known), *ADDED)]
"""Activation functions. `leaky-relu` has slope 0.01 below 0; `gelu` is the exact one, x Phi(x)."""

SLOPES = {"relu": 0.0, "leaky-relu": 0.01, "abs": -1.0, "linear": 1.0}
"""Slopes below 0 of the piecewise linear activations with slope 1 above 0. A decoder with one of
these has kernels in closed form."""

KINKED = frozenset(
    [name for name, below in SLOPES.items() if below != 1]
    + [name for name, added in ADDED.items() if added.kinked]
)
"""Activations that are not analytic."""

WITHOUT_DUAL = frozenset(
    name for name, added in ADDED.items() if added.kinked and not added.has_dual
)
"""Activations that have no kernels at infinite width."""

CLOSED_MOMENTS = ("relu", "linear")
"""Activations whose NTK has moments in closed form (`ceflow.variance.exact`)."""


def unknown_moments(activation: str) -> str | None:
    """Return what has no moments in closed form, if an activation has none."""
    if activation in CLOSED_MOMENTS:
        return None
    return f"the activation {activation!r}, but for relu and linear"
