"""Checkpoints of a training: everything that is needed to go on, to the same bits.

The order of the examples and all other random numbers follow from the seed and the step. Loads JAX:
imported only when a stage runs.
"""

import io
import json
import time
from functools import cached_property

import equinox as eqx
import numpy as np

from ceflow._interrupts import Interrupts
from ceflow.compiler.modules import facts_of
from ceflow.events import CheckpointRead, CheckpointWritten, Notice
from ceflow.stages.train.networks import NetworkProblem
from ceflow.stages.train.records import Recorder, line_of
from ceflow.training import Reached, Replicas

SECONDS = 10.0
"""Fewest seconds between checkpoints."""

LARGEST_SHARE = 1 / 40
"""Largest fraction of the time that writing checkpoints takes."""


class Checkpoints:
    """Writes checkpoints of a stage at sensible intervals and before an interrupt, and reads the
    last one.
    """

    def __init__(self, problem: NetworkProblem, recorder: Recorder, interrupts: Interrupts):
        self._problem, self._recorder, self._interrupts = problem, recorder, interrupts
        self._sessions, self._earlier = 1, 0.0
        self._written = time.perf_counter()
        self._took = 0.0

    def save(self, reached: Reached) -> None:
        """Write a checkpoint, unless the last one is recent; then let an interrupt pass."""
        now = time.perf_counter()
        is_recent = now - self._written < max(SECONDS, self._took / LARGEST_SHARE)
        if is_recent and not self._interrupts.asked:
            return
        job = self._problem.job
        job.directory.write_checkpoint(job.name, self._content(reached))
        job.observe(CheckpointWritten(job.name, reached.step, self._problem.steps))
        self._written = time.perf_counter()
        self._took = self._written - now
        if self._interrupts.asked:
            self._interrupts.pass_on()

    def _content(self, reached: Reached) -> bytes:
        """Write a line that says what follows, then the arrays."""
        recorder, file = self._recorder, io.BytesIO()
        header = {
            "identity": self._identity,
            "step": reached.step,
            "moments": [line["step"] for line in reached.lines],
            "columns": [*recorder.numbers[0]],
            "seconds": self._earlier + time.perf_counter() - self._problem.job.started,
            "sessions": self._sessions,
            "begun": np.asarray(recorder.begun).tolist(),
        }
        file.write(json.dumps(header).encode() + b"\n")
        eqx.tree_serialise_leaves(file, (reached.replicas, reached.kept))
        for column in header["columns"]:
            np.save(file, np.stack([numbers[column] for numbers in recorder.numbers]))
        for outputs in recorder.every or [recorder.outputs]:
            if outputs is not None:
                np.save(file, outputs)
        return file.getvalue()

    def resume(self, start: Replicas) -> Reached | None:
        """Read the last checkpoint, and give its records to the recorder; None if there is none.

        `start` are the replicas before the first step, whose shapes the replicas have.
        """
        job = self._problem.job
        content = job.directory.read_checkpoint(job.name)
        if content is None:
            return None
        file = io.BytesIO(content)
        header = json.loads(file.readline())
        if header["identity"] != self._identity:
            text = "its checkpoint is of other data or of another training: it starts again"
            job.observe(Notice(job.name, text))
            return None
        replicas, kept = eqx.tree_deserialise_leaves(file, (start, start.kept))
        columns = {column: np.load(file) for column in header["columns"]}
        recorder, moments = self._recorder, header["moments"]
        numbers = [
            {column: each[index] for column, each in columns.items()}
            for index in range(len(moments))
        ]
        recorder.resume(start, numbers)
        recorder.begun = np.asarray(header["begun"])
        if self._problem.keeps_outputs:
            outputs = [np.load(file) for _ in (moments if recorder.keeps_all else [0])]
            recorder.every, recorder.outputs = outputs if recorder.keeps_all else [], outputs[-1]
        self._earlier, self._sessions = header["seconds"], header["sessions"] + 1
        told = header["step"], self._problem.steps, header["seconds"], header["sessions"]
        job.observe(CheckpointRead(job.name, *told))
        lines = zip(moments, map(line_of, recorder.numbers), strict=True)
        told = tuple({"step": step, **line} for step, line in lines)
        return Reached(header["step"], replicas, kept, told)

    @cached_property
    def _identity(self) -> str:
        """Text that differs between trainings of which one cannot go on where another was."""
        job = self._problem.job
        stage, model = (part.model_dump_json() for part in (job.stage, job.model))
        modules = facts_of([self._problem.root])
        given = [stage, model, modules, job.plan.document.seed, self._problem.examples.digest]
        return json.dumps(given, default=str)
