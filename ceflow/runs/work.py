"""What a single run and a sweep share: work in a directory, which may fail."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ceflow.compiler import Plan
from ceflow.events import Observer
from ceflow.runs.failures import Failure, without_arrays
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

    def _fail(self, stage: str, error: Exception, run: str = "") -> Failure:
        """Record the failure of a stage, or of the start of a whole run."""
        failure = Failure.from_error(error, stage, run)
        self.failures.append(failure)
        self.cause = self.cause or without_arrays(error)
        return failure

    def _mark(self, state: str) -> None:
        self.state["state"] = state
        self.directory.write_json("run.json", self.state)
