"""Infinitely wide networks with a bottleneck, as stages follow them."""

from typing import TYPE_CHECKING, Literal

from ceflow import bottlenecks, data, dynamics
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, Descent, Model

if TYPE_CHECKING:
    from ceflow.bottlenecks import Rates, Simulation


def simulated(
    stage: Descent,
    model: Model,
    dataset: data.Dataset,
    seed: Seed,
    *,
    engine: Literal["features", "history"] = "features",
    shares: "Rates | None" = None,
) -> "Simulation":
    """Simulate a stage's examples, from the functions of a network that is sampled for it.

    To be used within `ceflow.stages.stage.precision`.
    """
    assert isinstance(model, Bottleneck), "the spec lets no other model be followed so"
    train, test = dataset.train, dataset.test
    inputs, outputs = train.x.shape[1], train.y.shape[1]
    initial = bottlenecks.sample(
        model, inputs, outputs, seed, width=stage.width, features=stage.sampling
    )
    return bottlenecks.Simulation(
        model,
        initial,
        train.x,
        train.y,
        x_test=test.x if len(test.x) else None,
        loss=dynamics.LOSSES[stage.loss](stage.reduction),
        engine=engine,
        shares=shares or bottlenecks.Rates(1.0, 1.0),
    )
