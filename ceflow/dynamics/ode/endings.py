"""How an integration ended: what happened, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

How = Literal["finished", "stopped", "failed"]
Reason = Literal["nan", "step-size", "steps"]

MESSAGES: dict[Reason, str] = {
    "nan": "the state or its derivative is NaN or infinite just after mu t = {time:g}",
    "step-size": "the step size fell below rounding at mu t = {time:g}",
    "steps": "{steps} steps were not enough to come further than mu t = {time:g}",
}
SMALLER = "a smaller time"
PRECISE = "float64"


@dataclass(frozen=True)
class Ending:
    """How an integration ended, and at which time mu t.

    "finished" at the last time asked for, "stopped" where the condition became 0, or "failed" for
    one reason, with a message that says what happened and `advice`, what to change, best first.
    """

    how: How
    time: float
    reason: Reason | None = None
    message: str = ""
    advice: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it did not fail."""
        return self.how != "failed"


def failure(reason: Reason, time: float, steps: int, solver: str, precise: bool) -> Ending:
    """An ending from what is known of it; `precise` where it was in float64."""
    stiff = ('a solver for stiff flows ("rkc" or "kvaerno5")',)
    stiff = stiff if solver in ("tsit5", "dopri8") else ()
    higher = () if precise else (PRECISE,)
    advice = {
        "nan": (SMALLER, *higher, "smaller inputs or targets"),
        "step-size": (*stiff, *higher, "a larger rtol and atol", SMALLER),
        "steps": (*stiff, "more steps", "a larger rtol", SMALLER),
    }[reason]
    message = MESSAGES[reason].format(time=time, steps=steps)
    return Ending("failed", time, reason, message, advice)
