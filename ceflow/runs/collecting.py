"""Comparison of a sweep's runs: one number against another, and what relates them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import inf, isfinite
from typing import Any

from ceflow.compiler import Plan
from ceflow.runs.collected import (
    Collected,
    CollectedMean,
    CollectedPoint,
    CollectedPoints,
    Correlation,
    Fit,
    filled,
    grouped,
    scales,
)
from ceflow.runs.curves import curves, missing, over_value
from ceflow.runs.labels import short, which
from ceflow.runs.measured import history_with_errors, last_mean, with_errors
from ceflow.runs.numbers import listed, plain
from ceflow.runs.paired import difference_from, mean_and_error
from ceflow.spec import (
    Collect,
    Comparison,
    Document,
    at_path,
    history_path,
    same_value,
    tree_of,
    value_label,
)
from ceflow.stages import Values, kind_of
from ceflow.store import RunDirectory

Runs = Mapping[str, dict[str, Values]]
"""The results of each run of a sweep, by run and stage name."""

Point = CollectedPoint | CollectedMean

UNSTABLE = "unstable"
"""How a training ended that diverged."""


def collect(asked: Collect, plan: Plan, runs: Runs, directory: RunDirectory) -> Collected:
    """Evaluate one [collect] table over runs: gather its points and fit its curves, or gather the
    histories that the runs in the directory recorded. `runs` has the results of each run; those of
    a document without a sweep are under ''. Failed runs are left out, and named in a warning.
    """
    documents = {run: each.document for run, each in plan.runs.items()}
    runs = {run: with_errors(each) for run, each in runs.items()}
    unstable = list(_unstable(asked, plan.document, runs, len(documents)))
    if not asked.of_histories(plan.document):
        found = _collected_points(asked, plan.document, documents, runs, directory)
        return found.model_copy(update=filled(warnings=[*found.warnings, *unstable]))
    stages = {history_path(path)[0] for path in asked.quantities}
    histories = {
        run: {
            stage: history_with_errors(RunDirectory(directory.path / run).read_metrics(stage))
            for stage in stages & runs.get(run, {}).keys()
        }
        for run in documents
    }
    found = curves(asked, documents, histories)
    return found.model_copy(update=filled(warnings=[*found.warnings, *unstable]))


def _unstable(asked: Collect, swept: Document, runs: Runs, count: int) -> Iterator[str]:
    """Name the runs whose training diverged, for their numbers are collected too."""
    for stage in dict.fromkeys(path.split(".")[1] for _, path in asked.paths_of_stages(swept)):
        ended = [run for run, each in runs.items() if each.get(stage, {}).get("ended") == UNSTABLE]
        if ended and count > 1:
            many = f"{len(ended)} of {count} runs of {stage!r}"
            yield f"{many} became unstable, and are collected up to there: {listed(ended)}"


def _collected_points(
    asked: Collect,
    swept: Document,
    documents: Mapping[str, Document],
    runs: Runs,
    directory: RunDirectory,
) -> CollectedPoints:
    found = dict(asked.paths_of_stages(swept))
    points = list(_points(asked, found, documents, runs))
    if asked.last is not None:
        points = [_at_last(asked, asked.last, each, runs, directory) for each in points]
    warnings = [*dict.fromkeys(_lacking(asked, found, points, runs)), *_doubts(asked, documents)]
    means = means_of(points, apart="given" not in found) if asked.over else []
    if asked.against is not None:
        shared = {run: over_value(asked, document) for run, document in documents.items()}
        means = [_compared(asked, mean, points, shared) for mean in means]
    drawn = means or points
    relations: dict[str, Any] = {}
    if asked.fit == "power":
        relations["fits"], unfitted = fits_of(drawn, asked.by)
        warnings += unfitted
    if asked.correlate != "none":
        relations["correlations"] = [each for each, _ in correlations_of(asked, drawn)]
        relations |= {} if asked.correlate == "spearman" else {"correlate": asked.correlate}
    return CollectedPoints(
        x=asked.x,
        y=asked.quantities[0],
        points=points,
        **relations,
        **filled(by=asked.by, over=asked.over, given=asked.given, means=means, warnings=warnings),
        **filled(
            last=asked.last,
            against=None if asked.against is None else value_label(asked.against),
        ),
        **scales(asked),
    )


def means_of(points: list[CollectedPoint], *, apart: bool) -> list[CollectedMean]:
    """Average the points of equal x and `by`, in the order of the first of each.

    Points whose given numbers differ are averaged `apart`, or these numbers too.
    """
    means = []
    for (x, by, _), every in grouped(
        points, lambda each: (each.x, each.by, each.given if apart else None)
    ):
        several = [point for point in every if point.y is not None]
        if not several:
            continue
        mean, stderr = mean_and_error([float(point.y or 0) for point in several])
        if len(several) == 1:
            stderr = several[0].stderr
        fields = filled(by=by or None, stderr=stderr, missed=len(every) - len(several) or None)
        if "given" in several[0]:
            fields["given"] = _mean_given(several)
        means.append(CollectedMean(x=x, y=mean, runs=len(several), **fields))
    return means


def _compared(
    asked: Collect, mean: CollectedMean, points: Sequence[CollectedPoint], shared: Mapping[str, str]
) -> CollectedMean:
    """Add the difference from the runs of `against`: those of this value of `by`, at the same x, or
    without `by` those of this x.
    """

    def known(value: Any, x: Any) -> dict[str, float]:
        return {
            shared[point.run]: float(point.y)
            for point in points
            if point.y is not None
            and same_value(point.by if asked.by else point.x, value)
            and (not asked.by or point.x == x)
        }

    value = mean.by if asked.by else value_label(mean.x)
    compared = (known(value, mean.x), known(asked.against, mean.x))
    found = difference_from(asked.against, value, *compared)
    return mean.model_copy(update=filled(difference=found))


def _mean_given(points: Sequence[CollectedPoint]) -> float | None:
    known = [float(point.given) for point in points if point.given is not None]
    return mean_and_error(known)[0] if len(known) == len(points) else None


def _points(
    asked: Collect, found: Mapping[str, str], documents: Mapping[str, Document], runs: Runs
) -> Iterator[CollectedPoint]:
    """Yield the point of each run, in the order of the runs; the paths `found` are those of
    results, others of the document.
    """
    for run, document in documents.items():
        tree = tree_of(document, defaults=True)
        results = runs.get(run, {})
        values = {
            key: at_path(results, short(path)) if key in found else at_path(tree, path)
            for key, path in asked.paths
        }
        numbers: Values = {key: _number(value) for key, value in values.items()}
        if numbers["x"] is None and _repeated(values["x"]) in (inf, "inf"):
            numbers["x"] = "inf"
        yield CollectedPoint(
            run=run,
            **numbers,
            **filled(
                by=None if asked.by is None else value_label(at_path(tree, asked.by)),
                stderr=_number(at_path(results, f"{short(asked.quantities[0])}_stderr")),
            ),
        )


def _at_last(
    asked: Collect, last: int, point: CollectedPoint, runs: Runs, directory: RunDirectory
) -> CollectedPoint:
    """Replace the number of a run by its mean over the last moments."""
    stage, key = history_path(asked.quantities[0])
    below, results = RunDirectory(directory.path / point.run), runs.get(point.run, {})
    found = last_mean(below, stage, key, last, results[stage]) if stage in results else None
    fields = {k: v for k, v in point.table().items() if k not in ("y", "stderr")}
    mean, stderr = found or (None, None)
    return CollectedPoint(**fields, y=mean, **filled(stderr=stderr))


def _number(value: Any) -> float | None:
    """Return a finite number, or the one that a list repeats; otherwise None."""
    value = _repeated(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or isfinite(value) else None


def _repeated(value: Any) -> Any:
    """Return what a list repeats, and anything else as it is."""
    if isinstance(value, list | tuple) and value and all(item == value[0] for item in value):
        return value[0]
    return value


def by_curve(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Sort the points that have both numbers by the value of `by`."""
    known = [each for each in points if each.x not in (None, "inf") and each.y is not None]
    return dict(grouped(known, lambda each: each.by))


