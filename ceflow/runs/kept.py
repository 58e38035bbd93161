"""The networks that a stage of a run has trained, where their weights are, and what they saw."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.compiler import Modules, Plan, compile
from ceflow.data import Dataset, Examples
from ceflow.runs.record import known_results
from ceflow.runs.reopening import reopen
from ceflow.runs.results import Results
from ceflow.spec import Fault, SpecError, Train
from ceflow.stages import resolve_model
from ceflow.stages.stage import dataset_of
from ceflow.stages.train import TrainResult
from ceflow.store import RunDirectory

if TYPE_CHECKING:
    import equinox as eqx


@dataclass(frozen=True)
class Trained:
    """The plan of a trained network, and the file of its weights."""

    plan: Plan
    """The plan of the run, with this network as its model."""
    stage: str
    path: Path
    replicas: int
    """Number of networks that were trained together, stacked in the file if there are several."""
    notes: tuple[str, ...] = ()
    """What to know of the weights, one sentence each."""
    changed: tuple[str, ...] = ()
    """Of each of the user's modules that is no longer what was trained, a sentence."""

    @property
    def counted(self) -> str:
        """How many networks there are, in words."""
        return f"there are {self.replicas}, from 0" if self.replicas > 1 else "there is one, 0"


def trained(
    path: str | Path, stage: str | None = None, *, modules: Modules | None = None
) -> Trained:
    """Find what a `train` stage of a run has trained; by default its only one.

    Raises `SpecError` if there is no such run or stage, or no weights were kept.
    """
    directory = RunDirectory(path)
    plan = reopen(directory)
    if plan.document.sweep is not None:
        run = directory.path / next(iter(plan.variants), "RUN")
        raise _refusal(f"{path} is a sweep of several runs", f"name one of them, as {run}")
    changed: tuple[str, ...] = ()
    if plan.document.model.module_name is not None:
        then, plan = plan.modules_used(), compile(plan.document, plan.data, modules=modules)
        changed = tuple(_changed(then, plan.modules_used()))
    known, lost = known_results(directory, plan.document.stages)
    results = Results(directory, plan.document, known["stages"])
    name = _chosen(directory.path, plan, stage)
    if name not in results:
        why = f": {lost[name]}" if name in lost else ""
        help = f"run {directory.path / 'spec.toml'} again with --out {path}"
        raise _refusal(f"the stage {name!r} is not done{why}", help)
    found = results[name]
    assert isinstance(found, TrainResult), "chosen"
    if found.weights is None:
        message = f"the stage {name!r} has trained functions of an infinitely wide network"
        raise _refusal(message, "it has no weights: give the network finite widths")
    if found.engine == "linearised":
        message = (
            f"the stage {name!r} has trained the linearised network, which these weights alone"
        )
        raise _refusal(f"{message} do not give", 'train it with engine = "parameters"')
    model = resolve_model(plan.document.stages[name], plan, results)
    network = replace(plan, model=model, root=plan.expand(model))
    file = directory.path / found.weights
    notes = tuple(_notes(plan, name, found, directory))
    return Trained(network, name, file, found.replicas or 1, notes, changed)


def network(
    path: str | Path,
    stage: str | None,
    replica: int | None,
    *,
    modules: Modules | None,
) -> "eqx.Module":
    """Read a network that a `train` stage of a run has trained, or with `replica=None` all of them.

    Raises `SpecError` as `trained` does, and `ValueError` if there is no such replica. A module
    that is no longer what was trained gives a `UserWarning`.
    """
    found = trained(path, stage, modules=modules)
    for sentence in found.changed:
        warnings.warn(sentence, stacklevel=3)
    if replica is not None and not 0 <= replica < found.replicas:
        raise ValueError(f"the stage {found.stage!r} has no replica {replica}; {found.counted}")
    from ceflow.exports import Weights
    from ceflow.exports.weights import read_module  # loads JAX

    return read_module(found.plan, Weights(found.path, found.replicas, replica))


def examples(path: str | Path) -> Dataset:
    """Load the examples of a run as its stages saw them: prepared, in the precision of its
    document. Raises `SpecError` or `ValueError` if there are none, or others.
    """
    plan = reopen(RunDirectory(path))
    if plan.document.data is None:
        raise ValueError(f"the document of {path} has no data")
    found, size = dataset_of(plan), plan.data
    if size is None or (len(found.train.x), len(found.test.x)) != (size.train, size.test):
        raise ValueError(f"the data of {path} have changed since the run")
    dtype = plan.document.precision
    train, test = (
        Examples(part.x.astype(dtype), part.y.astype(dtype)) for part in (found.train, found.test)
    )
    return replace(found, train=train, test=test)


def _changed(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> Iterator[str]:
    """Say of each module that its program is another than in the run."""
    programs = {each["name"]: each["program"] for each in then}
    for each in now:
        if each["program"] != programs.get(each["name"]):
            yield (
                f"the module {each['name']!r} computes something else than when it was trained, or"
                " JAX is another version, or it calls Python: these weights may not be for it"
            )


def _notes(plan: Plan, name: str, found: TrainResult, directory: RunDirectory) -> list[str]:
    stage = Train.expect(plan.document.stages[name])
    notes = [f"the weights are those of the stage {name!r} after {found.steps:,} steps"]
    if found.ended == "unstable":
        notes[0] += ", the last moment before the loss diverged"
    if stage.average is not None:
        notes[0] += ", averaged over steps"
    if stage.compute is not None:
        notes.append(f"they were trained with {stage.compute} arithmetic, which the export has not")
    if plan.document.data and (steps := plan.document.data.preparation):
        given = ", ".join(f"{key} = {json.dumps(value)}" for key, value in steps.items())
        notes.append(
            f"the network takes inputs prepared as those of the run, which it does not do"
            f" itself: {given}"
        )
    if found.inputs is not None:
        notes.append(
            f"how stored numbers become its inputs, and the names of its classes:"
            f" {directory.path / found.inputs}"
        )
    return notes


def _chosen(path: Path, plan: Plan, stage: str | None) -> str:
    """Return the name of the stage. Raises `SpecError` unless it is a train stage."""
    stages = plan.document.stages
    trains = [name for name, each in stages.items() if each.trains]
    listed = ", ".join(trains)
    if not trains:
        help = f"export one of its specs, as {path / 'spec.toml'}, or add a stage of type train"
        raise _refusal("no stage of the run trains a network", help)
    if stage is None and len(trains) > 1:
        message = f"{len(trains)} stages of the run train networks: {listed}"
        raise _refusal(message, f"name one by --stage {trains[0]}")
    if stage is not None and stage not in stages:
        message = f"the run has no stage {stage!r}"
        raise _refusal(message, f"its stages that train networks: {listed}")
    if stage is not None and stage not in trains:
        message = f"the stage {stage!r} is of type {stages[stage].type}, and trains no network"
        raise _refusal(message, f"those that do: {listed}")
    return stage or trains[0]


def _refusal(message: str, help: str) -> SpecError:
    return SpecError(Fault("CE203", message, help=help))
