"""What a verify stage has to show: the verdicts, and BN figures 11 to 14."""

from collections.abc import Iterator

from ceflow.stages.stage import Values
from ceflow.stages.summary import Block, Cell, Curve, Note, Series, Table

COLUMNS = ("claim", "of", "found", "expected", "tolerance", "verdict")

FEWEST = 3
"""Steps of which there is a curve."""


def describe(values: Values) -> list[Block]:
    """A row for each number; curves over steps, and over pairs of points."""
    claims = {name: found for name, found in values.items() if _is_claim(found)}
    rows = tuple(row for name, found in claims.items() for row in _rows(name, found))
    curves = [*_deviations(claims), *_residuals(values.get("course", []))]
    warnings = [Note(text, warning=True) for text in values.get("warnings", ())]
    return [Table(COLUMNS, rows), *curves, *warnings]


def _is_claim(found: object) -> bool:
    return isinstance(found, dict) and "parts" in found


def _rows(name: str, found: Values) -> Iterator[tuple[Cell, ...]]:
    for index, part in enumerate(found["parts"]):
        value = "not finite" if part["value"] is None else part["value"]
        verdict = "holds" if part["holds"] else "does not hold"
        bound = "not finite" if part["tolerance"] is None else part["tolerance"]
        yield ("" if index else name, part["name"], value, part["expected"], bound, verdict)


def _deviations(claims: Values) -> Iterator[Curve]:
    """BN figure 11: of each covariance, pair by pair."""
    for name, found in claims.items():
        if "deviations" in found:
            series = tuple(
                Series(key, tuple(range(len(each))), tuple(each), "points")
                for key, each in found["deviations"].items()
            )
            title = f"{name}: relative deviation of covariances"
            yield Curve(f"{name}-covariances", title, "pair", "deviation", series)


def _residuals(course: list[Values]) -> Iterator[Curve]:
    """BN figures 12 to 14: by step, of each claim that has them."""
    for name in dict.fromkeys(line["claim"] for line in course):
        lines = [line for line in course if line["claim"] == name]
        keys = dict.fromkeys(key for line in lines for key in line)
        series = [_series(lines, key) for key in keys if key not in ("claim", "step")]
        drawn = tuple(each for each in series if len(each.x) >= FEWEST)
        if drawn:
            title = f"{name}: relative residuals by step"
            yield Curve(f"{name}-residuals", title, "step", "residual", drawn, log_y=True)


def _series(lines: list[Values], key: str) -> Series:
    """The steps at which there is something to draw on a logarithmic axis."""
    points = [(line["step"], line[key]) for line in lines if (line.get(key) or 0) > 0]
    x, y = zip(*points, strict=True) if points else ((), ())
    return Series(key, x, y)