def correlations_of(
    asked: Comparison, points: Sequence[Point]
) -> Iterator[tuple[Correlation, Sequence[Point]]]:
    """Yield the correlation in each curve that has points, or why there is none, and the curve."""
    from ceflow.dynamics import log_correlation, rank_correlation

    compute = log_correlation if asked.correlate == "logarithms" else rank_correlation
    keys = ("x", "y", *(() if asked.given is None else ("given",)))
    known = [point for point in points if asked.given is None or point.given is not None]
    for by, curve in by_curve(known).items():
        fields: Values = filled(by=by or None) | {"runs": len(curve)}
        try:
            found = compute(*([point[key] for point in curve] for key in keys))
        except ValueError as error:
            yield Correlation(**fields, coefficient=None, undefined=str(error)), curve
        else:
            yield Correlation(**fields, **asdict(found)), curve


def fits_of(points: Sequence[Point], key: str | None) -> tuple[list[Fit], list[str]]:
    """Fit a power law to each curve with several x, and say which curves have none."""
    curves = by_curve(points)
    long = {by: curve for by, curve in curves.items() if len({p.x for p in curve}) > 1}
    if not long:
        return [], ["a power law needs two different x: there is no fit"]
    short = "a power law needs two different x"
    several = [by for by, curve in curves.items() if by not in long and len(curve) > 1]
    fits, unfitted = [], [which(key, by) + short for by in several]  # of one point none is expected
    for by, curve in long.items():
        try:
            fits.append(Fit(**({"by": by} if by else {}), **_power(curve)))
        except ValueError as error:
            unfitted.append(f"{which(key, by)}{error}")
    return fits, unfitted


