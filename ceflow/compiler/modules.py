"""Names of modules, and the functions that they are bound to."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ceflow.compiler import nodes
from ceflow.spec import Document, External, Fault, Model, SpecError

if TYPE_CHECKING:
    import equinox as eqx

Modules = Mapping[str, "Callable[..., eqx.Module]"]
"""Functions that make modules, by the names that documents have for them."""

PROGRAM_MARK = "# module "
"""Start of the lines after a resolved document that say what its modules compute."""


@dataclass(frozen=True, eq=False)
class Binding:
    """A function that makes modules; each of them is traced once."""

    make: Callable[..., Any]
    _layers: dict[Any, nodes.External] = field(default_factory=dict)

    def layer_of(self, model: External, precision: str) -> nodes.External:
        """Return the module of a model with known inputs, as a layer."""
        from ceflow.compiler import external  # loads JAX

        key = (model.name, model.width, model.inputs, precision)
        if key not in self._layers:
            self._layers[key] = external.layer_of(model, self.make, precision)
        layer = self._layers[key]
        if model.weights is None:
            return layer
        given = (*key, model.weights)
        if given not in self._layers:
            self._layers[given] = external.with_weights(layer, model, self.make, precision)
        return self._layers[given]


@dataclass(frozen=True, eq=False)
class Recorded:
    """The modules of a recorded run; they draw its reports again."""

    layers: tuple[nodes.External, ...] = ()
    """Layers that tell their counts, and cannot be built."""

    def layer_of(self, model: External, precision: str) -> nodes.External:
        for layer in self.layers:
            if (layer.name, layer.width, layer.inputs) == (model.name, model.width, model.inputs):
                return layer
        raise SpecError(
            Fault("CE207", f"the run has recorded nothing of the module {model.name!r}")
        )


Bindings = Mapping[str, Binding] | Recorded
"""What the names of a document are bound to, or what a run has recorded of them."""


def bindings(modules: Modules | None, documents: Iterable[Document]) -> dict[str, Binding]:
    """Check what the names of documents are bound to.

    Raises `SpecError` for a name that none of them uses, and for what is no function.
    """
    modules, documents = modules or {}, [*documents]
    used = {each.model.module_name for each in documents} - {None}
    faults = []
    for name, make in modules.items():
        if name not in used:
            there = _listed("its modules are", used) if used else "it has no external model"
            message = f"a module is bound to the name {name!r}, which the document does not use"
            faults.append(Fault("CE207", message, help=there))
        elif not callable(make):
            message = f"{name!r} is bound to a {type(make).__name__}, and not to a function make"
            places = {each.model.module_path for each in documents}
            faults.append(Fault("CE207", message, ("model", *min(places)), help=MAKE))
    if faults:
        raise SpecError(*faults)
    return {name: Binding(make) for name, make in modules.items()}


MAKE = "make(key) returns an equinox.Module that takes one example"


def bound(model: Model, known: Bindings, precision: str) -> Any:
    """Bind the name of the user's module in a model, if it has one.

    Raises `SpecError` if nothing is bound to it.
    """
    name = model.module_name
    if name is None:
        return model
    if not isinstance(known, Recorded) and name not in known:
        there = f"{_listed('bound are', known)}; " if known else ""
        message = f"no module is bound to the name {name!r}"
        help = (
            f"{there}bind it by --module {name}=package.module:make, or in Python by"
            f' ceflow.run(document, modules={{"{name}": make}})'
        )
        raise SpecError(Fault("CE207", message, ("model", *model.module_path), help=help))
    binding = known if isinstance(known, Recorded) else known[name]
    named: Any = model
    return named.bound(partial(binding.layer_of, precision=precision))


def _listed(what: str, names: Collection[Any]) -> str:
    return f"{what} {', '.join(sorted(map(repr, names)))}"


def facts_of(roots: Iterable[nodes.Node]) -> list[dict[str, Any]]:
    """Return what is recorded of the modules in trees of layers, each once, as JSON can hold it."""
    keys = ("name", "width", "inputs", "outputs", "parameters", "flops", "program")
    every = (node for root in roots for node in nodes.every(root))
    found = [
        {key: getattr(node, key) for key in keys}
        for node in every
        if isinstance(node, nodes.External)
    ]
    for each in found:
        each["flops"] = None if math.isnan(each["flops"]) else each["flops"]
    return [each for index, each in enumerate(found) if each not in found[:index]]


def recorded(facts: Any) -> Recorded:
    """Read what `facts_of` has written. Raises `ValueError` if it is anything else."""
    try:
        return Recorded(tuple(_layer(**each) for each in facts))
    except (TypeError, KeyError):
        raise ValueError("these are no facts of modules") from None


def _layer(inputs: Any, flops: float | None, **facts: Any) -> nodes.External:
    shape = tuple(inputs) if isinstance(inputs, list) else inputs
    return nodes.External(inputs=shape, flops=math.nan if flops is None else flops, **facts)


def programs_text(facts: Iterable[Mapping[str, Any]]) -> str:
    """Write what modules compute, as comments after a document."""
    lines = (f"{PROGRAM_MARK}{each['name']}: program {each['program']}" for each in facts)
    return "".join(f"{line}\n" for line in lines)
