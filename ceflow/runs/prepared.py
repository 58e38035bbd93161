"""What is known of a run before it starts: its plan, and the needs of each stage."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ceflow import stages
from ceflow.compiler import Plan
from ceflow.costs import Work
from ceflow.runs import machine
from ceflow.runs.collectable import collect_faults
from ceflow.runs.rates import MachineRates, rates
from ceflow.spec import (
    Fault,
    Model,
    SpecError,
    Stage,
    placing,
    seen_from_sweep,
)
from ceflow.spec.models.layers import below
from ceflow.stages import Forecast

PLAIN_PROCESS_BYTES = 80e6
"""Bytes of a process that has loaded NumPy but not JAX."""


class Needs(NamedTuple):
    """The needs of a stage: bytes of memory, the process itself included; bytes of disk; seconds
    on an otherwise idle machine; whether an adaptive solver may need many times the typical number
    of steps; seconds for the largest number of steps; and remarks on how it will be run.
    """

    memory: float
    disk: float
    seconds: float
    adaptive: bool = False
    longest: float = 0.0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A document ready to run: its plan, and the forecast for each stage of each run.

    It has been checked: its stages can run, and fit in the memory of this machine.
    """

    plan: Plan
    forecasts: Mapping[str, Mapping[str, Forecast]]
    """Forecasts by run name ('' without a sweep), then by stage name."""

    def needs(self) -> dict[str, Needs]:
        """Return what each stage will need; in a sweep the maximum over its runs.

        The first call on a machine measures its rates, for a few seconds.
        """
        found = self._of_runs()
        return {
            name: Needs(*map(max, zip(*(needs[name] for needs in found), strict=True)))
            for name in self.plan.document.stages
        }

    def total(self) -> Needs:
        """Return what all stages of all runs will need together: the most memory of any of them,
        and the sums of disk and seconds. JAX is loaded once. Runs of a sweep with the same model
        and sizes have the same programs, which are compiled once.
        """
        every = [needs for run in self._of_runs() for needs in run.values()]
        if not every:
            return Needs(PLAIN_PROCESS_BYTES, 0.0, 0.0)
        memory, disk, seconds, adaptive, longest, _ = zip(*every, strict=True)
        again = max(0, sum(map(_loads_jax, self.forecasts.values())) - 1) * self._rates.start
        again += self._compiled_again() * self._rates.compilation
        return Needs(
            max(memory), sum(disk), sum(seconds) - again, any(adaptive), sum(longest) - again
        )

    @cached_property
    def _rates(self) -> MachineRates:
        return rates() if self.plan.document.stages else MachineRates()

    def _compiled_again(self) -> float:
        """Count the compilation of programs that an earlier run of a sweep has compiled."""
        again, known = 0.0, set()
        for run, forecasts in self.forecasts.items():
            model = repr(self.plan.runs[run].document.model)
            for stage, found in forecasts.items():
                program = (stage, model, found.memory, found.work)
                again += found.work.compilations if program in known else 0.0
                known.add(program)
        return again

    def _of_runs(self) -> list[dict[str, Needs]]:
        """List what the stages of each run will need."""
        runs = self.forecasts.items()
        return [_needs(self.plan.runs[run], each, self._rates) for run, each in runs]


def _loads_jax(forecasts: Mapping[str, Forecast]) -> bool:
    return any(each.work.compilations > 0 for each in forecasts.values())


def _needs(plan: Plan, forecasts: Mapping[str, Forecast], known: MachineRates) -> dict[str, Needs]:
    needs, loaded = {}, False
    for name, found in forecasts.items():
        starts = found.work.compilations > 0 and not loaded
        loaded = loaded or starts
        base = known.base if loaded else PLAIN_PROCESS_BYTES
        works = found.work, found.most or found.work
        usual, most = (_seconds(work, plan, known) + known.start * starts for work in works)
        needs[name] = Needs(
            base + found.memory, found.disk, usual, found.most is not None, most, found.remarks
        )
    return needs


