"""The report of a [collect] table: numbers in tables and sentences, and a figure."""

from ceflow.blocks import Drawing, Note, ReportBlock
from ceflow.runs.collected import Collected, CollectedCurves, CollectedTable
from ceflow.runs.describing_curves import curves_answer, curves_blocks, curves_drawing
from ceflow.runs.describing_points import points_answer, points_blocks, points_drawing
from ceflow.runs.describing_tables import table_answer, table_blocks


def collected_blocks(name: str, collected: Collected) -> list[ReportBlock]:
    """Show the points, fits and correlations of one [collect] table, or the x at which a level was
    reached; then the figure and the warnings.
    """
    if isinstance(collected, CollectedCurves):
        numbers = curves_blocks(collected)
    elif isinstance(collected, CollectedTable):
        numbers = table_blocks(collected)
    else:
        numbers = points_blocks(collected)
    drawn = collected_drawing(name, collected)
    warnings = [Note(text, warning=True) for text in collected.warnings]
    return [*numbers, *([drawn] if drawn else []), *warnings]


def collected_answer(collected: Collected) -> str:
    """Say in a sentence what a [collect] table shows: its laws and correlations, or where the level
    is reached first, or where y is least and greatest; '' if there are not two numbers to compare.
    """
    if isinstance(collected, CollectedCurves):
        return curves_answer(collected)
    if isinstance(collected, CollectedTable):
        return table_answer(collected)
    return points_answer(collected)


def collected_drawing(name: str, collected: Collected) -> Drawing | None:
    """Draw one [collect] table; None if there is nothing to draw."""
    if isinstance(collected, CollectedCurves):
        return curves_drawing(name, collected)
    return points_drawing(name, collected)
