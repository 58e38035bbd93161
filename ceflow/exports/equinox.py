"""Export to a self-contained Python file with the network as an Equinox module."""

import math
from collections.abc import Iterator, Sequence
from functools import singledispatch
from importlib.metadata import version
from importlib.resources import files
from itertools import groupby
from string import Template

from ceflow.compiler import Plan
from ceflow.compiler.nodes import Shape, units
from ceflow.spec import Block, Bottleneck, Ensemble, Fault, Mlp, Model, Resnext, SpecError
from ceflow.spec.diagnostics import dotted
from ceflow.spec.models.activations import ADDED

LONGEST_LINE = 100
"""Maximum number of characters of a line."""

ACTIVATIONS = {
    "relu": "jax.nn.relu(x)",
    "leaky-relu": "jax.nn.leaky_relu(x)",
    "abs": "abs(x)",
    "linear": "x",
    "erf": "jax.scipy.special.erf(x)",
    "gelu": "jax.nn.gelu(x, approximate=False)",
    "sin": "jnp.sin(x)",
    "cos": "jnp.cos(x)",
    "tanh": "jnp.tanh(x)",
    "softplus": "jax.nn.softplus(x)",
    "silu": "jax.nn.silu(x)",
    **{name: added.expression for name, added in ADDED.items() if added.expression},
}
"""The activations of the language as Python expressions."""


def equinox_file(plan: Plan, weights: str | None = None) -> str:
    """Write a Python module that imports only `equinox`, `jax` and `math`.

    It defines the class of the network, `Mlp`, `Ensemble`, `Block`, `Resnext` or `Bottleneck`, with
    `__init__(*, key)`, and the numbers of the document as constants above it. The same plan gives
    the same text. The weights follow the law of `Plan.module`, but their values differ. With the
    name of a file of `weights`, the first lines say how to read them.

    >>> from ceflow.compiler import compile
    >>> from ceflow.spec import Document
    >>> text = equinox_file(compile(Document(model=Mlp(widths=[20], inputs=3, outputs=1))))
    >>> "WIDTHS = (3, 20, 1)" in text
    True

    Raises `SpecError` for a kind of model that has no template, and for an activation of a plugin
    that has no `expression`.
    """
    template = files("ceflow.exports") / "templates" / f"{plan.model.type}.txt"
    if not template.is_file():
        raise _no_template(plan.model.type, "type")
    model = _of_mlps(plan.model)
    if unknown := model.activations - {*ACTIVATIONS}:
        message = f"no expression in Python is known of the activation {min(unknown)}"
        raise SpecError(Fault("CE203", message, ("model",), help="export it to stablehlo"))
    options = _options(model) | {"weights" if weights else "drawn"}
    text = "\n".join(_kept(template.read_text("utf-8").splitlines(), options))
    header = _header(plan) | {"weights": weights or ""}
    return Template(text).substitute(header, **_constants(model)) + "\n"


def _of_mlps(model: Model) -> Model:
    """Write the parts of a model as mlps. Raises `SpecError` if they have other layers."""
    found = {}
    for key in model.usual_kinds:
        found[key] = getattr(model, key).as_mlp
        if found[key] is None:
            raise _no_template(getattr(model, key).type, key, "type")
    return model.replaced(found) if found else model


def _no_template(kind: str, *path: str) -> SpecError:
    message = f"no Equinox file is written for the type {kind}"
    return SpecError(Fault("CE203", message, ("model", *path), help="export it to stablehlo"))


def _kept(lines: Sequence[str], options: set[str]) -> Iterator[str]:
    """Keep the lines of a template, except those that end in `#? OPTION` for an option not
    selected.
    """
    for line in lines:
        code, _, option = line.partition("#? ")
        if not option or option in options:
            yield code.rstrip()


def _header(plan: Plan) -> dict[str, str]:
    document = plan.document
    return {
        "parameters": f"{plan.root.parameters:,.0f}",
        "inputs": " x ".join(map(str, sides(plan.root.inputs))),
        "outputs": str(int(units(plan.root.outputs))),
        "source": f"the document {document.name!r}",
        "version": version("ceflow"),
    }


