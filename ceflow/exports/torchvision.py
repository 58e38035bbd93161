"""Export of a ResNeXt as one Python expression that builds it with torchvision."""

from ceflow.compiler import Plan
from ceflow.exports.counterparts import ANY, no_class
from ceflow.exports.timm import differing
from ceflow.spec import Fault, Resnext, SpecError

NAMES: dict[tuple[int, ...], str] = {
    (3, 4, 6, 3): "resnet50",
    (3, 4, 23, 3): "resnet101",
    (3, 8, 36, 3): "resnet152",
}
"""Names of torchvision's ResNets by their numbers of blocks."""
MODELS = "torchvision.models"
DEFAULTS = {"num_classes": 1000, "groups": 1, "width_per_group": 64}
"""Default arguments of torchvision's ResNet."""
ELSEWHERE = "export it to timm, to equinox or to stablehlo"


def torchvision_line(plan: Plan) -> str:
    """Write the expression; it needs only the name `torchvision`.

    Raises `SpecError` for a network that torchvision's class cannot build as it is: it has four
    stages, the stem of ImageNet and three channels.

    >>> from ceflow.compiler import compile
    >>> from ceflow.spec import Document
    >>> model = Resnext(stem="imagenet", blocks=[3, 4, 6, 3], cardinality=12, base_width=10)
    >>> torchvision_line(compile(Document(model=model)))
    'torchvision.models.resnet50(groups=12, width_per_group=10)'
    """
    if (fault := refusal(plan)) is not None:
        raise SpecError(fault)
    model = plan.model
    assert isinstance(model, Resnext), "others are refused"
    name = NAMES.get(tuple(model.blocks))
    given = [] if name else [f"{MODELS}.resnet.Bottleneck", str(list(model.blocks))]
    values = (model.outputs, model.cardinality, model.base_width)
    given += differing(DEFAULTS, values)
    given += ["zero_init_residual=True"] if model.zero_init_residual else []
    return f"{MODELS}.{name or 'ResNet'}({', '.join(given)})"


def refusal(plan: Plan) -> Fault | None:
    """Return the fault of a network that torchvision cannot build; None if it can."""
    model = plan.model
    if not isinstance(model, Resnext):
        return Fault("CE203", no_class("torchvision", model), ("model", "type"), help=ANY)
    if len(model.blocks) != 4:
        message = f"torchvision's ResNet has four stages, this one {len(model.blocks)}"
        return Fault("CE203", message, ("model", "blocks"), help=ELSEWHERE)
    if model.stem != "imagenet":
        message = f"torchvision's ResNet has the stem of imagenet, this one that of {model.stem}"
        return Fault("CE203", message, ("model", "stem"), help=ELSEWHERE)
    assert model.inputs, "sized before"
    if model.inputs[0] != 3:
        message = f"torchvision's ResNet takes 3 channels, this one {int(model.inputs[0])}"
        return Fault("CE203", message, ("model", "inputs"), help=ELSEWHERE)
    return None