def _power(curve: Sequence[Point]) -> Values:
    """Fit the slope of log y over log x, weighted if each y has a standard error."""
    from ceflow.dynamics import power_law

    x, y = ([point[key] for point in curve] for key in ("x", "y"))
    errors = [point.stderr for point in curve if point.stderr]
    fit, lost = plain(asdict(power_law(x, y, errors if len(errors) == len(y) else None)))
    if lost or not fit["factor"]:
        raise ValueError(f"its power law overflows ({', '.join(lost or ['factor'])})")
    return fit


def _lacking(
    asked: Collect, found: Mapping[str, str], points: list[CollectedPoint], runs: Runs
) -> Iterator[str]:
    """Name the runs that lack one of the requested numbers."""
    for key, path in asked.paths:
        if key in found:
            last = asked.last if key == "y" else None
            yield from _without_result(path, key, points, runs, last)
            continue
        if without := [point.run for point in points if point[key] is None]:
            count = f"{len(without)} of {len(points)}"
            yield f"{path} is not a number, nor a list of equal ones, in {count} runs"
        if key == "x" and (asked.fit == "power" or asked.correlate != "none"):
            infinite = sum(point.x == "inf" for point in points)
            if infinite:
                yield f"{path} is infinite in {infinite} of {len(points)} runs, which are left out"


def _without_result(
    path: str, key: str, points: list[CollectedPoint], runs: Runs, last: int | None
) -> Iterator[str]:
    """Name the runs that lack the result of a stage at this path."""
    stage = short(path).split(".")[0]
    absent = [point.run for point in points if stage not in runs.get(point.run, {})]
    if absent:
        yield missing(stage, absent, len(points))
    without = [p.run for p in points if p[key] is None and p.run not in absent]
    if without and last is not None:
        count = f"{len(without)} of {len(points)} runs"
        yield f"{count} have no finite {path} at each of their last {last} moments"
    elif without:
        result = runs[without[0]][stage]
        numbers = ", ".join(each for each, value in result.items() if _number(value) is not None)
        yield (
            f"{len(without)} of {len(points)} runs have no number {path}; {stage!r} has the"
            f" numbers {numbers}"
        )


def _doubts(asked: Collect, documents: Mapping[str, Document]) -> list[str]:
    """Say why a power law may be doubtful, as far as the stage knows, over all runs."""
    if asked.fit != "power":
        return []
    stage, number = asked.result[0], asked.result[-1]
    kinds = {run: kind_of(document.stages[stage]) for run, document in documents.items()}
    doubts = (kinds[run].doubts(number, d.model) for run, d in documents.items())
    return sorted({doubt for each in doubts for doubt in each})
