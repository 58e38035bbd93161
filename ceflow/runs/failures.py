"""Failed stages, and the sentences that describe them."""

from dataclasses import dataclass
from dis import opmap
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING

from ceflow.spec import SpecError
from ceflow.store import Damaged, WriteError

if TYPE_CHECKING:
    from ceflow.runs.running import Run


@dataclass(frozen=True)
class Failure:
    """A failed stage, the reason, and in a sweep the run.

    `stage` is empty if a whole run of a sweep could not be started. `is_foreseen` is True if `why`
    says everything; otherwise the place in the code says more.
    """

    stage: str
    why: str
    run: str = ""
    is_foreseen: bool = False

    @classmethod
    def from_error(cls, error: Exception, stage: str, run: str = "") -> "Failure":
        return cls(stage, sentence(error), run, is_foreseen(error))

    def __str__(self) -> str:
        run = f"run {self.run!r}" if self.run else ""
        stage = f"stage {self.stage!r}" if self.stage else ""
        return f"{', '.join(filter(None, (run, stage)))}: {self.why}"


class RunError(Exception):
    """Some stages of a run failed. `run` has the results of all others, `failures` the reasons.

    The first error is its `__cause__`.
    """

    def __init__(self, run: "Run", failures: tuple[Failure, ...]):
        self.run = run
        self.failures = failures
        super().__init__("\n".join(map(str, failures)))


class Interrupted(KeyboardInterrupt):
    """A run was interrupted. `path` is its directory, which keeps what is done, and `under_way`
    says which stage was under way, and what is kept of it; '' if there was none.
    """

    def __init__(self, path: Path, under_way: str = ""):
        self.path = path
        self.under_way = under_way
        said = f"; {under_way}" if under_way else ""
        super().__init__(f"{path} keeps what is done, and the same call goes on{said}")

    def above(self, path: Path) -> "Interrupted":
        """Return this interrupt as one of the run in `path`: of this run, or of its sweep."""
        if self.path == path:
            return self
        run = f"run {self.path.relative_to(path).as_posix()!r}"
        return Interrupted(path, f"{run}, {self.under_way}" if self.under_way else run)


RAISE = opmap["RAISE_VARARGS"]

OUT_OF_MEMORY = (
    "there was not enough memory; take fewer examples, a smaller network or smaller tiles"
)


def sentence(error: BaseException) -> str:
    """Describe an error in words, with its type if its own message may be unclear without it."""
    text = str(error).strip()
    if isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):
        return OUT_OF_MEMORY
    if isinstance(error, SpecError):
        each = (": ".join(filter(None, (fault.message, fault.help))) for fault in error.faults)
        return "; ".join(each)
    if isinstance(error, WriteError):
        return text
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}"
    if (type(error) is ValueError or isinstance(error, Damaged)) and text:
        return text
    return f"{type(error).__name__}: {text or 'no message'}"


def is_foreseen(error: BaseException) -> bool:
    """Tell whether an error is a shortage of memory or disk, or was raised by ceflow itself."""
    if sentence(error) == OUT_OF_MEMORY or (isinstance(error, OSError) and error.strerror):
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or not last.tb_frame.f_globals.get("__name__", "").startswith("ceflow."):
        return False
    # What a function in C raises, such as NumPy's, comes out of the line that calls it.
    return last.tb_frame.f_code.co_code[last.tb_lasti] == RAISE


def without_arrays(error: Exception) -> Exception:
    """Remove from an error the local variables that its traceback keeps in memory."""
    below: BaseException | None = error
    while below is not None:
        clear_frames(below.__traceback__)
        below = below.__context__
    return error
