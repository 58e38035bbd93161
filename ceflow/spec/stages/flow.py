"""The `flow` stage."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from ceflow.spec.base import Count, Duration, Natural, Positive
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.stages.descent import OF_OUTPUTS, Descent
from ceflow.spec.stages.kernel import Kernel
from ceflow.spec.stages.stage import References, no_limit_fault, one_network_fault, width_faults

if TYPE_CHECKING:
    from ceflow.spec.document import Document

Engine = Literal["parameters", "linearised", "kernel", "closed-form", "features"]
Recorded = Literal["drift", "kernel", "alignment", "spectrum", "derivatives", "predictions"]

Pair = Annotated[Sequence[Natural], AfterValidator(tuple), Field(min_length=2, max_length=2)]
Pairs = Annotated[Sequence[Pair], AfterValidator(tuple), Field(min_length=1)]
Times = Annotated[
    Sequence[Annotated[float, Field(ge=0, allow_inf_nan=False)]],
    AfterValidator(tuple),
    Field(min_length=1),
]

OF_WHOLE_NTK = ("kernel", "alignment", "spectrum")
"""Recorded quantities that some entries of the NTK are not enough for."""

WEIGHT_ENGINES = ("parameters", "linearised")
"""Engines whose state is the weights."""

KERNEL_ENGINES = ("kernel", "closed-form")
"""Engines that use one fixed kernel."""


class Flow(Descent):
    """Gradient flow in continuous time, of parameters or of functions (CE eq. 21)."""

    type: Literal["flow"] = "flow"
    """Gradient flow in continuous time."""
    engine: Engine | None = None
    """What flows, and how it is computed. `parameters`: the network's weights; `linearised`: the
    weights of the network linearised around its initial weights; `kernel`: the function under a
    fixed kernel; `closed-form`: the exact solution of the same, for mse; `features`: the functions
    of an infinitely wide network with a bottleneck (BN theorem 3.2), or with several. Defaults:
    `parameters` for a finite network; `features` for finite bottlenecks between infinitely wide
    networks; for an infinite network, or if `kernel` is set, `closed-form` for mse without `stop`,
    otherwise `kernel`."""
    kernel: str | None = None
    """An earlier kernel stage whose matrix drives the engines `kernel` and `closed-form`. By
    default an infinite network uses its limit NTK, a finite network the NTK at its sampled
    weights. Under an NNGP, only the last layer is trained."""
    start: str | None = None
    """An earlier flow stage: start from the networks that it drew, and measure the `distance` from
    its outputs. By default new networks are drawn."""
    time: Duration
    """Duration mu t, in units of one over the learning rate; `inf` needs the engine
    `closed-form`."""
    points: Count = 50
    """Number of evenly spaced moments after the start at which quantities are recorded. With
    `time = inf` only the start and the end are recorded."""
    times: Times | None = None
    """Moments at which quantities are recorded, in increasing order, in place of evenly spaced
    ones. The start and the end are always recorded."""
    record: Annotated[Sequence[Recorded], AfterValidator(tuple)] = ()
    """Quantities to record, in addition to losses and accuracies. Of the NTK: its `drift` from the
    start, the `kernel` itself, its `alignment` with the targets, its largest and smallest
    eigenvalue (`spectrum`), its first three time `derivatives` at the start (CE eq. 42). Of any
    network: the outputs on all examples (`predictions`)."""
    entries: Pairs | None = None
    """NTK entries to record, as pairs of training examples counted from 0. By default all pairs of
    two different examples; the diagonal entry if there is one example only."""
    replicas: Count = 1
    """Number of independent networks to draw and follow; the recorded quantities are medians over
    them."""
    solver: Literal["auto", "tsit5", "dopri8", "kvaerno5", "rkc"] = "auto"
    """ODE solver. `tsit5`, `dopri8`: explicit, of order 5 and 8; `kvaerno5`: implicit, for stiff
    flows of few numbers; `rkc`: explicit and stabilised, for stiff flows of many numbers; `auto`:
    chosen by the stiffness of the flow."""
    rtol: Annotated[float, Field(ge=1e-14, lt=1)] | None = None
    """Relative tolerance of a step; by default 1e-6, or 1e-4 if `precision = "float32"`."""
    atol: Positive | None = None
    """Absolute tolerance of a step; by default a thousandth of `rtol`."""
    steps: Count = 100_000
    """Maximum number of attempted steps, rejected ones included."""

    clock: ClassVar = "time"
    columns: ClassVar = {
        "drift": ("drift", "drift_stderr", "drift_relative"),
        "alignment": ("alignment",),
        "spectrum": ("eigenvalue_max", "eigenvalue_min"),
    }

    def engine_of(self, model: Model) -> Engine:
        """Return the engine for this model: the one set, or the default."""
        if self.engine is not None:
            return self.engine
        if model.is_finite and self.kernel is None:
            return "parameters"
        if model.is_wide_bottleneck and self.kernel is None:
            return "features"
        return "closed-form" if self.is_quadratic and self.stop is None else "kernel"

    def moments(self) -> list[float]:
        """List the times at which quantities are recorded, start and end included."""
        if self.times is not None:
            return sorted({0.0, *self.times, self.time})
        if self.time == math.inf:
            return [0.0, math.inf]
        return [*(self.time * i / self.points for i in range(self.points)), self.time]

    @property
    def moment_count(self) -> int:
        """Number of recorded moments."""
        few = self.times is not None or self.time == math.inf
        return len(self.moments()) if few else self.points + 1

    @property
    def follows_ntk(self) -> bool:
        """True if quantities of a changing NTK are recorded."""
        return self.entries is not None or bool(set(self.record) - set(OF_OUTPUTS))

    def references(self) -> References:
        return {"kernel": Kernel, "start": Flow}

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        engine = self.engine_of(model)
        yield from self.loss_faults(document)
        yield from self.points_faults("times")
        yield from width_faults(model, self.width)
        yield from self._sample_faults(model)
        yield from self._engine_faults(engine, model)
        yield from self._kernel_faults(engine, model, document)
        yield from self._time_faults(engine)
        yield from self._record_faults(engine, model)
        yield from self._entry_faults(document)
        yield from self._start_faults(model, document)

    def _engine_faults(self, engine: Engine, model: Model) -> Iterator[Fault]:
        if not model.is_finite and engine in WEIGHT_ENGINES:
            message = "a network with an infinite layer has no weights to follow"
            known = '"features"' if model.is_wide_bottleneck else '"closed-form" or "kernel"'
            help = f"use engine = {known}, or finite widths"
            yield Fault("CE203", message, ("engine",), help=help)
        if engine == "features" and not model.is_wide_bottleneck:
            message = (
                "the engine 'features' is for infinitely wide halves about a finite bottleneck"
            )
            yield Fault("CE203", message, ("engine",), help="leave engine out")
        if model.has_weights and self.replicas > 1:
            yield one_network_fault("replicas")
        if model.has_batch_norm:
            message = "a network with batch normalisation has no gradient flow here"
            yield Fault("CE203", message, part="key", help="use a train stage")
        if engine == "closed-form" and not self.is_quadratic:
            message = "only the mse has a flow in closed form"
            yield Fault("CE203", message, ("engine",), help='use engine = "kernel"')
        for key in ("solver", "rtol", "atol", "steps"):
            if engine == "closed-form" and self.changes(key):
                message = f"a closed form takes no steps, so it has no {key}"
                help = f'leave {key} out, or use engine = "kernel"'
                yield Fault("CE202", message, (key,), "key", help)
        if not model.is_finite and engine != "features" and self.replicas > 1:
            message = "the limit of infinite width draws no networks"
            yield Fault("CE202", message, ("replicas",), "key", "leave replicas out")

    def _sample_faults(self, model: Model) -> Iterator[Fault]:
        if model.bottlenecks:  # of any widths: a sweep may go over them
            return
        for key in ("width", "sampling"):
            if self.changes(key):
                message = f"{key} is for infinitely wide networks with a bottleneck only"
                yield Fault("CE202", message, (key,), "key", "leave it out")

    def _kernel_faults(self, engine: Engine, model: Model, document: "Document") -> Iterator[Fault]:
        kernel = document.stages.get(self.kernel or "")
        if self.kernel and engine not in KERNEL_ENGINES:
            message = f"the engine {engine!r} computes its own kernel"
            yield Fault("CE202", message, ("kernel",), "key", 'use engine = "kernel"')
        if kernel and (reason := Kernel.expect(kernel).why_no_flow):
            why, help = reason
            yield Fault("CE202", f"{self.kernel!r} {why}", ("kernel",), help=help)
        no_limit = None if model.is_finite or model.is_mixed else model.why_no_limit
        if no_limit and not self.kernel and engine in KERNEL_ENGINES:
            yield no_limit_fault(no_limit, ("engine",) if self.engine else ())
        if model.is_mixed and not self.kernel and engine in KERNEL_ENGINES:
            message = "a finite layer among infinite ones has no deterministic kernel"
            help = "make all widths inf, or all finite"
            help = 'use engine = "features"' if model.is_wide_bottleneck else help
            yield Fault("CE203", message, ("engine",) if self.engine else (), "key", help)

    def _time_faults(self, engine: Engine) -> Iterator[Fault]:
        if self.time == math.inf and engine != "closed-form":
            message = "only the closed form reaches infinite time"
            yield Fault("CE203", message, ("time",), help="give a finite time")
        if self.times and list(self.times) != sorted(set(self.times)):
            yield Fault("CE104", "times must increase", ("times",), help="sort them")
        elif self.times and self.times[-1] > self.time:
            message = f"times go beyond time = {self.time:g}"
            yield Fault("CE202", message, ("times",), help="raise time, or leave those out")
        if self.stop and engine == "closed-form":
            message = "a closed form takes no steps, so it cannot stop early"
            yield Fault("CE202", message, ("stop",), "key", 'use engine = "kernel"')
        if self.stop and self.replicas > 1:
            message = "replicas end together, so they cannot stop at a loss"
            yield Fault("CE202", message, ("stop",), "key", "leave stop or replicas out")

    def _record_faults(self, engine: Engine, model: Model) -> Iterator[Fault]:
        if engine == "features" and "derivatives" in self.record:
            message = "under the engine 'features' the NTK has no derivatives by weights"
            yield Fault("CE202", message, ("record",), help='leave "derivatives" out')
        if engine in ("parameters", "features"):
            return
        moving = [f'"{word}"' for word in self.record if word not in OF_OUTPUTS]
        for key, names in (("record", moving), ("entries", ["entries"] if self.entries else [])):
            if names:
                message = (
                    f"{key} records a changing NTK, and under the engine {engine!r} it is fixed"
                )
                left_out = f"leave {' and '.join(names)} out"
                help = 'use engine = "parameters"' if model.is_finite else left_out
                yield Fault("CE202", message, (key,), "key", help)

    def _entry_faults(self, document: "Document") -> Iterator[Fault]:
        whole = [name for name in OF_WHOLE_NTK if name in self.record]
        if self.entries and whole:
            message = f"{whole[0]} needs the whole NTK"
            yield Fault("CE202", message, ("entries",), "key", "leave entries out")
        source = document.data
        count = source and source.train_count
        last = max((max(pair) for pair in self.entries or ()), default=0)
        if source and count is not None and last >= count:
            message = f"there is no training example {last}: they are 0 to {count - 1}"
            more = f"data.{source.count_key} to {math.ceil((last + 1) / source.copies)} or more"
            help = f"name examples from 0 to {count - 1}, or set {more}"
            yield Fault("CE202", message, ("entries",), help=help)

    def _start_faults(self, model: Model, document: "Document") -> Iterator[Fault]:
        start = document.stages.get(self.start or "")
        if start is None:
            return
        first = Flow.expect(start)
        if not model.is_finite:
            message = "the limit of infinite width starts from no network"
            yield Fault("CE202", message, ("start",), "key", "leave start out")
        elif (first.model, first.replicas) != (self.model, self.replicas):
            message = f"{self.start!r} has another model, or other replicas"
            yield Fault("CE202", message, ("start",), help="make them the same")
