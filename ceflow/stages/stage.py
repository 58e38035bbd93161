"""The interface of a stage: its inputs, its forecast and its result."""

import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from ceflow import data
from ceflow import spec as language
from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan
from ceflow.costs import Work
from ceflow.events import InaccurateKernelWarning, LossRecorded, Observer, Progress
from ceflow.seeding import Seed, pinned
from ceflow.spec import Fault, Model
from ceflow.stages.result import Result
from ceflow.store import RunDirectory

if TYPE_CHECKING:
    import numpy as np

SpecT = TypeVar("SpecT", bound=language.Stage)
ResultT = TypeVar("ResultT", bound=Result)

AT_ZERO = (
    "zero_init_residual takes the members out of the network at the start, so that they add nothing"
    " to its first NTK: the law is that of the same network with scales of 1"
)
"""What to know of a law of members whose scale starts at 0."""


def finite(number: Any) -> float | None:
    """Return a number as a float, or None if it is not finite, which JSON cannot hold."""
    number = float(number)
    return number if math.isfinite(number) else None


def written(number: Any) -> float | Literal["inf"] | None:
    """Return a number as results.json holds it: `"inf"` for infinity, None for NaN.

    >>> written(0.5), written(math.inf), written(math.nan)
    (0.5, 'inf', None)
    """
    return "inf" if number == math.inf else finite(number)


@dataclass(frozen=True)
class Job:
    """A stage to run: its spec, the network it acts on, earlier results, and where to put
    arrays.
    """

    name: str
    stage: Any
    plan: Plan
    model: Model
    results: Mapping[str, Result]
    directory: RunDirectory
    observe: Observer
    started: float = field(default_factory=time.perf_counter)

    @property
    def seed(self) -> Seed:
        """The random stream of this stage."""
        return Seed(self.plan.document.seed).fold("stages").fold(self.name)

    @property
    def has_classes(self) -> bool:
        """True if the targets are class labels."""
        source = self.plan.document.data
        return source is not None and source.has_classes

    def dataset(self) -> data.Dataset:
        """Load the document's data, with inputs in the shape that the network takes.

        Raises `ValueError` if the numbers cannot be represented in the document's precision.
        """
        return dataset_of(self.plan)

    def streams(self) -> data.Streams:
        """Open the document's data to read examples as they are needed: the rows of numbers that
        `dataset` gives the shape of examples.
        """
        document = self.plan.document
        assert document.data is not None, "the spec of a stage that needs data asks for it"
        return data.stream(document.data, self.plan.folder, Seed(document.seed).fold("data"))

    def progress(self, done: float, total: float, unit: str = "") -> None:
        self.observe(Progress(self.name, done, total, unit))

    def recorded(self, losses: "np.ndarray") -> None:
        """Tell the observer the training losses of a moment, one per replica."""
        self.observe(LossRecorded(self.name, float(losses.mean())))


def dataset_of(plan: Plan) -> data.Dataset:
    """Load the examples of a plan's data, with inputs in the shape that its network takes.

    Raises `ValueError` if the numbers cannot be represented in the document's precision.
    """
    document = plan.document
    assert document.data is not None, "the spec of a stage that needs data asks for it"
    rows = data.load(document.data, plan.folder, Seed(document.seed).fold("data"))
    for part in (rows.train, rows.test):
        require_room(document.precision, inputs=part.x, targets=part.y)
    train, test = (data.Examples(plan.examples(p.x), p.y) for p in (rows.train, rows.test))
    return replace(rows, train=train, test=test)


def require_room(precision: str, **arrays: "np.ndarray") -> None:
    """Raise `ValueError` for numbers that a precision cannot represent."""
    import numpy as np

    for what, array in arrays.items():
        largest = float(np.abs(array).max(initial=0))
        if largest > float(np.finfo(precision).max):
            raise ValueError(
                f"the {what} reach {largest:.2g}, past the numbers of {precision}: lower"
                ' data.scale, or set precision = "float64"'
            )


