"""The runs of a sweep, one after another, and what they show together."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any

from ceflow.compiler import Plan, compile
from ceflow.events import Event, Observer
from ceflow.runs.collecting import collect
from ceflow.runs.directories import choose_directory
from ceflow.runs.failures import Failure, sentence, without_arrays
from ceflow.runs.loop import Loop, begin
from ceflow.spec import Document, dumps, variants
from ceflow.stages import Values
from ceflow.store import RunDirectory

SHARE = 0.05
"""Of the time that may go into writing the results of all runs while the sweep is under way."""


def perform(
    plan: Plan, out: str | Path | None, observe: Observer, *, fail_fast: bool
) -> "Loop | Sweep":
    """One run, or the many of a sweep, in the directory that is theirs."""
    document = plan.document
    resolved = dumps(plan.resolved(), defaults=True)
    directory = choose_directory(out, document.name, resolved)
    if not directory.exists:
        begin(directory, plan, resolved)
    work = Sweep if document.sweep else Loop
    done = work(plan, directory, observe, fail_fast=fail_fast)
    done.run()
    return done


class Sweep:
    """A begun sweep: does the runs that are not done yet, and goes on where one fails.

    With `fail_fast` the first failure is the last: the runs after it are left undone.
    """

    def __init__(
        self, plan: Plan, directory: RunDirectory, observe: Observer, *, fail_fast: bool = False
    ):
        self.plan = plan
        self.directory = directory
        self.observe = observe
        self.fail_fast = fail_fast
        self.results: dict[str, dict[str, Values]] = {}
        self.collected: dict[str, Values] = {}
        self.failures: list[Failure] = []
        self.cause: Exception | None = None
        """The first failure as it was raised."""
        self.state: dict[str, Any] = directory.read_json("run.json")
        self.documents = variants(plan.document)
        self._took: list[float] = []
        self._writing = 0.0
        self._written = time.perf_counter()

    def run(self) -> None:
        """Afterwards `results` are those of all runs, and `collected` what they show together."""
        self._mark("running")
        try:
            for name, document in self.documents.items():
                self._do(name, document)
                if self.fail_fast and self.failures:
                    break
                self._mark("running")
                self._write_now_and_then()
            self._collect()
        except BaseException:
            self._write()
            self._mark("interrupted")
            raise
        self._write()
        self._mark("failed" if self.failures else "done")

    def _do(self, name: str, document: Document) -> None:
        """One run; what it fails with is kept, an interrupt goes on."""
        started = time.perf_counter()
        try:
            plan, observe = compile(document), _named(self.observe, name)
            done = perform(plan, self.directory.path / name, observe, fail_fast=self.fail_fast)
        except Exception as error:
            self._fail("", error, name)
            return
        self.results[name] = done.results
        self.failures += [replace(failure, run=name) for failure in done.failures]
        self.cause = self.cause or done.cause
        if done.worked:
            self._took.append(time.perf_counter() - started)

    def _collect(self) -> None:
        for name, asked in self.plan.document.collect.items():
            try:
                self.collected[name] = collect(asked, self.plan, self.results, self.directory)
            except Exception as error:
                self._fail(f"collect.{name}", error)

    def _fail(self, stage: str, error: Exception, run: str = "") -> None:
        self.failures.append(Failure(stage, sentence(error), run))
        self.cause = self.cause or without_arrays(error)

    def _mark(self, state: str) -> None:
        """Keep the state, and how far the sweep is."""
        failed = {failure.run for failure in self.failures} - {""}
        done = len(self.results.keys() - failed)
        runs: Values = {"total": len(self.documents), "done": done}
        runs["failed"] = [{"run": f.run, "stage": f.stage, "error": f.why} for f in self.failures]
        left = len(self.documents) - done - len(failed)
        if state == "running" and self._took:
            ends = datetime.now(UTC) + timedelta(seconds=left * mean(self._took))
            runs["ends"] = ends.isoformat(timespec="seconds")
        self.state |= {"state": state, "runs": runs}
        self.directory.write_json("run.json", self.state)

    def _write_now_and_then(self) -> None:
        """Write all results so far, unless that would take much of the time."""
        if self._writing <= SHARE * (time.perf_counter() - self._written):
            self._write()

    def _write(self) -> None:
        started = time.perf_counter()
        found: Values = {"stages": {}, "runs": self.results}
        found |= {"collect": self.collected} if self.collected else {}
        self.directory.write_json("results.json", found)
        self._written = time.perf_counter()
        self._writing = self._written - started


def _named(observe: Observer, run: str) -> Observer:
    """An observer that hears the name of the run before that of the stage."""

    def observe_named(event: Event) -> None:
        observe(replace(event, stage=f"{run} {event.stage}"))

    return observe_named
