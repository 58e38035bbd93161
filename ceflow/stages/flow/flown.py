"""What an engine gives back, of one replica or of several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ceflow.dynamics import Ending, Trajectory

ONCE = ("kernel", "covariance")
"""Arrays of one network only: the first."""


@dataclass(frozen=True)
class Flown:
    """Times, and what was seen at each: arrays over times, then replicas."""

    times: tuple[float, ...]
    seen: "dict[str, Float[np.ndarray, 'times replicas ...']]"
    outputs: "Float[np.ndarray, 'replicas n outputs']"  # at the last time
    ending: "Ending"
    solver: str | None = None
    accepted: int = 0
    rejected: int = 0
    derivatives: "Float[np.ndarray, 'replicas 3 pairs'] | None" = None
    """Of the entries of the NTK in time, at the start."""
    warnings: tuple[str, ...] = ()


class Followed(NamedTuple):
    """An integration, by which solver, and what is to be said of that."""

    result: "Trajectory"
    solver: str
    warnings: tuple[str, ...] = ()


OTHER = {"tsit5": "rkc", "kvaerno5": "rkc", "rkc": "tsit5"}
"""The solver that is tried where one that was chosen fails."""


def followed(run: "Callable[[str], Trajectory]", solver: str, *, chosen: bool) -> Followed:
    """The integration by a solver; by another where this one was `chosen` by itself, fails, and the
    other does not."""
    result = run(solver)
    if result.ending or not chosen:
        return Followed(result, solver)
    other = OTHER[solver]
    again = run(other)
    if not again.ending:
        return Followed(result, solver)
    said = f"the solver {solver} was chosen and failed: {result.ending.message}; {other} did not"
    return Followed(again, other, (f"{said}, and its numbers are kept",))


def flown(found: Followed, outputs: Any) -> Flown:
    """From an integration whose records are what was seen."""
    import numpy as np

    result, solver, warnings = found
    steps = int(np.max(result.accepted)), int(np.max(result.rejected))
    times = tuple(result.times.tolist())
    end = np.asarray(outputs), result.ending
    return Flown(times, result.records, *end, solver, *steps, warnings=warnings)


def joined(parts: Sequence[Flown], replicas: int, warnings: tuple[str, ...] = ()) -> Flown:
    """Several groups of replicas as one, as far as all of them came; the most steps of any."""
    import numpy as np

    worst = min(parts, key=lambda part: (bool(part.ending), part.times[-1]))
    columns = zip(*(part.times for part in parts), strict=False)
    times = tuple(each[0] for each in columns if len(set(each)) == 1)

    def together(key: str) -> "np.ndarray":
        several = [part.seen[key][: len(times)] for part in parts]
        return np.concatenate(several[: 1 if key in ONCE else None], axis=1)[:, :replicas]

    told = dict.fromkeys(text for part in parts for text in part.warnings)
    derivatives = [part.derivatives for part in parts if part.derivatives is not None]
    return replace(
        worst,
        times=times,
        seen={key: together(key) for key in worst.seen},
        outputs=np.concatenate([part.outputs for part in parts])[:replicas],
        accepted=max(part.accepted for part in parts),
        rejected=max(part.rejected for part in parts),
        derivatives=np.concatenate(derivatives)[:replicas] if derivatives else None,
        warnings=(*warnings, *told),
    )
