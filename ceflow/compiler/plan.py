"""The compiled document: shapes and costs in plain Python, modules on request."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow import data
from ceflow.compiler import nodes
from ceflow.compiler.models import expand
from ceflow.compiler.modules import Bindings, Modules, bindings, bound, facts_of
from ceflow.compiler.sizes import declared, sizes_of
from ceflow.spec import (
    CollectTable,
    Document,
    Examined,
    Fault,
    Model,
    SpecError,
    placing,
    revalidated,
    seen_from_sweep,
)
from ceflow.spec.models.layers import below

if TYPE_CHECKING:
    import equinox as eqx
    from jaxtyping import Array, Float, Key
    from numpy import ndarray


@dataclass(frozen=True)
class Plan:
    """A document with all shapes known.

    `model` is the document's model with its inputs and outputs filled in, `root` its layers;
    `variants` are the documents of its sweep by name.
    """

    document: Document
    model: Model
    root: nodes.Node
    data: data.Extent | None
    variants: Mapping[str, Document] = field(default_factory=dict, repr=False, compare=False)
    modules: Bindings = field(default_factory=dict, repr=False, compare=False)
    """What the names of modules are bound to."""

    @cached_property
    def runs(self) -> "Mapping[str, Plan]":
        """The plan of every run of the document: those of a sweep by name, otherwise itself under
        ''.

        Raises `SpecError` with the faults of all of them, placed at the swept values.
        """
        if self.document.sweep is None:
            return {"": self}
        plans: dict[str, Plan] = {}
        faults: dict[str, tuple[Fault, ...]] = {}
        for name, variant in self.variants.items():
            try:
                plans[name], faults[name] = plan_with(Examined(variant), None, self.modules), ()
            except SpecError as error:
                faults[name] = error.faults
        if any(faults.values()):
            with placing(self.document.origin):
                raise SpecError(*seen_from_sweep(self.document, faults))
        return plans

    @property
    def inputs(self) -> int:
        """Number of entries of an example."""
        return int(nodes.units(self.root.inputs))

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return int(nodes.units(self.root.outputs))

    @property
    def itemsize(self) -> int:
        """Bytes of one number at the document's precision."""
        return 8 if self.document.precision == "float64" else 4

    @property
    def folder(self) -> Path:
        """Folder to which relative paths of the document are relative."""
        return folder_of(self.document)

    def resolved(self) -> Document:
        """Return the document with sizes from the data filled in, and with absolute paths."""
        source = self.document.data
        found = source and data.anchored(source, self.folder)
        stages = {
            name: stage.replaced({key: str(path) for key, path in self._paths(name)})
            for name, stage in self.document.stages.items()
        }
        collect = {
            name: asked.replaced({"table": str(self.collected_path(name).resolve())})
            if isinstance(asked, CollectTable)
            else asked
            for name, asked in self.document.collect.items()
        }
        update = {"model": self.model, "data": found, "stages": stages, "collect": collect}
        return self.document.replaced(update)

    def modules_used(self) -> list[dict[str, Any]]:
        """Return the facts of the user's modules in all runs, as they are recorded."""
        return facts_of(plan.root for plan in (self, *self.runs.values())) if self.modules else []

    def path(self, stage: str, key: str) -> Path:
        """Return the path of the file that a stage names in one of its keys."""
        given = getattr(self.document.stages[stage], key)
        return folder_of(self.document, ("stages", stage, key)) / given

    def collected_path(self, name: str) -> Path:
        """Return the path of the table of results that an entry of [collect] names."""
        asked = CollectTable.expect(self.document.collect[name])
        return folder_of(self.document, ("collect", name, "table")) / asked.table

    def _paths(self, stage: str) -> Iterator[tuple[str, Path]]:
        """Yield the keys in which a stage names files, with their paths."""
        spec = self.document.stages[stage]
        for key in spec.path_keys:
            if getattr(spec, key) is not None:
                yield key, self.path(stage, key).resolve()

    def module(self, key: "Key[Array, '']") -> "eqx.Module":
        """Build the document's network with weights drawn from `key`.

        The module takes one example, shaped as by `examples`, and returns its outputs; use
        `jax.vmap` for a batch. With batch normalisation (`resnext`) it is the network at inference,
        with its initial statistics. Arrays have JAX's default float type (set by `jax.enable_x64`).
        Raises `SpecError` if a width is infinite.
        """
        return self.module_of(self.model, key)

    def module_and_state(self, key: "Key[Array, '']") -> "tuple[eqx.Module, eqx.nn.State]":
        """Build the network in training mode, and its state, as `eqx.nn.make_with_state` does.

        With batch normalisation it has a state, and is called in a batch: `jax.vmap(module,
        axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x,
        state)` returns outputs and the new state. `ceflow.nets.Frozen(module,
        state)` turns a trained pair into a module for one example. Raises `SpecError` if a width is
        infinite.

        >>> import jax
        >>> from ceflow.spec import Document, Resnext
        >>> document = Document(model=Resnext(blocks=[1], base_width=2, inputs=[1, 4, 4]))
        >>> module, state = compile(document).module_and_state(jax.random.key(0))
        >>> batched = jax.vmap(module, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        >>> jax.eval_shape(batched, jax.numpy.ones((2, 1, 4, 4)), state)[0].shape
        (2, 10)
        """
        from ceflow.compiler.lowering import lower_with_state  # loads JAX

        return lower_with_state(self.root, key)

    def examples(self, x: "Float[ndarray, 'n inputs']") -> "Float[ndarray, 'n ...']":
        """Reshape rows of data to examples as the network takes them.

        An image has the axes channel, row, column.

        >>> import numpy as np
        >>> from ceflow.spec import Block, Document
        >>> plan = compile(Document(model=Block(channels=4, widths=[2, 2])))
        >>> plan.examples(np.ones((5, 36))).shape
        (5, 4, 3, 3)
        """
        inputs = self.root.inputs
        return x.reshape(len(x), *map(int, inputs)) if isinstance(inputs, tuple) else x

    def module_of(self, model: Model, key: "Key[Array, '']") -> "eqx.Module":
        """Build another model, whose inputs and outputs are set (`Model.sized`), like `module`."""
        from ceflow.compiler.lowering import lower  # loads JAX

        return lower(self.expand(model), key)

    def bound(self, model: Model) -> Model:
        """Bind the name of the module in another model, if it has one."""
        return bound(model, self.modules, self.document.precision)

    def expand(self, model: Model) -> nodes.Node:
        """Expand another model, whose inputs and outputs are set, to its layers."""
        return expand(model)


