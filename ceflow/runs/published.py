"""Networks whose results stand in a table: the lines of a CSV file, each as a model."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ceflow.compiler import Plan
from ceflow.data.separated import DECIMAL_COMMA, Row, read_separated
from ceflow.spec import (
    CollectTable,
    Fault,
    Model,
    Resnext,
    SpecError,
    network_name,
    read_network,
    tree_of,
)
from ceflow.spec.base import LARGEST_COUNT
from ceflow.spec.models.layers import below
from ceflow.spec.models.model import End
from ceflow.spec.notation import NETWORK_PATTERN
from ceflow.spec.reading import validate
from ceflow.spec.suggest import did_you_mean
from ceflow.spec.tabulated import ADDED

HELP = (
    "a table has a line of column names, as 'network,depth,error', then one line a network, as"
    " '8x64d,29,3.65'"
)
MEMBERS = ("cardinality", "multiplicity")
WIDTHS = ("base_width", "widths", "width")
"""Columns that together are as good as the name of a network."""
OF_RESNEXT = ("depth", "blocks", "stem")
"""Columns of resnexts alone."""
IMAGENET_BLOCKS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of the ResNets of these depths with the imagenet stem."""
ENDS: tuple[End, End] = ("inputs", "outputs")
LAYERS_OF_BLOCK = 3
"""Convolutions of a block; the stem and the last layer add two layers to the depth."""


@dataclass(frozen=True)
class Published:
    """A line of the table, and the network that it is about."""

    row: Row
    name: str
    model: Model
    by: str
    """Values of the columns of `by`."""
    alpha: float | None
    """The alpha of its column, if there is one."""

    def number(self, column: str) -> float | int | None:
        """Read the number in a column; None for an empty cell."""
        return _number(self.row, column) if self.row.cells[column] else None


def published(asked: CollectTable, name: str, plan: Plan) -> list[Published]:
    """Read the networks of a `[collect.NAME]` table.

    Raises `SpecError`, placed at the line of the file, for a network that cannot be read, a cell
    that is no number, and a line that repeats another; and at the key of the document for a column
    that there is not.
    """
    path = plan.collected_path(name)
    found = read_separated(path, HELP)
    with below("collect", name):
        _require_columns(asked, found.columns, plan.model)
        _require_alpha(asked, found.columns)
    rows = [row for row in found.rows if _is_asked(asked, row)]
    if not rows:
        message = "no line of the table is asked for" if found.rows else f"{path} has no lines"
        key = ("collect", name, "where" if found.rows else "table")
        raise SpecError(Fault("CE302", message, key, help=HELP))
    read = {column for column in (asked.x, asked.y, asked.given) if column in found.columns}
    lines, faults = [], []
    for row in rows:
        try:
            lines.append(_published(asked, row, plan))
            for column in sorted(read):
                lines[-1].number(column)
        except SpecError as error:
            faults += error.faults
    if faults:
        raise SpecError(*faults)
    _refuse_repeated(asked, lines)
    return lines


def _require_columns(asked: CollectTable, columns: Sequence[str], model: Model) -> None:
    for key, column in asked.columns:
        known = [*columns, *(ADDED if key in ("x", "y", "given") else ())]
        if column not in known:
            path = ("where", column) if key == "where" else (key,)
            part = "key" if key == "where" else "value"
            help = did_you_mean(column, known)
            message = f"the table has no column {column!r}"
            raise SpecError(Fault("CE201", message, path, part, help))
    if "network" not in columns and not (_first(MEMBERS, columns) and _first(WIDTHS, columns)):
        message = (
            "the table has no column 'network' (members x width, as 8x64d), and not both of"
            " 'cardinality' and 'base_width'"
        )
        raise SpecError(
            Fault("CE302", message, ("table",), help=f"its columns are {_list(columns)}")
        )
    wrong = [column for column in OF_RESNEXT if column in columns]
    if wrong and not _has_blocks(model):
        message = f"the column {wrong[0]!r} says the form of a resnext, and the [model] is none"
        help = "give the [model] the type resnext, or call the column otherwise"
        raise SpecError(Fault("CE302", message, ("table",), help=help))


def _require_alpha(asked: CollectTable, columns: Sequence[str]) -> None:
    known = asked.alpha is not None or asked.variance is not None or "alpha" in columns
    if asked.uses_variance and not known:
        message = "the variance of these networks needs alpha"
        help = 'add alpha = 3.1, or variance = "a variance stage", or a column alpha'
        raise SpecError(Fault("CE102", message, part="key", help=help))


def _has_blocks(model: Model) -> bool:
    return "blocks" in type(model).model_fields


def _is_asked(asked: CollectTable, row: Row) -> bool:
    return all(
        any(_same(row.cells[column], value) for value in values)
        for column, values in asked.where.items()
    )


def _same(cell: str, value: str | float) -> bool:
    """Tell whether a cell holds a value; numbers may be written in several ways."""
    if isinstance(value, str):
        return cell == value
    try:
        return float(cell) == value
    except ValueError:
        return False


