"""What a run will need of this machine: memory, disk and seconds, forecast stage by stage."""

from typing import NamedTuple

from ceflow import stages
from ceflow.compiler import Plan
from ceflow.runs import machine
from ceflow.runs.rates import Rates, rates
from ceflow.spec import Fault, Model, SpecError, Stage, placing
from ceflow.stages import Forecast

PLAIN = 80e6
"""Bytes of a process that has loaded NumPy but not JAX."""


class Needs(NamedTuple):
    """Bytes of memory while the stage runs, the process itself included; bytes of disk; seconds."""

    memory: float
    disk: float
    seconds: float


def forecast_needs(plan: Plan) -> dict[str, Needs]:
    """What each stage will need. The first on a machine measures its rates, for a few seconds."""
    known = rates() if plan.document.stages else Rates()
    needs, loaded = {}, False
    for name, stage in plan.document.stages.items():
        found = forecast(plan, stage)
        starts = found.work.compilations > 0 and not loaded
        loaded = loaded or starts
        base = known.base if loaded else PLAIN
        seconds = _seconds(found, plan, known) + (known.start if starts else 0)
        needs[name] = Needs(base + found.memory, found.disk, seconds)
    return needs


def require_memory(plan: Plan) -> None:
    """Raise `SpecError` for each stage that would need more memory than the machine has."""
    available = machine.memory()
    forecasts = {name: forecast(plan, stage) for name, stage in plan.document.stages.items()}
    faults = [
        _too_large(name, found, available)
        for name, found in forecasts.items()
        if found.memory + PLAIN > available
    ]
    if faults:
        with placing(plan.document.origin):
            raise SpecError(*faults)


def forecast(plan: Plan, stage: Stage) -> Forecast:
    """What one stage will do; the answers of a search are guessed at by an alpha like most."""
    return stages.kind_of(stage).forecast(stage, plan, _expected_model(plan, stage))


def _expected_model(plan: Plan, stage: Stage) -> Model:
    """The network that a stage will act on, as far as can be told before its search has run."""
    if stage.answer is None:
        return plan.model
    name, part = stage.answer
    search = plan.document.stages[name]
    expect = stages.kind_of(search).expect
    assert expect is not None, "the spec lets a stage refer only to one that offers models"
    return expect(search, plan, _expected_model(plan, search))[part]


def _seconds(found: Forecast, plan: Plan, known: Rates) -> float:
    flops = known.flops64 if plan.document.precision == "float64" else known.flops32
    work = found.work
    return (
        work.flops / flops
        + work.traffic / known.traffic
        + work.normals / known.normals
        + work.compilations * known.compilation
        + work.seconds
    )


def _too_large(name: str, found: Forecast, available: float) -> Fault:
    need, there = (f"{size / 1e9:,.1f} GB" for size in (found.memory, available))
    message = f"stage {name!r} would need {need} of memory; this machine has {there}"
    key = found.key if "." in found.key else f"stages.{name}.{found.key}"
    help = f"lower {key}" + (f", or {found.instead}" if found.instead else "")
    return Fault("CE401", message, ("stages", name), "key", help)
