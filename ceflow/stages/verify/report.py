"""What a verify stage has to show: the verdicts, and BN figures 11 to 14."""

import math
from collections.abc import Iterator

from ceflow.history import History
from ceflow.stages.courses import FEWEST, series
from ceflow.stages.stage import Values
from ceflow.stages.summary import Block, Cell, Curve, Note, Series, Table

COLUMNS = ("claim", "of", "found", "expected", "tolerance", "verdict")


def describe(values: Values, history: "History | str | None") -> list[Block]:
    """A row for each number; curves over steps, and over pairs of points."""
    claims = {name: found for name, found in values.items() if _is_claim(found)}
    rows = tuple(row for name, found in claims.items() for row in _rows(name, found))
    curves = [*_deviations(claims), *(_residuals(history) if isinstance(history, History) else ())]
    warnings = [Note(text, warning=True) for text in values.get("warnings", ())]
    return [Table(COLUMNS, rows), *curves, *warnings]


def _is_claim(found: object) -> bool:
    return isinstance(found, dict) and "parts" in found


def _rows(name: str, found: Values) -> Iterator[tuple[Cell, ...]]:
    if not found["parts"]:
        yield (name, "", "", "", "", "undecided")
    for index, part in enumerate(found["parts"]):
        numbers = (_cell(part[key]) for key in ("value", "expected", "tolerance"))
        verdict = "holds" if part["holds"] else "does not hold"
        yield ("" if index else name, part["name"], *numbers, verdict)


def _cell(value: float | None) -> Cell:
    return "not finite" if value is None else value


def _deviations(claims: Values) -> Iterator[Curve]:
    """BN figure 11: of each covariance, pair by pair."""
    for name, found in claims.items():
        if "deviations" in found:
            drawn = tuple(
                Series(key, tuple(range(len(each))), tuple(map(_drawable, each)), "points")
                for key, each in found["deviations"].items()
            )
            title = f"{name}: relative deviation of covariances"
            yield Curve(f"{name}-covariances", title, "pair", "deviation", drawn)


def _drawable(value: float | None) -> float:
    """What is not finite is no point."""
    return math.nan if value is None else value


def _residuals(history: History) -> Iterator[Curve]:
    """Draw BN figures 12 to 14: by step, of each claim that has them."""
    for name in dict.fromkeys(history.columns["claim"]):
        lines = [line for line in history.lines() if line.pop("claim") == name]
        own = History.of_lines(lines)
        several = (series(own, key, key, log=True) for key in own.columns if key != own.axis)
        drawn = tuple(each for each in several if len(each.x) >= FEWEST)
        if drawn:
            title = f"{name}: relative residuals by step"
            yield Curve(f"{name}-residuals", title, "step", "residual", drawn, log_y=True)
