"""Kernels of sampled networks: functions from a key to a matrix."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ceflow.compiler import Plan
from ceflow.spec import Kernel, Mlp, Model
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, ArrayLike, Float


LEAST_WIDE = 512
"""Width below which drawing weights costs almost nothing."""


def without_weights(stage: Kernel, plan: Plan, model: Model, examples: int) -> bool:
    """Tell whether to draw a kernel from its law, without drawing weights.

    That takes one column of normal numbers per example in the forward pass, and one per output and
    example in the backward pass, in place of as many columns as the layer below has units.
    """
    if not model.is_dense:
        return False
    narrowest = min(model.widths)
    fewer = examples * (1 + plan.outputs) < narrowest
    return stage.outputs == "mean" and narrowest >= LEAST_WIDE and fewer


def drawer(job: Job, x: "Float[np.ndarray, 'n ...']") -> "Callable[[Array], Array]":
    """Return a function from a key to the kernel over `x` of a network drawn with it. It is
    compiled once per shape.
    """
    import jax.numpy as jnp

    from ceflow.stages.kernel import compiled

    given, outputs = jnp.asarray(x), job.plan.outputs
    if without_weights(job.stage, job.plan, job.model, len(x)):
        member, count = Mlp.expect(job.model.member), job.model.multiplicity
        return lambda key: compiled.conditional_mean(member, count, outputs, key, given)
    averaged = outputs if job.stage.outputs == "mean" else None
    return lambda key: compiled.kernel(job.plan.module_of(job.model, key), given, outputs=averaged)


def block_of_network(job: Job) -> "Callable[[ArrayLike, ArrayLike], Array]":
    """Return a function from two batches of examples to the kernel of one network between them. It
    is compiled once per shape.
    """
    from ceflow.stages.kernel.compiled import kernel

    module = job.plan.module_of(job.model, job.seed.fold(0).jax())
    return lambda x1, x2: kernel(module, x1, x2, outputs=job.plan.outputs)
