"""Running the verify stage: one claim after the other, and the results of each."""

import math
from collections.abc import Iterator
from typing import Any

from ceflow import claims
from ceflow.blocks import number
from ceflow.history import History
from ceflow.spec import Verify
from ceflow.spec.stages.verify import DRAWN_CLAIMS
from ceflow.stages.result import Values
from ceflow.stages.stage import Job, finite, precision
from ceflow.stages.verify.result import ClaimResult, PartResult, VerifyResult

UNDEFINED = "it compares with a number that is 0 or infinite; take more points, draws or units"

UNDECIDED = ClaimResult(value=None, expected=None, tolerance=None, holds=None, part=None, parts=[])
"""Result of a claim whose numbers are undefined, such as those of dead networks."""


def run(job: Job) -> VerifyResult:
    """Test the claims; one that cannot be decided does not affect the others."""
    verdicts, undecided = {}, []
    with precision(job.plan):
        for index, name in enumerate(job.stage.claims):
            try:
                verdicts[name] = _decided(claims.CLAIMS[name](_trial(job, index)))
            except ValueError as error:
                undecided.append(f"{name} is undecided: {error}")
            except ArithmeticError as error:
                undecided.append(f"{name} is undecided: {UNDEFINED} ({error})")
    results = {
        name: _claim(verdicts[name]) if name in verdicts else UNDECIDED for name in job.stage.claims
    }
    lines = [
        {"claim": name, **line}
        for name, verdict in verdicts.items()
        for line in verdict.history.lines()
    ]
    history = {"history": History.of_lines(lines)} if lines else {}
    denied = [_sentence(name, verdict) for name, verdict in verdicts.items() if not verdict.holds]
    vague = [said for name, verdict in verdicts.items() for said in _vague(name, verdict)]
    return VerifyResult.model_validate(results | history).warned(*denied, *undecided, *vague)


def _decided(verdict: claims.Verdict) -> claims.Verdict:
    """Return the verdict; raise `ValueError` if a tolerance is not finite."""
    for name, part in verdict.parts.items():
        if not math.isfinite(part.tolerance):
            raise ValueError(
                f"the tolerance of {name} is not finite: variances or inputs are too large, or too"
                " small"
            )
    return verdict


def _trial(job: Job, index: int) -> claims.Trial:
    """Build the trial of the claim with this index; each claim has its own random stream."""
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


def _claim(verdict: claims.Verdict) -> ClaimResult:
    """Return the numbers of all parts; the claim's own are those of the worst part."""
    return ClaimResult(
        **_numbers(verdict.parts[verdict.worst]),
        part=verdict.worst,
        parts=[PartResult(name=name, **_numbers(part)) for name, part in verdict.parts.items()],
        **_plain(dict(verdict.details)),
    )


def _numbers(part: claims.Part) -> Values:
    return {
        "value": finite(part.value),
        "expected": finite(part.expected),
        "tolerance": finite(part.tolerance),
        "holds": part.holds,
    }


def _plain(values: Any) -> Any:
    """Replace numbers that are not finite by None, at any depth."""
    if isinstance(values, dict):
        return {key: _plain(each) for key, each in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(each) for each in values]
    return finite(values) if isinstance(values, float) else values


def _vague(name: str, verdict: claims.Verdict) -> Iterator[str]:
    """Say which parts hold only because their tolerances are large."""
    parts = [key for key, part in verdict.parts.items() if part.holds and part.says_little]
    if parts:
        help = "draws or width" if name in DRAWN_CLAIMS else "width"
        whose = "whose tolerance is" if len(parts) == 1 else "whose tolerances are"
        yield f"{name} says little of {', '.join(parts)}, {whose} 1 or more: raise {help}"


def _sentence(name: str, verdict: claims.Verdict) -> str:
    part = verdict.parts[verdict.worst]
    return (
        f"{name} does not hold: {verdict.worst} is {number(part.value)}, expected"
        f" {number(part.expected)} to within {number(part.tolerance)}"
    )