def _published(asked: CollectTable, row: Row, plan: Plan) -> Published:
    members, widths = _members(row, plan.model)
    changes = dict(_of_resnext(row, Resnext.expect(plan.model))) if _has_blocks(plan.model) else {}
    sizes = {end: plan.model.size_of(end) for end in ENDS}
    if "outputs" in row.cells:
        sizes["outputs"] = _whole(row, "outputs")
    model = plan.model.with_members(widths, members)
    model = model.replaced(changes).sized(**sizes)
    try:
        again = validate({"model": tree_of(model)})
    except SpecError as error:
        raise row.wrong(error.faults[0].message, help=HELP) from None
    if faults := again.model.faults():
        raise row.wrong(faults[0].message, help=faults[0].help)
    by = " ".join(row.cells[column] for column in asked.groups)
    alpha = _positive(row, "alpha") if "alpha" in row.cells else None
    return Published(row, network_name(members, widths), again.model, by, alpha)


def _members(row: Row, model: Model) -> tuple[int, tuple[int, ...]]:
    """Read the multiplicity and the widths of the members."""
    layers = len(model.widths)
    if "network" in row.cells:
        column = "network"
        name = re.sub(r"\s", "", row.cells[column]).replace("×", "x")
        if not re.fullmatch(NETWORK_PATTERN, name):
            message = f"{row.cells[column]!r} is no name of a network: members x width, as 8x64d"
            raise row.wrong(message, column)
        members, widths = read_network(name)
    else:
        column = _first(WIDTHS, row.cells) or ""
        members = _whole(row, _first(MEMBERS, row.cells) or "")
        widths = _several(row, column)
    if not all(1 <= each <= LARGEST_COUNT for each in (members, *widths)):
        message = f"{row.cells[column]!r} has a count that is not from 1 to 10^12"
        raise row.wrong(message, column)
    if len(widths) not in (1, model.width_count):
        message = f"{row.cells[column]!r} has {len(widths)} widths, the [model] {model.width_count}"
        raise row.wrong(message, column)
    return members, widths if len(widths) == layers else widths * layers


def _of_resnext(row: Row, model: Resnext) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a resnext that a line sets."""
    stem = row.cells.get("stem", model.stem)
    if stem not in ("cifar", "imagenet"):
        raise row.wrong(f"the stem {stem!r} is neither cifar nor imagenet", "stem")
    yield "stem", stem
    if "blocks" in row.cells:
        yield "blocks", _several(row, "blocks")
    elif "depth" in row.cells:
        yield "blocks", _blocks(row, stem, len(model.blocks))


def _blocks(row: Row, stem: str, stages: int) -> tuple[int, ...]:
    """Return the blocks of a ResNeXt of this depth: with the cifar stem evenly many per stage."""
    depth = _whole(row, "depth")
    if stem == "imagenet" and depth in IMAGENET_BLOCKS:
        return IMAGENET_BLOCKS[depth]
    blocks, rest = divmod(depth - 2, LAYERS_OF_BLOCK * stages)
    if stem == "imagenet" or rest or blocks < 1:
        known = ", ".join(map(str, IMAGENET_BLOCKS)) if stem == "imagenet" else ""
        which = known or f"{LAYERS_OF_BLOCK * stages} times the blocks of a stage, plus 2"
        message = f"depth {depth} is none of a resnext of {stages} stages: {which}"
        raise row.wrong(message, "depth", "give a column blocks instead, as 3-4-6-3")
    return (blocks,) * stages


def _refuse_repeated(asked: CollectTable, lines: Sequence[Published]) -> None:
    """Raise `SpecError` for two lines about one network, unless they are averaged or told apart."""
    seen: dict[Any, Published] = {}
    for line in lines:
        over = line.row.cells[asked.over] if asked.over else ""
        first = seen.setdefault((repr(tree_of(line.model)), line.by, over), line)
        if first is line:
            continue
        ours = [key for key, each in line.row.cells.items() if each != first.row.cells[key]]
        apart = [key for key in ours if key not in (asked.x, asked.y, asked.given)]
        help = "leave one of them out, or number them in a column, named at over"
        if apart:
            help = f'tell them apart by a column, as by = "{apart[0]}" or over = "{apart[0]}"'
        message = f"{line.name} is repeated: line {first.row.line} is about the same network"
        raise line.row.wrong(message, help=help)


def _number(row: Row, column: str) -> float | int:
    cell = row.cells[column]
    try:
        value = float(cell.replace("_", "?"))  # only Python allows underscores
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        help = "leave the cell empty if unknown"
        if DECIMAL_COMMA.fullmatch(cell):
            help = "write a decimal point, or separate all cells by semicolons"
        raise row.wrong(f"{column} {cell!r} is no number", column, help)
    return int(value) if value == int(value) and "." not in cell else value


def _positive(row: Row, column: str) -> float:
    value = _number(row, column)
    if value <= 0:
        raise row.wrong(f"{column} {row.cells[column]!r} is not above 0", column)
    return float(value)


def _whole(row: Row, column: str) -> int:
    value = _positive(row, column)
    if value != int(value) or value > LARGEST_COUNT:
        message = f"{column} {row.cells[column]!r} is no whole number up to 10^12"
        raise row.wrong(message, column)
    return int(value)


def _several(row: Row, column: str) -> tuple[int, ...]:
    """Read whole numbers such as `3-4-6-3` or `[3, 4, 6, 3]`."""
    cell = row.cells[column]
    if not re.fullmatch(r"[\[(]?\s*[0-9]{1,13}([\s,;-]+[0-9]{1,13})*\s*[\])]?", cell):
        raise row.wrong(f"{column} {cell!r} is no list of whole numbers, as 3-4-6-3", column)
    return tuple(map(int, re.findall("[0-9]+", cell)))


def _first(names: Sequence[str], columns: Any) -> str | None:
    return next((name for name in names if name in columns), None)


def _list(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns))
