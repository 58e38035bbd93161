"""Running the runs of a sweep one after another, and comparing them."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean

from ceflow.compiler import Plan
from ceflow.compiler.modules import programs_text
from ceflow.events import Event, Observer, StageStarted
from ceflow.runs.collected import read_collected
from ceflow.runs.directories import holds, taken
from ceflow.runs.failures import Interrupted
from ceflow.runs.loop import Loop, begin
from ceflow.runs.prepared import Needs
from ceflow.runs.record import digest, is_whole, known_results, read_results, read_state
from ceflow.runs.results import Results
from ceflow.runs.work import Work
from ceflow.spec import Document, dumps
from ceflow.stages import Values
from ceflow.store import PAGE, Damaged, RunDirectory, WriteError
from ceflow.store.digests import text_facts

WRITING_SHARE = 0.05
"""Fraction of the time that may be spent on writing the results of all runs during the sweep."""


def perform(
    plan: Plan,
    out: str | Path | None,
    observe: Observer,
    *,
    fail_fast: bool,
    needs: Mapping[str, Needs] | None = None,
) -> "Loop | Sweep":
    """Run a document or its sweep in the right directory. Raises `Interrupted` if it is
    interrupted.
    """
    resolved = dumps(plan.resolved(), defaults=True) + programs_text(plan.modules_used())
    kind = Sweep if plan.document.sweep else Loop
    if out is not None and holds(RunDirectory(out), resolved):
        earlier = kind(plan, RunDirectory(out), observe)
        if earlier.is_whole:
            earlier.show()
            return earlier
    with taken(out, plan.document.name, resolved) as directory:
        try:
            begin(directory, plan, resolved, observe, needs)
            work = kind(plan, directory, observe, fail_fast=fail_fast)
            work.run()
        except Interrupted as end:
            raise end.above(directory.path) from end.__cause__
        except KeyboardInterrupt as end:
            raise Interrupted(directory.path) from end
        return work


class Sweep(Work):
    """A begun sweep: runs what is not done, and continues if a run fails."""

    def __init__(
        self, plan: Plan, directory: RunDirectory, observe: Observer, *, fail_fast: bool = False
    ):
        super().__init__(plan, directory, observe, fail_fast=fail_fast)
        self.results: dict[str, dict[str, Values]] = {}
        self.documents = plan.variants
        self._done: set[str] = set()
        """Names of the runs whose stages are all done, earlier attempts included."""
        self._took: list[float] = []
        """Seconds of each run done in this attempt."""
        self._writing = 0.0
        self._written = time.perf_counter()

    @property
    def is_whole(self) -> bool:
        if not is_whole(self.directory, {}):
            return False
        found = read_results(self.directory)
        recorded = read_state(self.directory).get("results", digest(found))
        if recorded != digest(found) or found.get("runs", {}).keys() != self.documents.keys():
            return False
        return self._has_collected(found) and all(
            is_whole(RunDirectory(self.directory.path / name), document.stages)
            for name, document in self.documents.items()
        )

    @property
    def found(self) -> dict[str, Results]:
        return {
            name: Results(RunDirectory(self.directory.path / name), self.documents[name], found)
            for name, found in self.results.items()
        }

    @property
    def worked(self) -> bool:
        return bool(self._took or self.failures)

    def show(self) -> None:
        results = read_results(self.directory)
        self.results = results["runs"]
        self.collected, _ = read_collected(results)
        for name, plan in self.plan.runs.items():
            directory = RunDirectory(self.directory.path / name)
            Loop(plan, directory, self._observer(name)).show()

    def run(self) -> None:
        """Run the sweep; then `results` holds those of all runs, and `collected` the comparisons.

        The results of earlier attempts are read first, since this one may end before it reaches
        them.
        """
        self.state = read_state(self.directory)
        for name, document in self.documents.items():
            self._take_over(name, document)
        self._mark("running")
        self.directory.remove(*self._figures(), PAGE)
        try:
            for name, plan in self.plan.runs.items():
                self._do(name, plan)
                if self.fail_fast and self.failures:
                    break
                self._write_now_and_then()
                self._mark("running")
            self._collect(self.results)
        except BaseException:
            with suppress(WriteError):
                self._write()
                self._mark("interrupted")
            raise
        self._write()
        self._mark("failed" if self.failures else "done")

    def _take_over(self, name: str, document: Document) -> None:
        """Load the intact results of an earlier attempt at a run; arrays are not read."""
        directory = RunDirectory(self.directory.path / name)
        with suppress(Damaged):
            given = read_state(directory).get("files", {}).get("spec.toml")
            if given == text_facts(dumps(document)):
                self._know(name, known_results(directory, document.stages)[0]["stages"])

    def _know(self, name: str, results: dict[str, Values]) -> None:
        self.results[name] = results
        self._done.discard(name)
        if results.keys() == self.documents[name].stages.keys():
            self._done.add(name)

    def _do(self, name: str, plan: Plan) -> None:
        """Run one of the documents; record its failure, but let an interrupt pass."""
        started = time.perf_counter()
        try:
            observe = self._observer(name)
            done = perform(plan, self.directory.path / name, observe, fail_fast=self.fail_fast)
        except WriteError:
            raise  # what cannot be written here cannot be written for other runs
        except Exception as error:
            self._fail("", error, name)
            return
        self._know(name, done.results)
        self.failures += [replace(failure, run=name) for failure in done.failures]
        self.cause = self.cause or done.cause
        if done.worked:
            self._took.append(time.perf_counter() - started)

    def _observer(self, run: str) -> Observer:
        """Return an observer that adds to the events of a run its name and its place in the
        sweep.
        """
        place = {"run": list(self.documents).index(run) + 1, "runs": len(self.documents)}

        def observe(event: Event) -> None:
            placed = place if isinstance(event, StageStarted) else {}
            self.observe(replace(event, stage=f"{run} {event.stage}", **placed))

        return observe

    def _figures(self) -> list[str]:
        """List patterns of the figures that compare the runs."""
        return ["figures/collect-*", *(f"figures/{n}-*" for n in self.plan.document.stages)]

    def _mark(self, state: str) -> None:
        """Write the state and the progress of the sweep."""
        failed = {failure.run for failure in self.failures} - {""}
        done = len(self._done - failed)
        runs: Values = {"total": len(self.documents), "done": done}
        runs["failed"] = [{"run": f.run, "stage": f.stage, "error": f.why} for f in self.failures]
        left = len(self.documents) - done - len(failed)
        if state == "running" and self._took:
            ends = datetime.now(UTC) + timedelta(seconds=left * mean(self._took))
            runs["ends"] = ends.isoformat(timespec="seconds")
        self.state["runs"] = runs
        super()._mark(state)

    def _write_now_and_then(self) -> None:
        """Write all results so far, unless that would take too much of the time."""
        if self._writing <= WRITING_SHARE * (time.perf_counter() - self._written):
            self._write()

    def _write(self) -> None:
        started = time.perf_counter()
        self.results = {n: self.results[n] for n in self.documents if n in self.results}
        results: Values = {"stages": {}, "runs": self.results} | self._tables()
        self.directory.write_json("results.json", results)
        self.state["results"] = digest(results)
        self._written = time.perf_counter()
        self._writing = self._written - started