def compile(
    document: Document, extent: data.Extent | None = None, *, modules: Modules | None = None
) -> Plan:
    """Check a document's meaning and work out its shapes.

    Reads the headers of data files, unless their `extent` is given. `modules` are functions that
    make modules, by the names in `external` models. Raises `SpecError` with all faults. Never
    imports JAX, except to trace such a module.

    >>> from ceflow.spec import Document, Mlp
    >>> plan = compile(Document(model=Mlp(widths=[500] * 5, inputs=748, outputs=10)))
    >>> plan.root.parameters
    1379000
    """
    return plan_of(revalidated(document).examine(), extent, modules=modules)


def plan_of(
    examined: Examined, extent: data.Extent | None = None, *, modules: Modules | None = None
) -> Plan:
    """Compile an examined document; like `compile`, without checking its meaning again."""
    with placing(examined.document.origin):
        known = bindings(modules, (examined.document, *examined.variants.values()))
    return plan_with(examined, extent, known)


def plan_with(examined: Examined, extent: data.Extent | None, modules: Bindings) -> Plan:
    """Compile an examined document whose modules are bound already."""
    document, faults = examined.document, [*examined.faults]
    with placing(document.origin):
        try:
            model = bound(document.model, modules, document.precision)
            document = document.replaced({"model": model})
            if document.data and not extent:
                extent = data.extent(document.data, folder_of(document), _are_held(document))
            counted = _counted(document, extent)
            if counted is not document:
                faults = faults or counted.faults()
            sizes = sizes_of(document, extent)
        except SpecError as error:
            raise SpecError(*faults, *error.faults) from None
        if faults:
            raise SpecError(*faults)
        model = _anchored(document.model.sized(**sizes), document)
        with below("model"):
            root = expand(model)
        return Plan(document, model, root, extent, examined.variants, modules)


def _are_held(document: Document) -> bool:
    """Tell whether a stage holds all examples in memory; if none reads them, they are measured as
    if one did.
    """
    acting = [(stage, stage.acts_on(document.model)) for stage in document.stages.values()]
    reading = [(stage, model) for stage, model in acting if stage.reads_data(model)]
    return not reading or not all(stage.streams_data(model) for stage, model in reading)


def _anchored(model: Model, document: Document) -> Model:
    """Make the paths of a model absolute."""
    paths = {key: getattr(model, key) for key in model.path_keys}
    absolute = {
        key: str((folder_of(document, ("model", key)) / path).resolve())
        for key, path in paths.items()
        if path is not None
    }
    return model.replaced(absolute) if absolute else model


def _counted(document: Document, extent: data.Extent | None) -> Document:
    """Fill in the number of examples of the data if the document leaves it out."""
    source = document.data
    if extent is None or not source or not source.counts_examples or document.sweep:
        return document
    counts = {"train": extent.train // source.copies, "test": extent.test}
    if counts == {key: getattr(source, key) for key in counts}:
        return document
    return document.replaced({"data": source.replaced(counts)})


def without_data(examined: Examined, *, modules: Modules | None = None) -> Iterator[Plan]:
    """Yield the plan of a document, or of each run of its sweep, without reading data files.

    Yields nothing if the document leaves a size to the data.

    >>> from ceflow.spec import Document, Mlp, Npz
    >>> model = Mlp(widths=[3], inputs=2, outputs=1)
    >>> document = Document(model=model, data=Npz(path="x", train=5))
    >>> [plan.data for plan in without_data(document.examine())]
    [Extent(inputs=2, outputs=1, train=5, test=0, image=None, left_out=0)]
    """
    known = bindings(modules, (examined.document, *examined.variants.values()))
    for each in examined.variants.values() or [examined.document]:
        in_files = each.data is not None and each.data.in_files
        extent = declared(each) if in_files else None
        if extent or not in_files:
            yield plan_with(Examined(_without_files(each), examined.faults), extent, known)


def _without_files(document: Document) -> Document:
    """Remove the keys that name files from the model and the stages of a document, and the entries
    of [collect] that read one.
    """
    stages = {
        name: stage.replaced(dict.fromkeys(stage.path_keys))
        for name, stage in document.stages.items()
    }
    model = document.model.replaced(dict.fromkeys(document.model.path_keys))
    collect = {n: c for n, c in document.collect.items() if not isinstance(c, CollectTable)}
    return document.replaced({"model": model, "stages": stages, "collect": collect})


def folder_of(document: Document, key: tuple[str, ...] = ("data", "path")) -> Path:
    """Return the folder to which a relative path at a key is relative: that of the file that set
    it.
    """
    origin = document.origin
    return origin.writer(key).text.folder if origin else Path()
