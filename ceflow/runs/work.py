"""What a single run and a sweep share: work in a directory, which may fail."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ceflow.compiler import Plan
from ceflow.events import Observer
from ceflow.runs.collected import Collected, CollectedTable, read_collected
from ceflow.runs.collecting import Runs, collect
from ceflow.runs.failures import Failure, without_arrays
from ceflow.runs.tabulating import tabulated
from ceflow.spec import CollectTable
from ceflow.stages import Values
from ceflow.store import RunDirectory


class Work(ABC):
    """Work for a plan in a directory, and the failures so far.

    With `fail_fast`, the work ends at the first failure.
    """

    def __init__(
        self, plan: Plan, directory: RunDirectory, observe: Observer, *, fail_fast: bool = False
    ):
        self.plan = plan
        self.directory = directory
        self.observe = observe
        self.fail_fast = fail_fast
        self.state: dict[str, Any] = {}
        self.failures: list[Failure] = []
        self.cause: Exception | None = None
        """The first exception."""
        self.collected: dict[str, Collected] = {}
        """The [collect] tables of the document, by name."""

    @property
    @abstractmethod
    def is_whole(self) -> bool:
        """True if everything is done and intact, so that nothing needs to be written."""

    @property
    @abstractmethod
    def found(self) -> Mapping[str, Any]:
        """The result of each stage done; in a sweep, by run first."""

    @property
    @abstractmethod
    def worked(self) -> bool:
        """True if anything was done or tried."""

    @abstractmethod
    def show(self) -> None:
        """Load the results of a finished run, and report each stage as kept."""

    @abstractmethod
    def run(self) -> None:
        """Do what is not done yet; let an interrupt pass, record the failure of a stage."""

    def _collect(self, runs: Runs) -> None:
        """Evaluate the [collect] tables over the results of all runs."""
        for name, asked in self.plan.document.collect.items():
            try:
                self.collected[name] = (
                    tabulated(asked, name, self.plan, runs[""])
                    if isinstance(asked, CollectTable)
                    else collect(asked, self.plan, runs, self.directory)
                )
            except Exception as error:
                self._fail(f"collect.{name}", error)

    def _tables(self) -> Values:
        """Return the [collect] tables for results.json; empty if there are none."""
        tables = {name: each.table() for name, each in self.collected.items()}
        return {"collect": tables} if tables else {}

    def _has_collected(self, results: Values) -> bool:
        """Tell whether results have every [collect] table of the document, as its file is now."""
        known = read_collected(results)[0]
        return known.keys() == self.plan.document.collect.keys() and all(
            each.is_current for each in known.values() if isinstance(each, CollectedTable)
        )

    def _fail(self, stage: str, error: Exception, run: str = "") -> Failure:
        """Record the failure of a stage, or of the start of a whole run."""
        failure = Failure.from_error(error, stage, run)
        self.failures.append(failure)
        self.cause = self.cause or without_arrays(error)
        return failure

    def _mark(self, state: str) -> None:
        self.state["state"] = state
        self.directory.write_json("run.json", self.state)
