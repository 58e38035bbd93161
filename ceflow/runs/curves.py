"""What a sweep's runs recorded from moment to moment, as curves beside each other."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from ceflow.history import History
from ceflow.runs.numbers import listed
from ceflow.spec import Collect, Document, at_path, course_path, tree_of
from ceflow.stages import Values

RESAMPLED = 200
"""Points of x over the range of all curves."""

Histories = Mapping[str, History]
"""What the stage of each run has recorded; of a run that has not done it, nothing."""


def curves(asked: Collect, documents: Mapping[str, Document], histories: Histories) -> Values:
    """The curves of a [collect] table, what is asked of them, and what is wrong with them."""
    found = sorted(_curves(asked, documents, histories), key=_rank)
    values: Values = {"x": asked.x, "y": asked.y, "view": asked.view}
    values |= {"by": asked.by} if asked.by is not None else {}
    warnings = list(_lacking(asked, found, histories))
    found = [curve for curve in found if curve["x"]]
    if asked.level is not None:
        values |= {"level": asked.level, "reached": [_reached(c, asked.level) for c in found]}
    if asked.smooth and found:
        found, unsmoothed = _smoothed(found, asked.smooth)
        warnings += unsmoothed
    values["curves"] = found
    return values | ({"warnings": warnings} if warnings else {})


def missing(stage: str, runs: list[str], count: int) -> str:
    """Of a stage that some of so many runs have not done."""
    return f"{len(runs)} of {count} runs have not done {stage!r}: {listed(runs)}"


def label(value: Any) -> str:
    """A swept value in few characters; a list of equal ones is that one."""
    if not isinstance(value, list | tuple):
        return str(value)
    one = len(set(map(str, value))) == 1
    return str(value[0]) if one else " ".join(map(str, value))


def _curves(
    asked: Collect, documents: Mapping[str, Document], histories: Histories
) -> Iterator[Values]:
    """In the order of the runs; moments without both numbers are left out."""
    keys = [course_path(path)[1] for path in (asked.x, asked.y)]
    for run, document in documents.items():
        known = histories[run].points(*keys)
        of: Values = {"run": run}
        if asked.by is not None:
            of["by"] = label(at_path(tree_of(document, defaults=True), asked.by))
        yield of | {"x": [x for x, _ in known], "y": [y for _, y in known]}


def _rank(curve: Values) -> tuple[bool, float]:
    """By growing values of `by`, inf last; what is no number comes after, in the runs' order."""
    try:
        return False, float(curve.get("by", ""))
    except ValueError:
        return True, 0.0


def _reached(curve: Values, level: float) -> Values:
    """The first x at which y is at a level, coming from where it starts: on the straight line
    between two moments. None where it never is, and then `last`, how far it went."""
    named = {key: curve[key] for key in ("run", "by") if key in curve}
    x, above = curve["x"], [y - level for y in curve["y"]]
    if above[0] == 0:
        return named | {"x": x[0]}
    for (x0, y0), (x1, y1) in pairwise(zip(x, above, strict=True)):
        if (y1 > 0) != (y0 > 0) or y1 == 0:
            return named | {"x": x0 + (x1 - x0) * y0 / (y0 - y1)}
    return named | {"x": None, "last": x[-1]}


def _smoothed(found: list[Values], over: int) -> tuple[list[Values], list[str]]:
    """Each curve at evenly spaced x over the range of all, by linear interpolation between its
    points in the order of x; then means of so many neighbours (BN appendix D.4). Beyond its own
    range a curve has no points."""
    import numpy as np

    every = [x for curve in found for x in curve["x"]]
    grid = np.linspace(min(every), max(every), RESAMPLED)
    kept, short = [], []
    for curve in found:
        order = np.argsort(curve["x"], kind="stable")
        x, y = (np.array(curve[key], float)[order] for key in ("x", "y"))
        own = grid[(x[0] <= grid) & (grid <= x[-1])]
        if len(own) < over:
            short.append(curve["run"])
            continue
        window = np.ones(over) / over
        pair = (np.convolve(each, window, "valid") for each in (own, np.interp(own, x, y)))
        kept.append(curve | dict(zip("xy", map(np.ndarray.tolist, pair), strict=True)))
    said = f"{', '.join(short)}: fewer than {over} of {RESAMPLED} points lie in the curve's range"
    return kept, [said] if short else []


def _lacking(asked: Collect, found: list[Values], histories: Histories) -> Iterator[str]:
    """What is said of runs without the numbers that were asked for."""
    stage = course_path(asked.x)[0]
    absent = [curve["run"] for curve in found if not histories[curve["run"]]]
    if absent:
        yield missing(stage, absent, len(found))
    without = [c["run"] for c in found if not c["x"] and c["run"] not in absent]
    if without:
        last = histories[without[0]].last
        numbers = (key for key, value in last.items() if isinstance(value, int | float))
        yield (
            f"{len(without)} of {len(found)} runs have no course of {asked.y} over {asked.x};"
            f" {stage!r} has recorded {', '.join(numbers)}"
        )
