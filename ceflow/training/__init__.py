"""Stochastic gradient descent of the weights of finite networks.

`networks` applies a module with its parameters and its state apart, `augmentation` changes the
images of a batch, and `optimisers` turns a gradient into a step. `steps` compiles many steps of
several replicas to one program, `feeding` gives them examples that are held, or read ahead,
`evaluation` computes outputs in blocks, and `loop` runs a training from moment to moment. `rates`
finds the largest stable learning rate.
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy

if TYPE_CHECKING:
    from ceflow.training.augmentation import Standard
    from ceflow.training.evaluation import outputs, top_accuracy
    from ceflow.training.feeding import Feed, Held, Streamed
    from ceflow.training.loop import (
        Descended,
        Divergence,
        Diverging,
        Reached,
        grown,
        run,
    )
    from ceflow.training.networks import Network, separated
    from ceflow.training.optimisers import Optimiser, Schedule
    from ceflow.training.rates import largest_rate
    from ceflow.training.steps import Kept, Replicas, Trainer, order_of

__all__ = [
    "Descended",
    "Divergence",
    "Diverging",
    "Feed",
    "Held",
    "Kept",
    "Network",
    "Optimiser",
    "Reached",
    "Replicas",
    "Schedule",
    "Standard",
    "Streamed",
    "Trainer",
    "grown",
    "largest_rate",
    "order_of",
    "outputs",
    "run",
    "separated",
    "top_accuracy",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ceflow.training.augmentation": ("Standard",),
        "ceflow.training.evaluation": ("outputs", "top_accuracy"),
        "ceflow.training.feeding": ("Feed", "Held", "Streamed"),
        "ceflow.training.loop": (
            "Descended",
            "Divergence",
            "Diverging",
            "Reached",
            "grown",
            "run",
        ),
        "ceflow.training.networks": ("Network", "separated"),
        "ceflow.training.optimisers": ("Optimiser", "Schedule"),
        "ceflow.training.rates": ("largest_rate",),
        "ceflow.training.steps": ("Kept", "Replicas", "Trainer", "order_of"),
    },
)
