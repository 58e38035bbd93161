"""Comparison of a sweep's runs: one number against another, and the power law between them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from ceflow.compiler import Plan
from ceflow.history import History
from ceflow.runs.collected import (
    Collected,
    CollectedMean,
    CollectedPoint,
    CollectedPoints,
    Fit,
    given,
    scales,
)
from ceflow.runs.curves import curves, label, mean_and_error, missing
from ceflow.runs.numbers import plain
from ceflow.spec import (
    Collect,
    Document,
    at_path,
    history_path,
    tree_of,
)
from ceflow.stages import Values, kind_of
from ceflow.store import RunDirectory

Runs = Mapping[str, dict[str, Values]]
"""The results of each run of a sweep, by run and stage name."""


def collect(asked: Collect, plan: Plan, runs: Runs, directory: RunDirectory) -> Collected:
    """Evaluate one [collect] table: gather its points and fit its curves, or gather the histories
    that the runs in the sweep's directory recorded. Failed runs are left out, and named in a
    warning.
    """
    documents = plan.variants
    if not asked.of_histories(plan.document):
        return _collected_points(asked, documents, runs)
    stage = history_path(asked.x)[0]
    done = {run: stage in runs.get(run, {}) for run in documents}
    below = {run: RunDirectory(directory.path / run) for run in documents}
    histories = {
        run: below[run].read_metrics(stage) if done[run] else History({}) for run in documents
    }
    return curves(asked, documents, histories)


def _collected_points(
    asked: Collect, documents: Mapping[str, Document], runs: Runs
) -> CollectedPoints:
    points = list(_points(asked, documents, runs))
    warnings = [*_lacking(asked, points, runs), *_doubts(asked, documents)]
    means = _means(points) if asked.over else []
    fits = {}
    if asked.fit == "power":
        fits["fits"], unfitted = _fits(means or points)
        warnings += unfitted
    return CollectedPoints(
        x=asked.x,
        y=asked.y,
        points=points,
        **fits,
        **given(by=asked.by, over=asked.over, means=means, warnings=warnings),
        **scales(asked),
    )


def _means(points: list[CollectedPoint]) -> list[CollectedMean]:
    """Average the points of equal x and `by`, in the order of the first of each."""
    alike: dict[tuple[Any, str], list[CollectedPoint]] = {}
    for point in points:
        if point.y is not None:
            alike.setdefault((point.x, point.by), []).append(point)
    means = []
    for (x, by), several in alike.items():
        mean, stderr = mean_and_error([float(point.y or 0) for point in several])
        if len(several) == 1:
            stderr = several[0].stderr
        fields = given(by=by or None, stderr=stderr)
        means.append(CollectedMean(x=x, y=mean, runs=len(several), **fields))
    return means


def _points(
    asked: Collect, documents: Mapping[str, Document], runs: Runs
) -> Iterator[CollectedPoint]:
    """Yield the point of each run, in the order of the runs."""
    y = ".".join(asked.result)
    for run, document in documents.items():
        tree = tree_of(document, defaults=True)
        results = runs.get(run, {})
        yield CollectedPoint(
            run=run,
            x=_number(at_path(tree, asked.x)),
            y=_number(at_path(results, y)),
            **given(
                by=None if asked.by is None else label(at_path(tree, asked.by)),
                stderr=_number(at_path(results, f"{y}_stderr")),
            ),
        )


def _number(value: Any) -> float | None:
    """Return a finite number, or the one that a list repeats; otherwise None."""
    if isinstance(value, list | tuple) and value and all(item == value[0] for item in value):
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or isfinite(value) else None


def _fits(points: Sequence[CollectedPoint | CollectedMean]) -> tuple[list[Fit], list[str]]:
    """Fit a power law to each curve with several x, and say which curves have none."""
    curves: dict[str, list[CollectedPoint | CollectedMean]] = {}
    for point in points:
        if point.x is not None and point.y is not None:
            curves.setdefault(point.by, []).append(point)
    long = {by: curve for by, curve in curves.items() if len({p.x for p in curve}) > 1}
    if not long:
        return [], ["a power law needs two different x: there is no fit"]
    short = "a power law needs two different x"
    several = [by for by, curve in curves.items() if by not in long and len(curve) > 1]
    fits, unfitted = [], [f"{by}: {short}" for by in several]  # of one point none is expected
    for by, curve in long.items():
        try:
            fits.append(Fit(**({"by": by} if by else {}), **_power(curve)))
        except ValueError as error:
            unfitted.append(f"{by + ': ' if by else ''}{error}")
    return fits, unfitted


def _power(curve: Sequence[CollectedPoint | CollectedMean]) -> Values:
    """Fit the slope of log y over log x, weighted if each y has a standard error."""
    from ceflow.dynamics import power_law

    x, y = ([point[key] for point in curve] for key in ("x", "y"))
    errors = [point.stderr for point in curve if point.stderr]
    fit, lost = plain(asdict(power_law(x, y, errors if len(errors) == len(y) else None)))
    if lost or not fit["factor"]:
        raise ValueError(f"its power law overflows ({', '.join(lost or ['factor'])})")
    return fit


def _lacking(asked: Collect, points: list[CollectedPoint], runs: Runs) -> Iterator[str]:
    """Name the runs that lack the requested number."""
    stage = asked.result[0]
    absent = [point.run for point in points if stage not in runs.get(point.run, {})]
    if absent:
        yield missing(stage, absent, len(points))
    without = [p.run for p in points if p.y is None and p.run not in absent]
    if without:
        result = runs[without[0]][stage]
        numbers = ", ".join(key for key, value in result.items() if _number(value) is not None)
        yield (
            f"{len(without)} of {len(points)} runs have no number {asked.y}; {stage!r} has the"
            f" numbers {numbers}"
        )
    without = [point.run for point in points if point.x is None]
    if without:
        count = f"{len(without)} of {len(points)}"
        yield f"{asked.x} is not a finite number, nor a list of equal ones, in {count} runs"


def _doubts(asked: Collect, documents: Mapping[str, Document]) -> list[str]:
    """Say why a power law may be doubtful, as far as the stage knows, over all runs."""
    if asked.fit != "power":
        return []
    stage, number = asked.result[0], asked.result[-1]
    kinds = {run: kind_of(document.stages[stage]) for run, document in documents.items()}
    doubts = (kinds[run].doubts(number, d.model) for run, d in documents.items())
    return sorted({doubt for each in doubts for doubt in each})
