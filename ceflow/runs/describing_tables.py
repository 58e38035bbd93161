"""The report of a [collect] table of results: networks, correlations and how they are tested."""

import math

from ceflow.blocks import Cell, Note, ReportBlock, Table
from ceflow.runs.collected import CollectedPoint, CollectedTable, TableRow
from ceflow.runs.describing_points import correlation_blocks, correlation_name, points_answer
from ceflow.runs.describing_points import points_blocks as means_blocks

MOST_SHOWN = 20
"""Maximum number of networks that are shown beside a correlation."""


def table_answer(collected: CollectedTable) -> str:
    """State the mean correlation over groups, or else as for the runs of a sweep."""
    joint = collected.joint
    if joint is None:
        return points_answer(collected)
    third = f", given {collected.given}" if collected.given else ""
    return (
        f"{correlation_name(collected)} of {collected.x} and {collected.y}{third}:"
        f" {joint.coefficient:.3f} in the mean over {joint.groups} groups, p = {joint.p_value:.2g}"
    )


def table_blocks(collected: CollectedTable) -> list[ReportBlock]:
    """Tabulate the networks with their ranks, the correlations, and the permutations behind p."""
    if collected.means:
        blocks = means_blocks(collected)[: 1 if collected.correlations else None]
    else:
        answer = table_answer(collected)
        blocks = [*([Note(answer)] if answer else []), _networks(collected)]
        if collected.correlations and len(collected.rows) > MOST_SHOWN:
            blocks[-1] = Note(f"{len(collected.rows)} networks, which results.json lists")
    if not collected.correlations:
        return blocks
    return [*blocks, *correlation_blocks(collected, "networks"), *_tests(collected)]


def _networks(collected: CollectedTable) -> Table:
    third = (collected.given,) if collected.given else ()
    by = (collected.by,) if collected.by else ()
    head = ("network", *by, *third, collected.x, "rank", collected.y, "rank")
    pairs = zip(collected.points, collected.rows, strict=True)
    return Table(head, tuple(_row(collected, *pair) for pair in pairs))


def _row(collected: CollectedTable, point: CollectedPoint, row: TableRow) -> tuple[Cell, ...]:
    third = (_cell(point.given),) if collected.given else ()
    by = (point.by,) if collected.by else ()
    numbers = (_cell(point.x), _cell(row.x_rank), _cell(point.y), _cell(row.y_rank))
    return (row.network, *by, *third, *numbers)


def _cell(value: Cell | None) -> Cell:
    return "" if value is None else value


def _tests(collected: CollectedTable) -> list[ReportBlock]:
    """Say how many permutations each p counts, and the least that they can give."""
    counts = sorted(
        {
            (each.runs, each.permutations, each.resolution)
            for each in collected.correlations
            if each.permutations and each.resolution
        }
    )
    parts = [f"{_counted(runs, count)}, so none below {least:.2g}" for runs, count, least in counts]
    of = f"what {collected.given} leaves of {collected.y}" if collected.given else collected.y
    notes = [f"p counts permutations of {of}: {'; '.join(parts)}"] if parts else []
    if (joint := collected.joint) is not None:
        drawn = joint.permutations - 1
        notes.append(
            f"mean over the {joint.groups} groups: {joint.coefficient:.3f}, p = {joint.p_value:.2g}"
            f" by {drawn:,} random permutations within groups, so none below {joint.resolution:.2g}"
        )
    return [Note(text) for text in notes]


def _counted(runs: int, permutations: int) -> str:
    """Say how many permutations of some networks were counted."""
    if permutations == math.factorial(runs):
        return f"all {permutations:,} of {runs} networks"
    return f"{permutations - 1:,} random ones of {runs}"
