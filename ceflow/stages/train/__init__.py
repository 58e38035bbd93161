"""The `train` stage: gradient descent of a finite network, or of an infinitely wide one with a
bottleneck.

`weights` trains a finite network: the `examples` that it takes, the `networks` that it draws, the
`records` of each moment, and the `checkpoints` to go on from. `functions` solves the `problem` of
an infinitely wide one. `recipe` says how in words. `forecast`, with what finite networks need in
`demand`, `result` and `report` are as for any stage.
"""

from collections.abc import Iterator

from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan, nodes
from ceflow.data import Extent
from ceflow.spec import Data, Fault, Model, Train
from ceflow.stages.stage import Forecast, Job, Stage
from ceflow.stages.train import forecast, report
from ceflow.stages.train.result import Rates, TrainResult

__all__ = ["Rates", "TrainResult", "TrainStage"]


class TrainStage(Stage[Train, TrainResult]):
    result = TrainResult

    def cost(self, spec: Train, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> TrainResult:
        if job.model.is_finite:
            from ceflow.stages.train.weights import run  # which loads JAX, and so does the other
        else:
            from ceflow.stages.train.functions import run
        return run(job)

    def faults(self, name: str, spec: Train, plan: Plan, model: Model) -> Iterator[Fault]:
        source = plan.document.data
        if source is None or plan.data is None or not model.is_finite:
            return
        if source.augmentation and plan.data.image is None:
            message = "augment changes images, and the inputs are vectors"
            help = "leave augment out of [data]"
            yield Fault("CE202", message, ("data", "augment"), "key", help, absolute=True)
        elif "color-jitter" in source.augmentation:
            yield from _colour_faults(source, plan.data)
        alone = spec.batch == 1 or plan.data.train == 1
        if alone and any(map(_is_lone, nodes.every(plan.expand(model)))):
            message = "batch normalisation has one number of each unit in a batch of one example"
            help = "take larger batches, or layer-norm"
            yield Fault("CE202", message, ("batch",), help=help)
        if "top-5" in spec.record and not (source.has_one_hot and plan.outputs > 5):
            message = "a top-5 accuracy needs more than 5 classes"
            yield Fault("CE202", message, ("record",), help='leave "top-5" out')

    def describe(self, result: TrainResult) -> list[ReportBlock]:
        return report.describe(result)

    def answer(self, result: TrainResult) -> str:
        return report.answer(result)


def _colour_faults(source: Data, extent: Extent) -> Iterator[Fault]:
    """Find why the colours of a source's images cannot be changed."""
    path, channels = ("data", "augment"), extent.image[0] if extent.image else 0
    if channels != 3:
        message = f"color-jitter mixes red, green and blue, and the images have {channels} channels"
        message = message.removesuffix("s") if channels == 1 else message
        yield Fault("CE202", message, path, "key", 'leave "color-jitter" out', absolute=True)
    done = {key: value for key, value in source.preparation.items() if key in ("normalise", "zca")}
    if done.get("normalise") == "standard":
        del done["normalise"]
    if done:
        message = f"color-jitter changes stored colours, and {' and '.join(done)} cannot be undone"
        help = 'leave "color-jitter" out, or take normalise = "standard" without zca'
        yield Fault("CE202", message, path, "key", help, absolute=True)


def _is_lone(node: nodes.Node) -> bool:
    """Tell whether a layer normalises units over a batch that have one number in each example."""
    return isinstance(node, nodes.BatchNorm) and nodes.positions(node.inputs) == 1
