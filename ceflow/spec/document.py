"""The document: everything that a user wrote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr
from pydantic_core import PydanticCustomError

from ceflow.spec.along import along_faults, spread_along
from ceflow.spec.base import Spec
from ceflow.spec.classes import taken_by
from ceflow.spec.data import Data
from ceflow.spec.diagnostics import MOST_FAULTS, Fault, SpecError
from ceflow.spec.float32 import float32_faults
from ceflow.spec.models import Model
from ceflow.spec.origin import Origin
from ceflow.spec.stages import Stage
from ceflow.spec.suggest import did_you_mean
from ceflow.spec.sweep import LONGEST_NAME, Sweep, variants
from ceflow.spec.tabulated import Comparison

WINDOWS_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)
"""File names that Windows reserves for devices."""


def _no_device(name: str) -> str:
    if name.lower() in WINDOWS_DEVICES:
        raise PydanticCustomError("device", "must not be that of a device, which no file can have")
    return name


Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=LONGEST_NAME),
    AfterValidator(_no_device),
]

VERSION = 1
"""The language version that this ceflow reads and writes."""


class Document(Spec):
    """A network, data, and the stages to run, in order.

    >>> from ceflow.spec import Document, Mlp, Search
    >>> Document(model=Mlp(widths=[500, 500]), stages={"best": Search(alpha=3.4)}).name
    'untitled'
    """

    ceflow: Annotated[int, Field(ge=VERSION, le=VERSION)] = VERSION
    """Version of the language."""
    name: Name = "untitled"
    """Name of the run, and of its folder below `runs/`."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """The seed from which all random numbers of the run are derived."""
    precision: Literal["float32", "float64"] = "float64"
    """Precision of the arrays that JAX computes with. The methods `exact` and `sample` of a
    variance stage always use float64."""
    data: Data | None = None
    """Source of the examples: see [data](data.md). Kernel, flow and train stages need it."""
    model: Model
    """The network that the stages act on. It is also the baseline of a search, multiplicity
    included: see [models](models.md)."""
    stages: dict[Name, Stage] = Field(default_factory=dict)
    """Stages to run, in the order written; each key names a stage: see [stages](stages.md)."""
    sweep: Sweep | None = None
    """Values to vary, which make many runs out of this document: see [sweeps](sweeps.md)."""
    collect: dict[Name, Comparison] = Field(default_factory=dict)
    """Comparisons between the runs of a sweep, between stages, or of the results in a table; each
    key names a table and its figure: see [collect](sweeps.md#collect)."""

    _origin: Origin | None = PrivateAttr(None)

    def __eq__(self, other: object) -> bool:
        # Where a document was written is no part of what it says; the order of its stages is.
        return (
            isinstance(other, Document)
            and self.__dict__ == other.__dict__
            and self._order == other._order
        )

    def __hash__(self) -> int:
        return hash((self.name, self.seed, *self._order))

    @property
    def _order(self) -> tuple[tuple[str, ...], ...]:
        """The names in each table whose order matters."""
        return (
            tuple(self.stages),
            tuple(self.collect),
            tuple(self.sweep.paths if self.sweep else ()),
        )

    @property
    def origin(self) -> Origin | None:
        """The texts that the document was read from; None if it was built in Python."""
        return self._origin

    def faults(self) -> list[Fault]:
        return list(self.examine().faults)

    def examine(self) -> "Examined":
        """Find the semantic faults of the document, and of all documents of its sweep."""
        faults, documents = self._faults(), {}
        if not faults and self.sweep is not None and self.sweep.along is not None:
            faults = along_faults(self)
            if not faults and (spread := spread_along(self)) != self:
                return spread.examine()
        if not faults and self.sweep is not None:
            faults = [fault.below("sweep") for fault in self.sweep.faults()]
            try:
                documents = {} if faults else variants(self)
            except SpecError as error:
                faults = [*error.faults]
        return Examined(self, tuple(faults or self._collect_faults()), documents)

    def _faults(self) -> list[Fault]:
        """List the semantic faults, except those of the sweep and of the comparisons over it."""
        misfits = [fault.below("model") for fault in self.model.faults()]
        faults = [*misfits]
        faults += self._name_faults()
        earlier: dict[str, Stage] = {}
        for name, stage in self.stages.items():
            found = [*stage.faults(), *_reference_faults(stage, earlier, self.stages)]
            if not found:
                found = self._stage_faults(stage)
            found = [fault for fault in found if not _is_inside(fault, misfits)]
            faults += [fault.below("stages", name) for fault in found]
            if len(faults) >= MOST_FAULTS:
                break
            earlier[name] = stage
        return [*faults, *float32_faults(self)]

    def _stage_faults(self, stage: Stage) -> list[Fault]:
        try:
            return list(stage.faults_in(self, stage.acts_on(self._given(stage))))
        except SpecError as error:
            return [*error.faults]

    def _given(self, stage: Stage) -> Model:
        """Return the model given to a stage; for a search's answer one of its type, as the answer
        is of the family of its baseline, and its widths are not known yet."""
        if stage.answer is None or not self.model.has_members:
            return self.model
        return self.model.with_members(tuple(self.model.widths), self.model.multiplicity)

    def _name_faults(self) -> Iterator[Fault]:
        """Find names that would make two things use the same file."""
        for table, names in (("stages", self.stages), ("collect", self.collect)):
            taken: dict[str, str] = {}
            for name in names:
                first = taken.setdefault(name.lower(), name)
                if first != name:
                    message = f"{name!r} and {first!r} name the same files on many systems"
                    help = "give names that differ in more than their case"
                    yield Fault("CE104", message, (table, name), "key", help)
        for name in self.stages if self.collect else ():
            if name.lower() == "collect" or name.lower().startswith("collect-"):
                message = f"{name!r} names the figures of the [collect] tables"
                yield Fault("CE104", message, ("stages", name), "key", "give another name")

    def _collect_faults(self) -> list[Fault]:
        return [
            fault.below("collect", name)
            for name, collect in self.collect.items()
            for fault in collect.faults_in(self)
        ]


@dataclass(frozen=True)
class Examined:
    """A document with its semantic faults, and the documents of its sweep by name."""

    document: Document
    faults: tuple[Fault, ...] = ()
    variants: Mapping[str, Document] = field(default_factory=dict)


def _is_inside(fault: Fault, misfits: Sequence[Fault]) -> bool:
    """Tell whether what a stage says of a layer is about one that does not fit: the shape comes
    first.
    """
    return fault.absolute and any(
        all(here == there for here, there in zip(fault.path, misfit.path, strict=False))
        for misfit in misfits
    )


def _reference_faults(
    stage: Stage, earlier: dict[str, Stage], every: dict[str, Stage]
) -> Iterator[Fault]:
    for key, kind in stage.references().items():
        name = getattr(stage, key)
        if name is not None and not isinstance(earlier.get(name), kind):
            candidates = [other for other, spec in earlier.items() if isinstance(spec, kind)]
            word = kind.__name__.lower()
            below = name in every and name not in earlier
            fault = _dangling(key, name, candidates, f"a {word} stage above this one", below)
            yield fault if name in every else _with_home(fault, name, type(stage), kind)
    if stage.answer is None:
        return
    name, part = stage.answer
    searched = earlier.get(name)
    if searched is None or part not in searched.offers:
        answers = [f"{other}.{part}" for other, spec in earlier.items() for part in spec.offers]
        wanted, below = "an answer of a stage above this one", name in every and not searched
        yield _dangling("model", stage.model or "", answers, wanted, below)


def _with_home(fault: Fault, name: str, here: type[Spec], kind: type[Spec]) -> Fault:
    """Say which key takes a value that stands in place of the name of a stage of this kind."""
    if own := taken_by(name, [here]):
        return replace(fault, help=own)
    if theirs := taken_by(name, [kind]):
        stage = f'[stages.NAME] with type = "{kind.__name__.lower()}", above'
        return replace(fault, help=f"{theirs}, in {stage}; {fault.path[-1]} takes its name")
    return fault


def _dangling(key: str, name: str, candidates: list[str], wanted: str, below: bool) -> Fault:
    help = did_you_mean(name, candidates) or "there is none"
    if below:
        help = f"{name.partition('.')[0]} is below this stage; move it above"
    return Fault("CE201", f"{name!r} is not {wanted}", (key,), help=help)
