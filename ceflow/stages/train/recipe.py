"""The recipe of a training in words, in plain Python."""

from collections.abc import Iterator

from ceflow.compiler import Plan, nodes
from ceflow.spec import Drops, Model, Train

REDUCED = {
    "sum": "sum of a batch",
    "mean": "mean of a batch",
    "mean-all": "mean of a batch and the outputs",
}


def recipe(stage: Train, plan: Plan, model: Model) -> dict[str, str]:
    """Write how a training goes, by the name of what is said: the loss, and of a finite network the
    optimiser and what else is set.

    >>> from ceflow.compiler import compile
    >>> from ceflow.spec import Digits, Document, Mlp
    >>> stage = Train(steps=90, batch=20, momentum=0.9, schedule="cosine", warmup=9, clip=1.0)
    >>> model, data = Mlp(widths=[8]), Digits(train=100, test=50)
    >>> plan = compile(Document(model=model, data=data, stages={"t": stage}))
    >>> for name, text in recipe(stage, plan, plan.model).items():
    ...     print(f"{name}: {text}")
    optimiser: sgd with momentum 0.9
    loss: mse, sum of a batch
    schedule: cosine to 0; warm-up of 9 steps
    clipping: gradients to a norm of 1
    length: 18 epochs of 100 examples
    """
    return dict(_all(stage, plan, model))


def _all(stage: Train, plan: Plan, model: Model) -> Iterator[tuple[str, str]]:
    assert plan.data is not None
    if model.is_finite:
        yield "optimiser", _optimiser(stage)
    smoothed = f", labels smoothed by {stage.label_smoothing:g}" if stage.label_smoothing else ""
    yield "loss", f"{stage.loss}, {REDUCED[stage.reduction]}{smoothed}"
    if model.is_finite:
        yield from _of_networks(stage, plan, model)
    train = plan.data.train
    epochs = stage.steps_of(train) * (stage.batch or train) / train
    yield "length", f"{epochs:,.4g} epoch{'' if epochs == 1 else 's'} of {train:,} examples"


def _optimiser(stage: Train) -> str:
    if stage.optimizer != "sgd":
        return f"{stage.optimizer} with decay rates {stage.betas[0]:g} and {stage.betas[1]:g}"
    nesterov = " of Nesterov" if stage.nesterov else ""
    return f"sgd with momentum {stage.momentum:g}{nesterov}" if stage.momentum else "sgd"


def _of_networks(stage: Train, plan: Plan, model: Model) -> Iterator[tuple[str, str]]:
    """Yield what only a finite network has, where it is set."""
    assert plan.data is not None
    yield "schedule", _schedule(stage, stage.steps_of(plan.data.train))
    if stage.weight_decay:
        which = {"all": "all parameters", "weights": "the weights of layers alone"}[stage.decay]
        yield "weight decay", f"{stage.weight_decay:g}, of {which}"
    if stage.clip is not None:
        yield "clipping", f"gradients to a norm of {stage.clip:g}"
    if stage.average is not None:
        yield "average", f"of the weights, with decay {stage.average:g}"
    if plan.document.data and (changes := plan.document.data.augmentation):
        yield "augmentation", " and ".join(changes)
    layers = nodes.every(plan.expand(model))
    rates = dict.fromkeys(node.rate for node in layers if isinstance(node, nodes.Dropout))
    if rates:
        yield "dropout", " and ".join(f"{rate:g}" for rate in rates)
    if stage.compute is not None:
        yield "arithmetic", stage.compute


def _schedule(stage: Train, steps: int) -> str:
    warmup = stage.warmup_steps(steps)
    rising = f"; warm-up of {warmup:,} step{'' if warmup == 1 else 's'}" if warmup else ""
    if isinstance(stage.schedule, Drops):
        at = " and ".join(f"{step:,}" for step in stage.drop_steps(steps))
        return f"times {stage.schedule.factor:g} after {at} steps{rising}"
    return {"constant": "constant", "cosine": "cosine to 0"}[stage.schedule] + rising
