"""A run in the terminal: the plan as a tree, the result of each stage, where the files are."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text
from rich.tree import Tree

from ceflow.blocks import Curve, Note, ReportBlock, Table, counted, drawable, number, shown
from ceflow.compiler import Plan
from ceflow.report.comparing import Comparison
from ceflow.report.heatmap import draw_heatmap
from ceflow.report.layers import add_network, costs, networks_along
from ceflow.report.plot import draw
from ceflow.report.sections import Section, run_sections
from ceflow.report.tables import GAP, fitted
from ceflow.report.text import of_sessions, seconds, size
from ceflow.report.trouble import trouble
from ceflow.runs import Needs, known_results
from ceflow.runs.record import in_a_word, read_state, started
from ceflow.spec import Stage, printable
from ceflow.store import Damaged, RunDirectory


def plan_tree(
    plan: Plan, needs: Mapping[str, Needs] | None = None, total: Needs | None = None
) -> Tree:
    """Draw the document as a tree.

    It shows the data, the layers with shapes and counts, the stages and their needs, and the
    `total` of a sweep.
    """
    document = plan.document
    tree = Tree(
        Text.assemble((document.name, "bold"), f"  seed {document.seed}, {document.precision}")
    )
    if plan.data and document.data:
        extent = plan.data
        counts = f"{number(extent.train)} training and {counted(extent.test, 'test example')}"
        shape = f"{counted(extent.inputs, 'input')}, {counted(extent.outputs, 'output')}"
        source = Text.assemble("data  ", (document.data.source, "cyan"), f"  {counts}, {shape}")
        branch = tree.add(source)
        if extent.left_out:
            branch.add(f"{counted(extent.left_out, 'image')} left out, which cannot be decoded")
        if steps := document.data.preparation:
            given = ", then ".join(f"{key} = {json.dumps(value)}" for key, value in steps.items())
            branch.add(Text.assemble("inputs  ", given))
    model = tree.add(Text.assemble("model  ", (plan.model.type, "cyan"), f"  {costs(plan.root)}"))
    add_network(model, plan)
    if document.sweep:
        names = list(plan.variants)
        listed = networks_along(plan) or names
        first = [*listed[:8], *(["..."] if len(listed) > 8 else [])]
        together = f"  in all {_needed(total)}" if total else ""
        along = f" along {document.sweep.along}" if document.sweep.along else ""
        runs = tree.add(Text.assemble(f"sweep  {len(names)} runs{along}", (together, "dim")))
        for name in first:
            runs.add(Text(name))
    if document.stages:
        most = "  with the most that one run needs" if document.sweep and needs else ""
        branch = tree.add(Text.assemble("stages", (most, "dim")))
        for name, stage in document.stages.items():
            branch.add(_stage_line(name, stage, (needs or {}).get(name)))
    return tree


def _stage_line(name: str, stage: Stage, needs: Needs | None) -> Text:
    on = f" of {stage.model}" if stage.model else ""
    line = Text.assemble((name, "bold"), "  ", (stage.type, "cyan"), on)
    if needs:
        remarks = "".join(f"; {remark}" for remark in needs.remarks)
        line.append(f"  {_needed(needs)}{remarks}", "dim")
    return line


def _needed(needs: Needs) -> str:
    """Write memory, disk and seconds in a line."""
    disk = f", disk {size(needs.disk)}" if needs.disk else ""
    more = f", at most {seconds(needs.longest)}" if needs.adaptive else ""
    return f"memory {size(needs.memory)}{disk}, {seconds(needs.seconds)}{more}"


def _section(section: Section) -> Group:
    """Show a section under a rule with its name."""
    time = f"  {seconds(section.seconds)}{of_sessions(section.sessions)}" if section.seconds else ""
    kind = f"  {section.kind}" if section.kind else ""
    title = Text.assemble((printable(section.name), "bold"), f"{kind}{time}")
    indented = (Padding(_block(block), (0, 0, 0, 2), expand=False) for block in section.blocks)
    return Group(Rule(title, align="left", style="dim"), *indented)


def _block(block: ReportBlock) -> RenderableType:
    """Render a block for the terminal. All results and names are printed through this function."""
    block = shown(block)
    if isinstance(block, Note):
        return Text(f"warning: {block.text}", style="yellow") if block.warning else Text(block.text)
    if isinstance(block, Table):
        return _Fitted(block)
    drawing, left_out = drawable(block)
    lines = draw(drawing) if isinstance(drawing, Curve) else draw_heatmap(drawing)
    note = [Text(left_out, style="yellow")] if left_out else []
    title, *canvas = lines  # of which the canvas alone must not be wrapped
    return Group("", Text.assemble(title), *map(_cropped, canvas), *note)


def _cropped(line: str | Text) -> Text:
    """Crop a line of a drawing, which must not be wrapped."""
    return Text.assemble(line, no_wrap=True, overflow="crop")


@dataclass(frozen=True)
class _Fitted:
    """A table that is arranged in the columns there are when it is printed."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        numeric = len(self.table.columns) > 2
        for index, part in enumerate(fitted(self.table, options.max_width)):
            if index:
                yield ""
            yield _grid(part, numeric=numeric)