def sides(shape: Shape) -> tuple[int, ...]:
    """Return the sides of a shape; a number is the only side of a vector's."""
    return tuple(map(int, shape)) if isinstance(shape, tuple) else (int(shape),)


@singledispatch
def _options(model: Model) -> set[str]:
    """Return the options that select the optional lines of a template."""
    raise TypeError(f"no Equinox file is registered for the model {type(model).__name__}")


@_options.register
def _(model: Mlp) -> set[str]:
    library = "numpy" if "jnp" in ACTIVATIONS[model.activation] else "no numpy"
    return {"bias" if model.bias_variance else "no bias", library}


@_options.register
def _(model: Ensemble) -> set[str]:
    return _options(model.member)


@_options.register
def _(model: Bottleneck) -> set[str]:
    return _options(model.encoder) | _options(model.decoder)


@_options.register
def _(model: Block) -> set[str]:
    return {"projection" if model.projection else "no projection"}


@_options.register
def _(model: Resnext) -> set[str]:
    found = {model.stem} | ({"groups"} if model.cardinality > 1 else set())
    found |= {"zero"} if model.zero_init_residual else set()
    return found | ({"numpy"} if found & {"groups", "zero"} else set())


@singledispatch
def _constants(model: Model) -> dict[str, str]:
    """Write the numbers of a model, as the constants at the top of its file."""
    raise TypeError(f"no Equinox file is registered for the model {type(model).__name__}")


@_constants.register
def _(model: Mlp) -> dict[str, str]:
    widths = _tuple("WIDTHS", (model.inputs or 0, *model.widths, model.outputs or 0))
    return {"widths": widths, "bias_variance": str(model.bias_variance), **_layers(model)}


@_constants.register
def _(model: Ensemble) -> dict[str, str]:
    return {"multiplicity": str(model.multiplicity), **_constants(model.member)}


@_constants.register
def _(model: Block) -> dict[str, str]:
    counts = {"channels": model.channels, "cardinality": model.cardinality}
    widths = _tuple("WIDTHS", model.widths)
    return {key: str(count) for key, count in counts.items()} | {"widths": widths, **_layers(model)}


@_constants.register
def _(model: Resnext) -> dict[str, str]:
    assert model.inputs, "sized before"
    return {
        "channels": str(model.inputs[0]),
        "cardinality": str(model.cardinality),
        "base_width": str(model.base_width),
        "blocks": _tuple("BLOCKS", model.blocks),
    }


@_constants.register
def _(model: Bottleneck) -> dict[str, str]:
    constants = {"size": str(model.size)}
    for path, part in model.parts.items():
        half, name = Mlp.expect(part), dotted(path)
        widths = (half.inputs or 0, *half.widths, half.outputs or 0)
        variances = (half.weight_variance, half.last_variance, half.bias_variance)
        constants[f"{name}_widths"] = _tuple(f"{name.upper()}_WIDTHS", widths)
        constants[f"{name}_variances"] = ", ".join(map(str, variances))
        constants[f"{name}_activation"] = ACTIVATIONS[half.activation]
    return constants


def _layers(model: Mlp | Block) -> dict[str, str]:
    return {
        "activation": ACTIVATIONS[model.activation],
        "weight_variance": str(model.weight_variance),
        "last_variance": str(model.last_variance),
    }


def _tuple(name: str, values: Sequence[float]) -> str:
    """Write an assignment of a tuple: a run of four or more equal values is one entry, and a line
    that is too long has one entry a line.

    >>> _tuple("WIDTHS", (784, *[500] * 98, 10))
    'WIDTHS = (784, *(500,) * 98, 10)'
    """
    parts = [part for value, run in groupby(values) for part in _run(value, len([*run]))]
    line = f"{name} = ({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if len(line) <= LONGEST_LINE:
        return line
    return "\n    ".join([f"{name} = (", *(f"{part}," for part in parts)]) + "\n)"


def _run(value: float, count: int) -> list[str]:
    assert math.isfinite(value)
    return [str(value)] * count if count < 4 else [f"*({value},) * {count}"]
