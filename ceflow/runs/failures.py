"""The sentences on stages that failed."""

from dataclasses import dataclass
from dis import opmap
from traceback import clear_frames
from typing import TYPE_CHECKING

from ceflow.spec import SpecError
from ceflow.store import Damaged

if TYPE_CHECKING:
    from ceflow.runs.running import Run


@dataclass(frozen=True)
class Failure:
    """A stage that failed, and why; of a sweep, in which of its runs.

    `stage` is empty where a whole run of a sweep could not be begun. `is_foreseen`: whether `why`
    says all there is to say; else the place in the code says more.
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
    """Stages of a run failed. `run` has the results of all others, `failures` says what failed.

    The first error is its `__cause__`.
    """

    def __init__(self, run: "Run", failures: tuple[Failure, ...]):
        self.run = run
        self.failures = failures
        super().__init__("\n".join(map(str, failures)))


RAISE = opmap["RAISE_VARARGS"]

OUT_OF_MEMORY = "the memory was not enough; take fewer examples, a smaller network or smaller tiles"


def sentence(error: BaseException) -> str:
    """Say what went wrong, in words; with the error's type where its own words may need one."""
    text = str(error).strip()
    if isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):
        return OUT_OF_MEMORY
    if isinstance(error, SpecError):
        return "; ".join(fault.message for fault in error.faults)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}"
    if (type(error) is ValueError or isinstance(error, Damaged)) and text:
        return text
    return f"{type(error).__name__}: {text or 'it says no more'}"


def is_foreseen(error: BaseException) -> bool:
    """Tell whether what went wrong is a sentence of ceflow: of a shortage, or its own `raise`."""
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
    """Strip an error of the variables that its traceback would keep in memory."""
    below: BaseException | None = error
    while below is not None:
        clear_frames(below.__traceback__)
        below = below.__context__
    return error
