"""The interface of a stage: what it is given, and what it gives back."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from ceflow import data
from ceflow import spec as language
from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan
from ceflow.costs import Work
from ceflow.events import InaccurateKernelWarning, Observer, Progress
from ceflow.seeding import Seed, pinned
from ceflow.spec import Fault, Model
from ceflow.stages.result import Result, Values  # noqa: F401 (stages without typed results)
from ceflow.store import RunDirectory

if TYPE_CHECKING:
    import numpy as np

SpecT = TypeVar("SpecT", bound=language.Stage)
ResultT = TypeVar("ResultT", bound=Result)


def finite(number: Any) -> float | None:
    """Give a number as JSON has it, where it has it."""
    number = float(number)
    return number if math.isfinite(number) else None


def written(number: Any) -> float | Literal["inf"] | None:
    """Give in the same way one that may well be infinite, which is written as the language does.

    >>> written(0.5), written(math.inf), written(math.nan)
    (0.5, 'inf', None)
    """
    return "inf" if number == math.inf else finite(number)


@dataclass(frozen=True)
class Job:
    """One stage to do: its spec, the network it acts on, earlier results, and where arrays go."""

    name: str
    stage: Any
    plan: Plan
    model: Model
    results: Mapping[str, Result]
    directory: RunDirectory
    observe: Observer

    @property
    def seed(self) -> Seed:
        """The stage's own random stream."""
        return Seed(self.plan.document.seed).fold("stages").fold(self.name)

    def dataset(self) -> data.Dataset:
        """Load the document's data, inputs in the shape in which the network takes them.

        Raises `ValueError` where the document's precision has not the numbers.
        """
        document = self.plan.document
        assert document.data is not None, "the spec of a stage that needs data asks for it"
        rows = data.load(document.data, self.plan.folder, Seed(document.seed).fold("data"))
        for part in (rows.train, rows.test):
            _require_room(document.precision, inputs=part.x, targets=part.y)
        shaped = (data.Examples(self.plan.examples(p.x), p.y) for p in (rows.train, rows.test))
        return data.Dataset(*shaped)

    def progress(self, done: float, total: float, unit: str = "") -> None:
        self.observe(Progress(self.name, done, total, unit))


def _require_room(precision: str, **arrays: "np.ndarray") -> None:
    import numpy as np

    for what, array in arrays.items():
        largest = float(np.abs(array).max(initial=0))
        if largest > float(np.finfo(precision).max):
            raise ValueError(
                f"the {what} reach {largest:.2g}, past the numbers of {precision}: lower"
                ' data.scale, or set precision = "float64"'
            )


class Forecast(NamedTuple):
    """The memory, disk and work that a stage will need.

    Memory and disk are bytes for its arrays; `key` is to be changed to need less memory, and
    `instead` says what else could be done. `most` is the most work there may be where it is not
    known how many steps an adaptive solver takes."""

    memory: float = 0.0
    disk: float = 0.0
    key: str = ""
    work: Work = Work()
    instead: str = ""
    most: Work | None = None


class Stage(ABC, Generic[SpecT, ResultT]):
    """The meaning of one kind of stage: what it costs, how it is done, what it has to show."""

    result: type[ResultT]
    """What it finds, as data."""

    @abstractmethod
    def cost(self, spec: SpecT, plan: Plan, model: Model) -> Forecast:
        """Forecast what it will need, in plain Python."""

    @abstractmethod
    def run(self, job: Job) -> ResultT:
        """Do it. Raises `ValueError` with a sentence where it cannot be done."""

    @abstractmethod
    def describe(self, result: ResultT) -> list[ReportBlock]:
        """Say what there is to show of what it found."""

    def offers(self, spec: SpecT, plan: Plan, model: Model) -> dict[str, Model]:
        """Tell the models that later stages can act on, as far as they are known before."""
        return {}

    def faults(self, name: str, spec: SpecT, plan: Plan, model: Model) -> Iterator[Fault]:
        """Find what is wrong with a stage of this name that only counts and files tell."""
        yield from ()

    def doubts(self, number: str, model: Model) -> Iterator[str]:
        """Say what speaks against a power law of one of its numbers, over runs of such models."""
        yield from ()

    def overview(self, results: dict[str, ResultT]) -> list[ReportBlock]:
        """Say what all stages of this kind in a run show together, by name."""
        return []


def result_of(kind: Stage[Any, ResultT], job: Job) -> ResultT:
    """Do a stage, and add a warning for each kernel in it that may be far off."""
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
    """Repeat what is to be known of the kernels of earlier stages that this one stands on."""
    for key in ("reference", "kernel"):
        name = getattr(job.stage, key, None)
        caution = job.results[name].caution if name else None
        if caution:
            yield f"of the stage {name}: {caution}"


def resolve_model(stage: language.Stage, plan: Plan, results: Mapping[str, Result]) -> Model:
    """Tell the network that a stage acts on: the document's, or what an earlier stage offers."""
    if stage.answer is None:
        return plan.model
    name, part = stage.answer
    return results[name].models()[part]


def with_data(found: Forecast, plan: Plan) -> Forecast:
    """Add to the forecast of a stage the data that it reads, and once more as it computes."""
    assert plan.document.data is not None
    assert plan.data is not None
    loading, held = data.memory_of(plan.document.data, plan.data)
    held += plan.itemsize * (plan.data.train + plan.data.test) * plan.data.inputs
    if max(loading - held, held) > found.memory:
        found = found._replace(key=f"data.{plan.document.data.count_key}", instead="")
    return found._replace(memory=max(loading, held + found.memory))


@contextmanager
def precision(plan: Plan) -> Iterator[None]:
    """Set JAX to the document's precision and ceflow's settings, for the block only."""
    import jax

    with pinned(), jax.enable_x64(plan.document.precision == "float64"):
        yield
