"""Comparison of the networks of a table of results: their costs and variances against what the
table says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from ceflow import search
from ceflow.compiler import Plan
from ceflow.runs.collected import (
    CollectedPoint,
    CollectedTable,
    Correlation,
    JointCorrelation,
    TableRow,
    filled,
    grouped,
    scales,
)
from ceflow.runs.collecting import Point, correlations_of, fits_of, means_of
from ceflow.runs.published import Published, published
from ceflow.seeding import Seed
from ceflow.spec import CollectTable, Fault, SpecError
from ceflow.spec.tabulated import ADDED
from ceflow.stages import Values
from ceflow.stages.stage import finite
from ceflow.store.digests import facts

SAME = 0.01
"""Relative difference up to which a number of the table is that which is computed."""


def tabulated(
    asked: CollectTable, name: str, plan: Plan, found: Mapping[str, Values]
) -> CollectedTable:
    """Evaluate a `[collect.NAME]` table of results; `found` has the results of the stages.

    Raises `SpecError` as `published` does, and `ValueError` if the stage found no alpha.
    """
    lines = published(asked, name, plan)
    alpha = asked.alpha
    if asked.variance is not None:
        if asked.variance not in found:
            raise ValueError(f"the stage {asked.variance!r} has not run, so that alpha is unknown")
        alpha = found[asked.variance].get("alpha")
        if alpha is None:
            raise ValueError(f"{asked.variance!r} found no alpha; see its warnings")
    computed = [_computed(line, plan, alpha) for line in lines]
    points = [_point(asked, *each) for each in zip(lines, computed, strict=True)]
    means = means_of(points, apart=True) if asked.over else []
    drawn: Sequence[Point] = means or points
    seed = Seed(plan.document.seed).fold("collect").fold(name)
    relations: Values = {}
    warnings = [*_lacking(asked, points), *_disagreeing(lines, computed)]
    if asked.fit == "power":
        relations["fits"], unfitted = fits_of(drawn, _by(asked))
        warnings += unfitted
    if asked.correlate != "none":
        relations["correlations"] = list(_correlations(asked, drawn, seed))
        relations |= filled(joint=_joint(asked, drawn, seed.fold("joint")))
    path = plan.collected_path(name)
    return CollectedTable(
        file=str(path),
        sha256=facts(path)["sha256"],
        x=asked.x,
        y=asked.y,
        points=points,
        rows=list(_rows(asked, lines, computed, points)),
        **relations,
        **filled(
            alpha=alpha,
            by=_by(asked),
            over=asked.over,
            given=asked.given,
            means=means,
            warnings=warnings,
            correlate=asked.correlate if asked.correlate != "none" else None,
        ),
        **scales(asked),
    )


def table_faults(asked: CollectTable, name: str, plan: Plan) -> Iterator[Fault]:
    """Find what keeps a `[collect.NAME]` table of results from being read."""
    try:
        for line in published(asked, name, plan):
            _computed(line, plan, asked.alpha)
    except SpecError as error:
        yield from error.faults


def _by(asked: CollectTable) -> str | None:
    return ", ".join(asked.groups) or None


def _computed(line: Published, plan: Plan, alpha: float | None) -> Values:
    """Compute the added columns of a line."""
    model = line.model
    root = plan.expand(model)
    values: Values = {
        "parameters": int(root.parameters),
        "flops": int(root.flops),
        "fan_in_sum": model.member.fan_in_sum,
    }
    if (known := line.alpha or alpha) is not None:
        values["variance"] = finite(search.Exponential(known)(model.member) / model.multiplicity)
    return values


def _point(asked: CollectTable, line: Published, computed: Values) -> CollectedPoint:
    def value(column: str) -> float | int | None:
        return computed[column] if column in computed else line.number(column)

    fields: Values = {"given": value(asked.given)} if asked.given else {}
    fields |= {"by": line.by} if asked.groups else {}
    return CollectedPoint(run=line.name, x=value(asked.x), y=value(asked.y), **fields)


def _rows(
    asked: CollectTable,
    lines: Sequence[Published],
    computed: Sequence[Values],
    points: Sequence[CollectedPoint],
) -> Iterator[TableRow]:
    ranks = {key: _ranks(points, key) for key in ("x", "y")}
    for index, (line, values) in enumerate(zip(lines, computed, strict=True)):
        said = {column: _cell(line, column) for column, cell in line.row.cells.items() if cell}
        yield TableRow(
            line=line.row.line,
            network=line.name,
            said=said,
            **values,
            x_rank=ranks["x"].get(index),
            y_rank=ranks["y"].get(index),
        )


def _cell(line: Published, column: str) -> float | int | str:
    try:
        number = line.number(column)
    except SpecError:
        number = None
    return line.row.cells[column] if number is None else number


def _ranks(points: Sequence[CollectedPoint], key: str) -> dict[int, float]:
    """Rank the numbers of each group, by the index of their point."""
    import numpy as np

    from ceflow.dynamics import centred_ranks

    ranks: dict[int, float] = {}
    known = [(i, point) for i, point in enumerate(points) if point[key] is not None]
    for _, group in grouped(known, lambda each: each[1].by):
        values = np.array([float(point[key]) for _, point in group])
        found = centred_ranks(values) + (len(values) + 1) / 2
        ranks |= {index: float(rank) for (index, _), rank in zip(group, found, strict=True)}
    return ranks


def _columns(asked: CollectTable, curve: Sequence[Point]) -> tuple[list[float], ...]:
    keys = ("x", "y", *(() if asked.given is None else ("given",)))
    return tuple([point[key] for point in curve] for key in keys)


def _correlations(
    asked: CollectTable, points: Sequence[Point], seed: Seed
) -> Iterator[Correlation]:
    """Compute the correlation in each group, with its p value by permutations."""
    from ceflow.dynamics import joint_correlation

    for each, curve in correlations_of(asked, points):
        if each.coefficient is None:
            yield each
            continue
        columns = [_columns(asked, curve)]
        random = seed.fold(each.by).numpy()
        tested = joint_correlation(columns, asked.correlate, most=asked.permutations, random=random)
        p = {key: getattr(tested, key) for key in ("p_value", "permutations", "resolution")}
        yield each.model_copy(update=p)


def _joint(asked: CollectTable, points: Sequence[Point], seed: Seed) -> JointCorrelation | None:
    """Test the mean correlation of the groups that have one; None if there are not several."""
    from ceflow.dynamics import joint_correlation

    groups = [
        _columns(asked, curve)
        for each, curve in correlations_of(asked, points)
        if each.coefficient is not None
    ]
    if len(groups) < 2:
        return None
    random = seed.numpy()
    tested = joint_correlation(groups, asked.correlate, most=asked.permutations, random=random)
    found = asdict(tested)
    del found["exact"]
    return JointCorrelation(groups=len(groups), **found)


def _lacking(asked: CollectTable, points: Sequence[CollectedPoint]) -> Iterator[str]:
    """Count the lines without a number."""
    for key, column in (("x", asked.x), ("y", asked.y), ("given", asked.given)):
        without = [point.run for point in points if column and point[key] is None]
        if without:
            yield f"{len(without)} of {len(points)} lines have no {column}, and are left out"


def _disagreeing(lines: Sequence[Published], computed: Sequence[Values]) -> Iterator[str]:
    """Say which numbers of the table are not those that are computed of its networks."""
    for column in ADDED:
        if column not in lines[0].row.cells:
            continue
        apart = [
            (line, number, values[column])
            for line, values in zip(lines, computed, strict=True)
            if isinstance(number := _cell(line, column), int | float)
            and values.get(column) is not None
            and abs(number - values[column]) > SAME * abs(values[column])
        ]
        if apart:
            line, number, ours = apart[0]
            yield (
                f"{column} in {len(apart)} of {len(lines)} lines is not that of the network, which"
                f" is used: line {line.row.line} has {number:,} for {line.name}, which has {ours:,}"
            )