def prepare(plan: Plan) -> Prepared:
    """Check that the stages can run, and forecast what they need.

    Raises `SpecError` for stages that cannot run or that need more memory than the machine has. In
    a sweep, too little memory is reported for every run that lacks it, at the swept values that
    cause it. Stages that cannot run are reported only if every run of the sweep has one; otherwise
    the other runs are done.
    """
    with placing(plan.document.origin):
        if faults := list(collect_faults(plan)):
            raise SpecError(*faults)
    models = {run: expected_models(each) for run, each in plan.runs.items()}
    impossible = {run: list(_stage_faults(plan.runs[run], models[run])) for run in models}
    if all(impossible.values()):
        _refuse(plan, impossible)
    forecasts = {run: _forecasts(plan.runs[run], models[run]) for run in models}
    _refuse(plan, {run: list(_memory_faults(plan.runs[run], forecasts[run])) for run in models})
    return Prepared(plan, forecasts)


def _refuse(plan: Plan, found: Mapping[str, list[Fault]]) -> None:
    """Raise `SpecError` if there are faults; those of a sweep are placed at its swept values."""
    if any(found.values()):
        with placing(plan.document.origin):
            swept = plan.document.sweep is not None
            raise SpecError(*(seen_from_sweep(plan.document, found) if swept else found[""]))


def expected_models(plan: Plan) -> dict[str, Model]:
    """Guess the network that each stage will act on, before the searches have run: their answers
    are forecast with a typical alpha.
    """
    models: dict[str, Model] = {}
    offers: dict[str, Mapping[str, Model]] = {}
    for name, stage in plan.document.stages.items():
        if stage.answer is None:
            models[name] = stage.acts_on(plan.model)
            continue
        search, part = stage.answer
        if search not in offers:
            spec = plan.document.stages[search]
            offers[search] = stages.kind_of(spec).offers(spec, plan, models[search])
        models[name] = stage.acts_on(offers[search][part])
    return models


def _stage_faults(plan: Plan, models: Mapping[str, Model]) -> Iterator[Fault]:
    """Find faults of stages that only show in sizes and files."""
    for name, stage in plan.document.stages.items():
        try:
            found = list(stages.kind_of(stage).faults(name, stage, plan, models[name]))
        except SpecError as error:  # a network that the stage would try does not fit
            found = error.faults
        for fault in found:
            yield fault.below("stages", name)


def _forecasts(plan: Plan, models: Mapping[str, Model]) -> dict[str, Forecast]:
    """Forecast each stage. Raises `SpecError`, at its stage, for a network that a stage would try
    and that does not fit.
    """
    found = {}
    for name, stage in plan.document.stages.items():
        with placing(plan.document.origin), below("stages", name):
            found[name] = forecast(plan, stage, models[name])
    return found


def forecast(plan: Plan, stage: Stage, model: Model) -> Forecast:
    """Forecast what one stage needs for a network, reading its data included."""
    found = stages.kind_of(stage).cost(stage, plan, model)
    reads = plan.document.data is not None and stage.reads_data(model)
    return stages.with_data(found, plan) if reads else found


def _memory_faults(plan: Plan, forecasts: Mapping[str, Forecast]) -> Iterator[Fault]:
    available = machine.memory()
    for name, found in forecasts.items():
        needed = found.memory + PLAIN_PROCESS_BYTES
        if needed > available:
            need, there = (f"{size / 1e9:,.1f} GB" for size in (needed, available))
            message = f"stage {name!r} would need {need} of memory; this machine has {there}"
            help = f"lower {_full(found.key, name, plan)}"
            help += f", or {found.instead}" if found.instead else ""
            yield Fault("CE401", message, ("stages", name), "key", help)


def _full(key: str, stage: str, plan: Plan) -> str:
    """Write the full path of a key that a forecast names: of the stage, of [data], or of
    the model.
    """
    if key == "model.widths":
        return f"model.{plan.model.widths_key}"
    return key if "." in key else f"stages.{stage}.{key}"


def _seconds(work: Work, plan: Plan, known: MachineRates) -> float:
    flops = known.flops64 if plan.document.precision == "float64" else known.flops32
    return (
        work.flops / flops
        + work.traffic / known.traffic
        + work.normals / known.normals
        + work.compilations * known.compilation
        + work.seconds
    )
