"""Kernels of sampled networks: functions from a key to a matrix."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ceflow.compiler import Plan
from ceflow.spec import Kernel, Mlp, Model
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, ArrayLike, Float


LEAST_WIDE = 512
"""Width below which drawing weights costs almost nothing."""

ROOT_COLUMNS = 10
"""Width per example below which drawing weights takes less time than the root of a covariance over
the examples (measured)."""


def without_weights(stage: Kernel, plan: Plan, model: Model, examples: int) -> bool:
    """Tell whether to draw a kernel from its law, without drawing weights.

    That takes one column of normal numbers per example in the forward pass, and for an NTK one per
    output and example in the backward pass, in place of as many columns as the layer below has
    units. For an NNGP it takes the roots of covariances too.
    """
    if not model.is_dense:
        return False
    narrowest = min(model.widths)
    columns = ROOT_COLUMNS if stage.kind == "nngp" else 1 + plan.outputs
    fewer = examples * columns < narrowest
    return stage.outputs == "mean" and narrowest >= LEAST_WIDE and fewer


def drawer(job: Job, x: "Float[np.ndarray, 'n ...']") -> "Callable[[Array], Array]":
    """Return a function from a key to the kernel over `x` of a network drawn with it. It is
    compiled once per shape.
    """
    import jax.numpy as jnp

    from ceflow.stages.kernel import compiled

    given, outputs, is_ntk = jnp.asarray(x), job.plan.outputs, job.stage.kind == "ntk"
    if without_weights(job.stage, job.plan, job.model, len(x)):
        member, count = Mlp.expect(job.model.member), job.model.multiplicity
        drawn = compiled.conditional_ntk if is_ntk else compiled.conditional_nngp
        return lambda key: drawn(member, count, outputs, key, given)
    module = lambda key: job.plan.module_of(job.model, key)  # noqa: E731
    if not is_ntk:
        return lambda key: compiled.nngp(module(key), given, outputs=job.stage.outputs)
    averaged = outputs if job.stage.outputs == "mean" else None
    return lambda key: compiled.kernel(module(key), given, outputs=averaged)


class OneNetwork(NamedTuple):
    """The kernel of one network between batches of examples, in two steps."""

    prepared: "Callable[[Float[np.ndarray, 'n ...']], np.ndarray]"
    """Function that is applied once to all examples: for an NNGP it computes their outputs, for an
    NTK it returns them unchanged."""
    block: "Callable[[ArrayLike, ArrayLike], Array]"
    """Function from two batches of prepared examples to the kernel between them. It is compiled
    once per shape."""


def one_network(job: Job) -> OneNetwork:
    """Draw the network of a stage that computes the kernel of one."""
    import numpy as np

    from ceflow.kernels.empirical.nngp import finite_outputs
    from ceflow.stages.kernel import compiled

    module = job.plan.module_of(job.model, job.seed.fold(0).jax())
    if job.stage.kind == "nngp":
        return OneNetwork(lambda x: np.asarray(finite_outputs(module, x)), compiled.products)
    outputs = job.plan.outputs
    return OneNetwork(lambda x: x, lambda x1, x2: compiled.kernel(module, x1, x2, outputs=outputs))
