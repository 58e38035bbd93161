"""The export formats by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

from ceflow._words import one_of
from ceflow.compiler import Plan
from ceflow.compiler.nodes import is_finite
from ceflow.exports.equinox import equinox_file
from ceflow.exports.given import Weights
from ceflow.exports.timm import timm_line, timm_notes
from ceflow.exports.torchvision import refusal, torchvision_line
from ceflow.spec import Fault, SpecError, flops_text, placing

Format = Literal["equinox", "timm", "torchvision", "stablehlo", "safetensors"]


class Artefact(NamedTuple):
    """The exported text or bytes, and notes for the reader, one sentence each."""

    content: str | bytes
    notes: list[str]
    beside: bytes | None = None
    """Content of the file of weights that an Equinox file reads."""


def export(
    plan: Plan,
    to: Format,
    suffix: str = "",
    weights: Weights | None = None,
    beside: str = "weights.eqx",
) -> Artefact:
    """Write a plan's network in a format.

    `suffix` is the ending of the file's name: StableHLO is text for `.mlir` and without an ending,
    otherwise JAX's serialised form, with its gradient. `weights` are put into StableHLO, or into a
    file named `beside` that the Equinox file reads; safetensors holds nothing else. Only StableHLO
    and weights load JAX.

    Raises `SpecError` if a width is infinite, if the format cannot express the network or cannot
    contain weights, and if the weights are not those of the network.

    >>> from ceflow.compiler import compile
    >>> from ceflow.spec import Document, Resnext
    >>> model = Resnext(stem="imagenet", blocks=[3, 4, 6, 3], cardinality=12, base_width=10)
    >>> print(export(compile(Document(model=model)), "timm").content)
    timm.create_model("resnet50", cardinality=12, base_width=10)
    """
    one_of("the format", to, get_args(Format))
    with _faults_placed(plan):
        match to:
            case "stablehlo":
                return _stablehlo(plan, suffix, weights)
            case "equinox":
                return _equinox(plan, weights, beside)
            case "safetensors":
                return _safetensors(plan, weights)
            case _ if weights is not None:
                message = f"an export to {to} contains no weights"
                help = "export them to safetensors, to equinox or to stablehlo"
                raise SpecError(Fault("CE203", message, help=help))
            case "timm":
                return _timm(plan)
            case "torchvision":
                return _torchvision(plan)


@contextmanager
def _faults_placed(plan: Plan) -> Iterator[None]:
    with placing(plan.document.origin):
        if not is_finite(plan.root):
            message = "a network with an infinite layer cannot be exported"
            raise SpecError(Fault("CE203", message, ("model",), "key", "give it finite widths"))
        yield


def _timm(plan: Plan) -> Artefact:
    notes = [_parameters(plan), *timm_notes(plan)]
    if refusal(plan) is None:
        notes.append(f"by torchvision: {torchvision_line(plan)}")
    return Artefact(timm_line(plan) + "\n", notes)


def _torchvision(plan: Plan) -> Artefact:
    return Artefact(torchvision_line(plan) + "\n", [_parameters(plan), "names: import torchvision"])


def _equinox(plan: Plan, weights: Weights | None, beside: str) -> Artefact:
    if weights is None:
        return Artefact(equinox_file(plan), [_parameters(plan)])
    text = equinox_file(plan, beside)
    from ceflow.exports.weights import file_weights, read_module  # loads JAX

    content = file_weights(plan, read_module(plan, weights), text)
    notes = [_parameters(plan), f"its first lines read the weights from {beside}"]
    if plan.document.precision == "float64":
        notes.append('they are float64: first call jax.config.update("jax_enable_x64", True)')
    return Artefact(text, notes, content)


def _safetensors(plan: Plan, weights: Weights | None) -> Artefact:
    if weights is None:
        message = "an export to safetensors is of weights, and a document has none"
        help = "name a run directory in place of the document, or give --weights"
        raise SpecError(Fault("CE203", message, help=help))
    try:
        line = timm_line(plan)
    except SpecError as error:
        (fault,), kind = error.faults, plan.model.type
        why = f"type {kind} has none" if fault.path[-1:] == ("type",) else fault.message
        message = f"safetensors hold weights by the names of timm's ResNet, and {why}"
        raise SpecError(Fault("CE203", message, fault.path, help=_other_weights(plan))) from None
    from ceflow.exports.state_dict import safetensors_bytes, state_dict  # loads JAX
    from ceflow.exports.weights import read_module

    arrays = state_dict(plan, read_module(plan, weights))
    notes = [
        _parameters(plan),
        f"net = {line}",
        *timm_notes(plan)[:1],
        "net.load_state_dict(safetensors.torch.load_file(FILE))",
    ]
    try:
        return Artefact(safetensors_bytes(arrays, {"format": "pt", "timm": line}), notes)
    except ImportError:
        help = "pip install 'ceflow[export]'"
        raise ValueError(f"safetensors is not installed; {help}") from None


def _other_weights(plan: Plan) -> str:
    """Name the other formats that hold the weights of a network."""
    try:
        equinox_file(plan)
    except SpecError:
        return "export it to stablehlo, which holds the weights"
    return "export it to equinox, which writes the weights to a file beside it, or to stablehlo"


def _stablehlo(plan: Plan, suffix: str, weights: Weights | None) -> Artefact:
    from ceflow.exports.stablehlo import notes, serialised, stablehlo_text, written  # loads JAX

    exported = written(plan, weights)
    said = [_parameters(plan), *notes(plan, exported, weights is not None)]
    if suffix in ("", ".mlir"):
        return Artefact(stablehlo_text(plan, exported), said)
    try:
        return Artefact(serialised(plan, exported), said)
    except ImportError:
        message = "JAX writes its serialised form with flatbuffers, which is not installed"
        raise ValueError(f"{message}; pip install 'ceflow[export]', or name a .mlir file") from None


def _parameters(plan: Plan) -> str:
    flops = flops_text(plan.root.flops)
    many = "" if plan.root.parameters == 1 else "s"
    return f"{plan.root.parameters:,.0f} parameter{many}, {flops} an example"