def _grid(table: Table, *, numeric: bool) -> RichTable:
    """Draw a table of texts; all columns but the first are aligned to the right if `numeric`."""
    grid = RichTable(
        box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=any(table.columns),
        header_style="dim",
    )  # fmt: skip
    for index, column in enumerate(table.columns):
        justify = "right" if numeric and index else "left"
        grid.add_column(Text(column), justify=justify, vertical="bottom", no_wrap=True)
    for row in table.rows:
        grid.add_row(*(Text(str(cell)) for cell in row))
    return grid


def runs_report(folder: Path) -> RenderableType | None:
    """Report the runs in a folder; None if there are none."""
    blocks = runs_in(folder)
    return blocks and _block(blocks)


def trouble_report(directory: RunDirectory, plan: Plan) -> Iterator[RenderableType]:
    """Describe an unfinished or damaged run, and how to continue it; nothing for an intact one."""
    _, lost = known_results(directory, plan.document.stages)
    lines = [printable(line) for line in trouble(directory.path, read_state(directory), lost)]
    if not lines:
        return
    yield Text(lines[0], "bold yellow")
    for line in lines[1:]:
        yield Padding(Text(line, "yellow"), (0, 0, 0, 2), expand=False)
    yield ""


def run_report(directory: RunDirectory, plan: Plan) -> Iterator[RenderableType]:
    """Report all results of a run, from its directory alone."""
    for section in run_sections(directory, plan):
        yield _section(section) if section.name else Group(*map(_block, section.blocks))
        yield ""
    yield files_line(directory.path)


def comparison_report(comparison: Comparison) -> Iterator[RenderableType]:
    """Report what differs between runs."""
    for title, blocks in comparison.sections():
        yield _section(Section(title, "", blocks))
        yield ""


def files_line(path: Path) -> Text:
    """Name the folder of the run and the files in it; runs of a sweep are counted."""
    items = [item for item in sorted(path.iterdir()) if not item.name.startswith(".")]
    runs = sum(RunDirectory(item).exists for item in items)
    names = [
        f"{item.name}/" if item.is_dir() else item.name
        for item in items
        if not RunDirectory(item).exists
    ] + ([f"a directory for each of {counted(runs, 'run')}"] if runs else [])
    folder = (printable(f"{path}/"), "bold")
    return Text.assemble("files in ", folder, printable(f"  {', '.join(names)}"))


def runs_in(folder: Path) -> Table | None:
    """List the runs directly in a folder, by name; None if there are none."""
    rows = tuple(_rows(folder))
    return Table(("run", "state", "started"), rows) if rows else None


def _rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            directory = RunDirectory(path)
            if directory.exists:
                yield _row(directory)


def _row(directory: RunDirectory) -> tuple[str, str, str]:
    try:
        state = read_state(directory)
    except Damaged:
        return str(directory.path), "damaged", ""
    return str(directory.path), in_a_word(directory.path, state), started(state)
