"""What a run will need of this machine: memory, disk and seconds, forecast stage by stage."""

from collections.abc import Iterator
from typing import NamedTuple

from ceflow import stages
from ceflow.compiler import Plan, compile
from ceflow.runs import machine
from ceflow.runs.rates import Rates, rates
from ceflow.spec import (
    Bottleneck,
    Ensemble,
    Fault,
    Model,
    Resnext,
    SpecError,
    Stage,
    placing,
    seen_from_sweep,
    variants,
)
from ceflow.stages import Forecast, Work

PLAIN = 80e6
"""Bytes of a process that has loaded NumPy but not JAX."""


WIDTHS: dict[type, str] = {
    Bottleneck: "model.encoder.widths",
    Ensemble: "model.member.widths",
    Resnext: "model.base_width",
}
"""Where a model says its widths, if not in `model.widths`."""


class Needs(NamedTuple):
    """Bytes of memory while the stage runs, the process itself included; bytes of disk; seconds of
    a machine that does nothing else. Whether they are those of an adaptive solver that may take
    many times as many steps as most, and seconds of as many as it may take."""

    memory: float
    disk: float
    seconds: float
    adaptive: bool = False
    longest: float = 0.0


def runs_of(plan: Plan) -> dict[str, Plan]:
    """Plan every run that a document asks for: of a sweep by name, else the one of ''.

    Raises `SpecError` with what is wrong with any of them, where the swept value stands.
    """
    if plan.document.sweep is None:
        return {"": plan}
    plans: dict[str, Plan] = {}
    faults: dict[str, tuple[Fault, ...]] = {}
    for name, variant in variants(plan.document).items():
        try:
            plans[name], faults[name] = compile(variant), ()
        except SpecError as error:
            faults[name] = error.faults
    if any(faults.values()):
        with placing(plan.document.origin):
            raise SpecError(*seen_from_sweep(plan.document, faults))
    return plans


def forecast_needs(plan: Plan) -> dict[str, Needs]:
    """Forecast what each stage will need; in a sweep the most over its runs.

    The first forecast on a machine measures its rates, for a few seconds.
    """
    known = rates() if plan.document.stages else Rates()
    found = [_forecast_needs(each, known) for each in runs_of(plan).values()]
    return {
        name: Needs(*map(max, zip(*(needs[name] for needs in found), strict=True)))
        for name in plan.document.stages
    }


def _forecast_needs(plan: Plan, known: Rates) -> dict[str, Needs]:
    needs, loaded = {}, False
    for name, stage in plan.document.stages.items():
        found = forecast(plan, stage)
        starts = found.work.compilations > 0 and not loaded
        loaded = loaded or starts
        base = known.base if loaded else PLAIN
        works = found.work, found.most or found.work
        usual, most = (_seconds(work, plan, known) + known.start * starts for work in works)
        needs[name] = Needs(base + found.memory, found.disk, usual, found.most is not None, most)
    return needs


def require_memory(plan: Plan) -> None:
    """Raise `SpecError` for what stages cannot do, and for more memory than the machine has.

    Of a sweep for the first of its runs that would need more, and for what cannot be done where
    that is so of all its runs: else the others are done.
    """
    runs = runs_of(plan)
    impossible = {run: list(_stage_faults(each)) for run, each in runs.items()}
    needy = (_memory_faults(each, run and f" of the run {run!r}") for run, each in runs.items())
    found = map(list, needy)
    if all(impossible.values()):
        swept, found = plan.document.sweep, impossible.values()
        found = [seen_from_sweep(plan.document, impossible)] if swept else found
    with placing(plan.document.origin):
        for faults in found:
            if faults:
                raise SpecError(*faults)


def _stage_faults(plan: Plan) -> Iterator[Fault]:
    """Find what is wrong with stages that only counts and files tell."""
    for name, stage in plan.document.stages.items():
        for fault in stages.kind_of(stage).faults(name, stage, plan, _expected_model(plan, stage)):
            yield fault.below("stages", name)


def _memory_faults(plan: Plan, run: str) -> Iterator[Fault]:
    available = machine.memory()
    for name, stage in plan.document.stages.items():
        found = forecast(plan, stage)
        needed = found.memory + PLAIN
        if needed > available:
            need, there = (f"{size / 1e9:,.1f} GB" for size in (needed, available))
            message = f"stage {name!r}{run} would need {need} of memory; this machine has {there}"
            help = f"lower {_full(found.key, name, plan)}"
            help += f", or {found.instead}" if found.instead else ""
            yield Fault("CE401", message, ("stages", name), "key", help)


def _full(key: str, stage: str, plan: Plan) -> str:
    """Write the path of a key that a forecast names: of the stage, of [data], or of the model."""
    if key == "model.widths":
        return WIDTHS.get(type(plan.model), key)
    return key if "." in key else f"stages.{stage}.{key}"


def forecast(plan: Plan, stage: Stage) -> Forecast:
    """Forecast one stage; the answers of a search are guessed at by an alpha like most."""
    model = _expected_model(plan, stage)
    found = stages.kind_of(stage).cost(stage, plan, model)
    reads = plan.document.data is not None and stages.reads_data(stage, model)
    return stages.with_data(found, plan) if reads else found


def _expected_model(plan: Plan, stage: Stage) -> Model:
    """Guess the network that a stage will act on, before its search has run."""
    if stage.answer is None:
        return plan.model
    name, part = stage.answer
    search = plan.document.stages[name]
    return stages.kind_of(search).offers(search, plan, _expected_model(plan, search))[part]


def _seconds(work: Work, plan: Plan, known: Rates) -> float:
    flops = known.flops64 if plan.document.precision == "float64" else known.flops32
    return (
        work.flops / flops
        + work.traffic / known.traffic
        + work.normals / known.normals
        + work.compilations * known.compilation
        + work.seconds
    )
