"""Kernels of networks that are drawn: from a key to a matrix."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ceflow import kernels
from ceflow.compiler import Plan, multiplicity_of
from ceflow.spec import Block, Bottleneck, Ensemble, Kernel, Mlp, Model, member_of
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, ArrayLike, Float


WIDE = 512
"""Below this width weights cost next to nothing."""


def without_weights(stage: Kernel, plan: Plan, model: Model, examples: int) -> bool:
    """Whether a kernel is drawn from its law without drawing weights.

    That takes one column of normal numbers for every example going up and for every output of
    every example coming back, in place of as many columns as the layer below is wide.
    """
    member = None if isinstance(model, Bottleneck) else member_of(model)
    if not isinstance(member, Mlp):
        return False
    narrowest = min(member.widths)
    fewer = examples * (1 + plan.outputs) < narrowest
    return stage.outputs == "mean" and narrowest >= WIDE and fewer


def of_one(model: Model) -> Model:
    """The smallest network of the same mean kernel (CE eq. 5): a member, or a group."""
    if isinstance(model, Ensemble):
        return model.member
    return model.model_copy(update={"cardinality": 1}) if isinstance(model, Block) else model


def drawer(job: Job, x: "Float[np.ndarray, 'n ...']") -> "Callable[[Array], Array]":
    """From a key to the kernel over `x` of a network drawn with it; compiled once."""
    import equinox as eqx
    import jax.numpy as jnp

    small = without_weights(job.stage, job.plan, job.model, len(x))
    draw = _conditional if small else _of_weights

    @eqx.filter_jit
    def compiled(key: "Array", x: "Array") -> "Array":
        return draw(job, key, x)

    given = jnp.asarray(x)
    return lambda key: compiled(key, given)


def _of_weights(job: Job, key: "Array", x: "Array") -> "Array":
    module = job.plan.module_of(job.model, key)
    if job.stage.outputs == "full":
        return kernels.empirical_ntk(module, x)
    return kernels.empirical_ntk(module, x, trace=True) / job.plan.outputs


def _conditional(job: Job, key: "Array", x: "Array") -> "Array":
    """The mean over members, drawn one after the other: one's matrices are in memory."""
    import jax
    import jax.numpy as jnp

    member, outputs = member_of(job.model), job.plan.outputs
    assert isinstance(member, Mlp)

    def add(total: "Array", key: "Array") -> "tuple[Array, None]":
        return total + kernels.conditional_ntk(member, x, outputs=outputs, key=key), None

    keys = jax.random.split(key, multiplicity_of(job.model))
    total, _ = jax.lax.scan(add, jnp.zeros((len(x), len(x)), x.dtype), keys)
    return total / (len(keys) * outputs)


def block_of_network(job: Job) -> "Callable[[ArrayLike, ArrayLike], Array]":
    """The kernel of one network between two batches of examples; compiled once a shape."""
    import equinox as eqx

    module = job.plan.module_of(job.model, job.seed.fold(0).jax())

    @eqx.filter_jit
    def compiled(module: eqx.Module, x1: "ArrayLike", x2: "ArrayLike") -> "Array":
        return kernels.empirical_ntk(module, x1, x2, trace=True) / job.plan.outputs

    return lambda x1, x2: compiled(module, x1, x2)
