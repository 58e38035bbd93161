"""A layer: what a document says of it, and what it is."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ceflow.spec.models.layers import LayerSpec, misfit


class Gate(LayerSpec):
    """A gated linear unit: one half of the values times the sigmoid of the other half."""

    type: Literal["gate"] = "gate"
    """One half of the values of a vector times the sigmoid of the other half."""
    step: ClassVar = 2

    def once(self, shape):
        if isinstance(shape, tuple) or shape % 2:
            raise misfit("gate takes a vector of an even number of values", "change its inputs")
        return shape // 2

    def node(self, shape):
        return _node(shape)


def _node(shape):
    from ceflow.compiler import nodes

    @dataclass(frozen=True)
    class GateNode(nodes.Layer):
        inputs: int

        parameters = 0
        flops = 0
        title = "gate"

        @property
        def outputs(self):
            return self.inputs // 2

        def module(self, key):
            import equinox as eqx
            import jax

            return eqx.nn.Lambda(jax.nn.glu)

    return GateNode(shape)
