"""The compiled document: shapes and costs in plain Python, modules on request."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow import data
from ceflow.compiler import nodes
from ceflow.compiler.models import expand
from ceflow.spec import (
    Circle,
    Document,
    Ensemble,
    Fault,
    Model,
    SpecError,
    member_of,
    placing,
)

if TYPE_CHECKING:
    import equinox as eqx
    from jaxtyping import Array, Key


@dataclass(frozen=True)
class Plan:
    """A document with every shape known.

    `model` is the document's model with its inputs and outputs filled in, `root` its layers.
    """

    document: Document
    model: Model
    root: nodes.Node
    data: data.Extent | None

    @property
    def inputs(self) -> int:
        """How many numbers an example has."""
        return int(nodes.units(self.root.inputs))

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        return int(nodes.units(self.root.outputs))

    @property
    def folder(self) -> Path:
        """Where relative paths of the document start."""
        return folder_of(self.document)

    def resolved(self) -> Document:
        """The document with all that was left to the data filled in, and no path relative to it."""
        source = self.document.data
        found = source and data.anchored(source, self.folder)
        return self.document.model_copy(update={"model": self.model, "data": found})

    def module(self, key: "Key[Array, '']") -> "eqx.Module":
        """The document's network with weights drawn from `key`.

        One example in, its outputs out; `jax.vmap` makes the batch. Arrays are of JAX's default
        float type (`jax.enable_x64` chooses). Raises `SpecError` where a width is infinite.
        """
        return self.module_of(self.model, key)

    def module_of(self, model: Model, key: "Key[Array, '']") -> "eqx.Module":
        """The same for another model of the same inputs and outputs."""
        from ceflow.compiler.lowering import lower  # loads JAX

        return lower(self.expand(model), key)

    def expand(self, model: Model) -> nodes.Node:
        """The layers of another model of the same inputs and outputs."""
        return expand(model, self.inputs, self.outputs)


def compile(document: Document, extent: data.Extent | None = None) -> Plan:
    """Check a document's meaning and work out its shapes.

    Reads the headers of data files, unless their `extent` is known already. Raises `SpecError`
    with all that is wrong. Never imports JAX.

    >>> from ceflow.spec import Document, Mlp
    >>> plan = compile(Document(model=Mlp(widths=[500] * 5, inputs=748, outputs=10)))
    >>> plan.root.parameters
    1379000
    """
    with placing(document.origin):
        faults = document.faults()
        try:
            if document.data and not extent:
                extent = data.extent(document.data, folder_of(document))
            sizes = _sizes(document, extent)
        except SpecError as error:
            raise SpecError(*faults, *error.faults) from None
        if faults:
            raise SpecError(*faults)
    member = member_of(document.model).model_copy(update=sizes)
    model = _replace_member(document.model, member)
    return Plan(document, model, expand(model, **sizes), extent)


def folder_of(document: Document) -> Path:
    """Where a relative path to data starts: the folder of the file that wrote it."""
    origin = document.origin
    return origin.writer(("data", "path")).text.folder if origin else Path()


def _sizes(document: Document, extent: data.Extent | None) -> dict[str, int]:
    return {
        "inputs": _size("inputs", document, extent.inputs if extent else None),
        "outputs": _size("outputs", document, extent.outputs if extent else None),
    }


def _replace_member(model: Model, member: Any) -> Model:
    if isinstance(model, Ensemble):
        return model.model_copy(update={"member": member})
    return member


def _size(key: str, document: Document, from_data: int | None) -> int:
    """Number of inputs or outputs: from the model, from the data; both must agree."""
    parent = ("model", "member") if isinstance(document.model, Ensemble) else ("model",)
    written = getattr(member_of(document.model), key)
    known = written or from_data
    if known is None:
        help = f"add {key} to [{'.'.join(parent)}], or a [data] table"
        raise SpecError(Fault("CE204", f"the number of {key} is not known", parent, "key", help))
    if None not in (written, from_data) and written != from_data and not _free(key, document):
        message = f"the model has {written} {key}, the data have {from_data}"
        help = f"leave {key} out: it comes from the data"
        raise SpecError(Fault("CE204", message, (*parent, key), help=help))
    return known


def _free(key: str, document: Document) -> bool:
    """A kernel over a circle needs no targets, so the model's outputs decide there."""
    return key == "outputs" and isinstance(document.data, Circle)
