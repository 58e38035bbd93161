"""The verify stage at work: one claim after the other, and what is kept of each."""

from collections.abc import Iterator
from typing import Any

from ceflow import claims
from ceflow.history import History
from ceflow.spec import Verify
from ceflow.stages.result import Untyped
from ceflow.stages.stage import Job, Values, finite, precision
from ceflow.stages.summary import number

UNDECIDED: Values = {
    **dict.fromkeys(("value", "expected", "tolerance", "holds", "part")),
    "parts": [],
}
"""Of a claim whose numbers are undefined, as of dead networks."""


def run(job: Job) -> Untyped:
    with precision(job.plan):
        found, undecided = {}, {}
        for index, name in enumerate(job.stage.claims):
            try:
                found[name] = claims.CLAIMS[name](_trial(job, index))
            except (ValueError, ArithmeticError) as error:
                undecided[name] = f"{name} is undecided: {error}"
    values: Values = {
        name: _values(found[name]) if name in found else dict(UNDECIDED)
        for name in job.stage.claims
    }
    lines = [line for name, verdict in found.items() for line in _lines(name, verdict)]
    if lines:
        values["history"] = History.of_lines(lines)
    warnings = [_sentence(name, verdict) for name, verdict in found.items() if not verdict.holds]
    warnings += undecided.values()
    return Untyped(**values).warned(*warnings)


def _trial(job: Job, index: int) -> claims.Trial:
    """Of the claim of this number; each has a random stream of its own."""
    stage: Verify = job.stage
    count = len(stage.claims)

    def observe(done: float, total: float) -> None:
        job.progress(index + done / total, count, "claims")

    return claims.Trial(
        job.model,
        job.seed.fold(stage.claims[index]),
        width=stage.width,
        draws=stage.draws,
        points=stage.points,
        steps=stage.steps,
        observe=observe,
    )


def _values(verdict: claims.Verdict) -> Values:
    """The numbers of the worst part are those of the claim."""
    parts = [{"name": name, **_numbers(part)} for name, part in verdict.parts.items()]
    worst = _numbers(verdict.parts[verdict.worst])
    return {**worst, "part": verdict.worst, "parts": parts, **_plain(dict(verdict.details))}


def _numbers(part: claims.Part) -> Values:
    return {
        "value": finite(part.value),
        "expected": finite(part.expected),
        "tolerance": finite(part.tolerance),
        "holds": part.holds,
    }


def _plain(found: Any) -> Any:
    """The same with null for numbers that are not finite, at any depth."""
    if isinstance(found, dict):
        return {key: _plain(each) for key, each in found.items()}
    if isinstance(found, list | tuple):
        return [_plain(each) for each in found]
    return finite(found) if isinstance(found, float) else found


def _lines(name: str, verdict: claims.Verdict) -> Iterator[dict[str, Any]]:
    """A line for each step that there is something to say of."""
    columns = {key: each.tolist() for key, each in verdict.courses.items()}
    for step in range(max(map(len, columns.values()), default=0)):
        row = {key: finite(each[step]) for key, each in columns.items() if step < len(each)}
        yield {"claim": name, "step": step, **row}


def _sentence(name: str, verdict: claims.Verdict) -> str:
    part = verdict.parts[verdict.worst]
    return (
        f"{name} does not hold: {verdict.worst} is {number(part.value)}, expected"
        f" {number(part.expected)} to within {number(part.tolerance)}"
    )