class Forecast(NamedTuple):
    """The memory, disk space and work that a stage will need.

    Memory and disk are the bytes of its arrays. `key` is the key to change in order to need less
    memory, and `instead` is another remedy. If the number of steps of an adaptive solver is
    unknown, `most` is the largest possible work. `streams` says whether examples are read as they
    are needed, and `remarks` what else the plan says of how the stage will be run.
    """

    memory: float = 0.0
    disk: float = 0.0
    key: str = ""
    work: Work = Work()
    instead: str = ""
    most: Work | None = None
    streams: bool = False
    remarks: tuple[str, ...] = ()


class Stage(ABC, Generic[SpecT, ResultT]):
    """One kind of stage: it forecasts what it needs, runs, and describes its result."""

    result: type[ResultT]
    """Class of the result."""

    @abstractmethod
    def cost(self, spec: SpecT, plan: Plan, model: Model) -> Forecast:
        """Forecast what the stage will need, in plain Python."""

    @abstractmethod
    def run(self, job: Job) -> ResultT:
        """Run the stage. Raises `ValueError` with a sentence if it cannot be run."""

    @abstractmethod
    def describe(self, result: ResultT) -> list[ReportBlock]:
        """Describe the result as blocks of a report."""

    def answer(self, result: ResultT) -> str:
        """Say in a sentence what the stage found, for the top of a page; '' if no sentence can."""
        return ""

    def offers(self, spec: SpecT, plan: Plan, model: Model) -> dict[str, Model]:
        """Return the models that later stages can act on, if they are known before the run."""
        return {}

    def faults(self, name: str, spec: SpecT, plan: Plan, model: Model) -> Iterator[Fault]:
        """Find faults that only show in sizes and files; `name` is the stage's name."""
        yield from ()

    def doubts(self, number: str, model: Model) -> Iterator[str]:
        """Say why a power law of one of the stage's numbers is doubtful, over runs of
        such models.
        """
        yield from ()

    def overview(self, results: dict[str, ResultT]) -> list[ReportBlock]:
        """Describe all stages of this kind in a run together; `results` are given by stage name."""
        return []


def result_of(kind: Stage[Any, ResultT], job: Job) -> ResultT:
    """Run a stage, and add a warning for each kernel it uses that may be inaccurate."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InaccurateKernelWarning)
        result = kind.run(job)
    said = []
    for each in caught:
        if issubclass(each.category, InaccurateKernelWarning):
            said.append(str(each.message))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return result.warned(*said, *_inherited(job))


def _inherited(job: Job) -> Iterator[str]:
    """Repeat the warnings about kernels of earlier stages that this stage uses."""
    for key in job.stage.references():
        name = getattr(job.stage, key)
        caution = job.results[name].caution if name else None
        if caution:
            yield f"of the stage {name}: {caution}"


def resolve_model(stage: language.Stage, plan: Plan, results: Mapping[str, Result]) -> Model:
    """Return the network that a stage acts on: the document's, or the answer of an
    earlier stage.
    """
    if stage.answer is None:
        return stage.acts_on(plan.model)
    name, part = stage.answer
    return stage.acts_on(plan.bound(results[name].models()[part]))


def examples_key(plan: Plan) -> str:
    """Return the key of the document that says how many training examples there are."""
    assert plan.document.data is not None
    return f"data.{plan.document.data.count_key}"


def with_data(found: Forecast, plan: Plan) -> Forecast:
    """Add to a forecast the data that the stage reads, and, unless it streams them, the copy it
    computes with.
    """
    assert plan.document.data is not None
    assert plan.data is not None
    document, size = plan.document.data, plan.data
    loading, held, work, instead = data.cost_of(document, size, held=not found.streams)
    if not found.streams:
        held += plan.itemsize * (size.train + size.test) * size.inputs
    if max(loading - held, held) > found.memory:
        found = found._replace(key=examples_key(plan), instead=instead)
    return found._replace(
        memory=max(loading, held + found.memory),
        work=found.work.plus(work),
        most=found.most and found.most.plus(work),
    )


@contextmanager
def precision(plan: Plan) -> Iterator[None]:
    """Set JAX to the document's precision and ceflow's settings, within the block."""
    import jax

    with pinned(), jax.enable_x64(plan.document.precision == "float64"):
        yield
