"""The report of a verify stage: the verdicts, and BN figures 11 to 14."""

import math
from collections.abc import Iterator

from ceflow.blocks import Cell, Curve, Note, ReportBlock, Series, Table, counted
from ceflow.history import History
from ceflow.stages.histories import FEWEST_MOMENTS, series
from ceflow.stages.verify.result import ClaimResult, VerifyResult

COLUMNS = ("claim", "of", "found", "expected", "tolerance", "verdict")


def describe(result: VerifyResult) -> list[ReportBlock]:
    """Tabulate each number in a row; draw curves over steps, and over pairs of points."""
    claims, history = result.claims, result.history
    rows = tuple(row for name, claim in claims.items() for row in _rows(name, claim))
    curves = [*_deviations(claims), *(_residuals(history) if isinstance(history, History) else ())]
    warnings = [Note(text, warning=True) for text in result.warnings]
    return [Table(COLUMNS, rows), *curves, *warnings]


def _rows(name: str, claim: ClaimResult) -> Iterator[tuple[Cell, ...]]:
    if not claim.parts:
        yield (name, "", "", "", "", "undecided")
    for index, part in enumerate(claim.parts):
        numbers = map(_cell, (part.value, part.expected, part.tolerance))
        verdict = "holds" if part.holds else "does not hold"
        if part.says_little:
            verdict = "holds, says little"
        yield ("" if index else name, part.name, *numbers, verdict)


def _cell(value: float | None) -> Cell:
    return "not finite" if value is None else value


def _deviations(claims: dict[str, ClaimResult]) -> Iterator[Curve]:
    """Draw BN figure 11: the deviations of each covariance, pair by pair."""
    for name, claim in claims.items():
        if claim.deviations is not None:
            drawn = tuple(
                Series(key, tuple(range(len(each))), tuple(map(_drawable, each)), "points")
                for key, each in claim.deviations.items()
            )
            title = f"{name}: relative deviation of covariances"
            yield Curve(f"{name}-covariances", title, "pair", "deviation", drawn)


def _drawable(value: float | None) -> float:
    """Return a number for a drawing: NaN if it is not finite."""
    return math.nan if value is None else value


def _residuals(history: History) -> Iterator[Curve]:
    """Draw BN figures 12 to 14: the residuals over steps, for each claim that has them."""
    for name in dict.fromkeys(history.columns["claim"]):
        lines = [line for line in history.lines() if line.pop("claim") == name]
        own = History.of_lines(lines)
        several = (series(own, key, key, log=True) for key in own.columns if key != own.axis)
        drawn = tuple(each for each in several if len(each.x) >= FEWEST_MOMENTS)
        if drawn:
            title = f"{name}: relative residuals by step"
            yield Curve(f"{name}-residuals", title, "step", "residual", drawn, log_y=True)


def answer(result: VerifyResult) -> str:
    """State how many claims hold, and name the others."""
    claims = result.claims
    not_so = [name for name, claim in claims.items() if not claim.holds]
    verb = "holds" if len(claims) == 1 else "hold"
    said = f"{len(claims) - len(not_so)} of {counted(len(claims), 'claim')} {verb}"
    parts = [part.name for claim in claims.values() for part in claim.parts if part.says_little]
    if parts:
        said += f"; tolerances of 1 or more say little of {', '.join(parts)}"
    return f"{said}; not: {', '.join(not_so)}" if not_so else said
