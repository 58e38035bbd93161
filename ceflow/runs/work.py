"""The common part of one run and of the many of a sweep: work in a directory, that may fail."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ceflow.compiler import Plan
from ceflow.events import Observer
from ceflow.runs.failures import Failure, without_arrays
from ceflow.store import RunDirectory


class Work(ABC):
    """Work to be done for a plan in a directory, and what has failed of it.

    With `fail_fast` the first failure is the last: what comes after it is left undone.
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
        """The first failure as it was raised."""

    @property
    @abstractmethod
    def is_whole(self) -> bool:
        """True where all was done before, and is as it was written: nothing is to be touched."""

    @property
    @abstractmethod
    def found(self) -> Mapping[str, Any]:
        """The result of each stage that is done; of a sweep first by run."""

    @property
    @abstractmethod
    def worked(self) -> bool:
        """True where anything was done or tried."""

    @abstractmethod
    def show(self) -> None:
        """Read the results of what is whole, and tell of each stage that it was kept."""

    @abstractmethod
    def run(self) -> None:
        """Do what is not done yet; an interrupt goes on, what a stage fails with is kept."""

    def _fail(self, stage: str, error: Exception, run: str = "") -> Failure:
        """Keep what a stage, or the beginning of a whole run, failed with."""
        failure = Failure.from_error(error, stage, run)
        self.failures.append(failure)
        self.cause = self.cause or without_arrays(error)
        return failure

    def _mark(self, state: str) -> None:
        self.state["state"] = state
        self.directory.write_json("run.json", self.state)
