"""Sweeps: many documents made from one, with values for some of its keys."""

import copy
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zlib import crc32

from pydantic import ConfigDict, Field

from ceflow.spec.base import KeyPath, Spec
from ceflow.spec.diagnostics import MOST_FAULTS, Fault, SpecError, cut, dotted
from ceflow.spec.suggest import did_you_mean
from ceflow.spec.trees import child, index_of, numbering

if TYPE_CHECKING:
    from ceflow.spec.document import Document

MOST_RUNS = 1000
"""Maximum number of runs of a sweep."""

MOST_PATHS = 20
"""Maximum number of swept paths."""

LONGEST_NAME = 100
"""Number of characters that a name may have. What is kept of a longer name of a run is followed by
a hash."""

MOST_VALUES = 100_000
"""Maximum number of values that all documents of a sweep may hold together."""


class Sweep(Spec):
    """A run for every combination of values (`grid`), or one for the first value of each path, one
    for the second, and so on (`zip`). Every other key is a path in the document, in quotes, with
    the values that it takes.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        init=False
    )

    mode: Literal["grid", "zip"] = "grid"
    """`grid`: one run for every combination, with the last path varying fastest; `zip`: one run for
    the first value of each path, one for the second, and so on. No two runs may be equal."""

    along: str | None = None
    """The curve of a search, as `"best.primal"` or `"best.dual"`: one run for each width of its
    candidates, with its number of members: see [along a curve](sweeps.md#along-a-curve)."""

    cross: Sequence[str] | None = None
    """With `zip`, paths that are not zipped: every zipped run is made with each of their values, as
    `cross = ["seed"]` does for several seeds."""

    def with_path(self, path: str, values: list[Any]) -> "Sweep":
        """Return the sweep with a further path before the others."""
        keys: dict[str, Any] = {} if self.cross is None else {"cross": self.cross}
        return type(self)(mode=self.mode, along=self.along, **keys, **{path: values}, **self.paths)

    @property
    def paths(self) -> dict[str, list[Any]]:
        """The swept paths and their values."""
        return dict(self.__pydantic_extra__)

    def faults(self) -> list[Fault]:
        lengths = {path: len(values) for path, values in self.paths.items()}
        if not lengths:
            help = '"model.widths" = [[50, 50], [500, 500]]'
            return [Fault("CE102", "a sweep needs a path with values", part="key", help=help)]
        if fault := self._cross_fault():
            return [fault]
        zipped = {path: lengths[path] for path in self.zipped}
        if len(set(zipped.values())) > 1:
            counts = ", ".join(f"{path} {length}" for path, length in zipped.items())
            message = f"a zip needs equally many values of each path: {counts}"
            help = 'use mode = "grid"'
            if "seed" in zipped and len({n for path, n in zipped.items() if path != "seed"}) == 1:
                help = 'add cross = ["seed"], which makes each of the others with every seed'
            return [Fault("CE202", message, ("mode",), help=help)]
        if len(lengths) > MOST_PATHS:
            return [Fault("CE104", f"a sweep over more than {MOST_PATHS} paths", part="key")]
        for path in lengths:
            if path.partition(".")[0] in ("sweep", "collect", "name", "extends", "ceflow"):
                return [Fault("CE206", f"{cut(path, 60)} cannot be swept", (path,), "key")]
        if sum(1 for _ in itertools.islice(self.combinations(), MOST_RUNS + 1)) > MOST_RUNS:
            return [Fault("CE104", f"a sweep of more than {MOST_RUNS} runs", part="key")]
        return []

    def combinations(self) -> Iterator[dict[str, int]]:
        """Yield the runs, each as an index into the values of every path."""
        each = {
            path: [{path: index} for index in range(len(values))]
            for path, values in self.paths.items()
        }
        zipped = [each.pop(path) for path in self.zipped]
        groups = [[_merged(row) for row in zip(*zipped, strict=True)]] if zipped else []
        for chosen in itertools.product(*groups, *each.values()):
            values = _merged(chosen)
            yield {path: values[path] for path in self.paths}

    @property
    def zipped(self) -> list[str]:
        """The paths whose values are taken together; none in a grid."""
        crossed = self.cross or ()
        return [path for path in self.paths if self.mode == "zip" and path not in crossed]

    def follows(self, path: str, others: Collection[str | None]) -> bool:
        """Tell whether the value of a zipped path follows from those of others, zipped with it."""
        named = [other for other in others if other in self.zipped]
        rows = list(zip(*(map(repr, self.paths[other]) for other in named), strict=True))
        return path in self.zipped and len(set(rows)) == len(rows) > 0

    def _cross_fault(self) -> Fault | None:
        """Find paths to cross that are not swept, or nothing that they could be crossed with."""
        if self.cross is None:
            return None
        if self.mode == "grid":
            message = "cross is for a zip: in a grid all paths are crossed"
            return Fault("CE202", message, ("cross",), "key", 'leave it out, or use mode = "zip"')
        for index, path in enumerate(self.cross):
            if path not in self.paths:
                help = did_you_mean(path, list(self.paths))
                return Fault("CE201", f"{path!r} is not swept", ("cross", index), help=help)
        return None


def _merged(tables: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return {path: index for table in tables for path, index in table.items()}


def variants(document: "Document") -> dict[str, "Document"]:
    """Build the documents of a sweep, named after their values: `widths=50-50,seed=1`.

    Raises `SpecError`, placed at the swept values, if one of the documents has faults.

    >>> from ceflow.spec import loads
    >>> swept = loads('''
    ... model = {type = "mlp", widths = [3], inputs = 1, outputs = 1}
    ... sweep = {"model.widths" = [[3], [4, 4]], seed = [0, 1]}
    ... ''')
    >>> list(variants(swept))
    ['widths=3,seed=0', 'widths=3,seed=1', 'widths=4-4,seed=0', 'widths=4-4,seed=1']
    """
    from ceflow.spec.writing import tree_of

    assert document.sweep is not None
    base = tree_of(document.replaced({"sweep": None, "collect": {}}))
    runs = min(MOST_RUNS, math.prod(map(len, document.sweep.paths.values())))
    if runs * _size(base) > MOST_VALUES:
        raise SpecError(
            Fault(
                "CE104",
                f"the documents of the sweep hold more than {MOST_VALUES:,} values together",
                ("sweep",),
                "key",
            )
        )
    blame = _Blame(document, base)
    found, faults = {}, {}
    same: dict[str, dict[str, int]] = {}
    for chosen in document.sweep.combinations():
        try:
            name, variant = _variant(document, base, chosen)
        except SpecError as error:
            for fault in error.faults:
                blame.put(fault, chosen)
            if blame.count >= MOST_FAULTS:
                break
            continue
        first = same.setdefault(repr(tree_of(variant.replaced({"name": "x"}))), chosen)
        if first is not chosen:
            fault = _repeated(document.sweep, chosen, first)
            faults[fault.path, fault.message] = fault
        found[_unused(name, found)] = variant
    if faults or blame.count:
        raise SpecError(*blame.faults(), *faults.values())
    return found


class _Blame:
    """Collects the faults of a sweep's documents, each once, and places them at the values that
    cause them.
    """

    def __init__(self, document: "Document", base: dict[str, Any]):
        self._document, self._base = document, base
        self._placed: dict[tuple[KeyPath, str], Fault] = {}
        self._runs: dict[Fault, list[str]] = {}
        self._alone: dict[tuple[str, int], frozenset[tuple[str, KeyPath]]] = {}

    @property
    def count(self) -> int:
        return len(self._placed) + len(self._runs)

    def put(self, fault: Fault, chosen: dict[str, int]) -> None:
        """Add a fault of the document with these chosen values."""
        placed = _blamed(fault, chosen)
        if placed is fault and fault.path[:1] != ("sweep",):
            guilty = [step for step in chosen.items() if self._brings(step, fault, chosen)]
            if len(guilty) != 1:
                self._runs.setdefault(fault, []).append(_run_name(self._document, chosen))
                return
            placed = _through_value(fault, *guilty[0])
        self._placed.setdefault((placed.path, placed.message), placed)

    def faults(self) -> list[Fault]:
        """List each fault at the one value that causes it, or at a run that has it if it needs
        several values.
        """
        return [*self._placed.values(), *itertools.starmap(_of_runs, self._runs.items())]

    def _brings(self, step: tuple[str, int], fault: Fault, chosen: dict[str, int]) -> bool:
        """Tell whether one of the chosen values is enough to cause a fault."""
        if len(chosen) == 1:
            return True
        if step not in self._alone:
            faults: tuple[Fault, ...] = ()
            try:
                _variant(self._document, self._base, dict([step]))
            except SpecError as error:
                faults = error.faults
            self._alone[step] = frozenset((each.code, each.path) for each in faults)
        return (fault.code, fault.path) in self._alone[step]


def seen_from_sweep(document: "Document", runs: Mapping[str, Sequence[Fault]]) -> list[Fault]:
    """Place faults that the compiler found in the runs of a sweep, given by run name, each once.

    A fault is placed at the swept value all of whose runs have it. If several values cause it
    together, it names a run that has it. Faults at the same place that differ only in their
    numbers, such as bytes, are reported once.
    """
    assert document.sweep is not None
    chosen = dict(zip(runs, document.sweep.combinations(), strict=True))
    alike: dict[tuple[str, KeyPath, str], dict[str, Fault]] = {}
    for name, faults in runs.items():
        for fault in faults:
            key = fault.code, fault.path, re.sub(r"[\d.,]+", "0", fault.message)
            alike.setdefault(key, {}).setdefault(name, replace(fault, place=None))
    seen: dict[Any, Fault] = {}
    for key, having in alike.items():
        for each in _seen(having, chosen):
            seen.setdefault((each.path, key), each)
    return list({(each.path, each.message): each for each in seen.values()}.values())


def _seen(having: dict[str, Fault], chosen: dict[str, dict[str, int]]) -> Iterator[Fault]:
    """Yield one of these faults for each place to correct, worded as the run there words it."""
    first = next(iter(having.values()))
    direct = [_blamed(fault, chosen[name]) for name, fault in having.items()]
    if direct[0] is not first:
        yield from direct
        return
    if len(having) == len(chosen) and len(set(having.values())) == 1:
        yield first  # the sweep has no part in it
        return
    sound = {step for name in chosen if name not in having for step in chosen[name].items()}
    several: dict[str, Fault] = {}
    for name, fault in having.items():
        guilty = [step for step in chosen[name].items() if step not in sound]
        if len(guilty) == 1:
            yield _through_value(fault, *guilty[0])
        else:
            several[name] = fault
    if several:
        yield _of_runs(next(iter(several.values())), list(several))


def _through_value(fault: Fault, path: str, index: int) -> Fault:
    """Move a fault elsewhere in the document to the swept value that causes it."""
    message = f"{dotted(fault.path)}: {fault.message}"
    leave = "leave this value out of the sweep"
    # What it says of the model, or of names, is not said of this value.
    also = fault.code not in ("CE101", "CE105", "CE201") and "[model]" not in fault.help
    help = f"{leave}; or {fault.help}" if fault.help and also else leave
    return Fault(fault.code, message, ("sweep", path, index), "value", help)


def _of_runs(fault: Fault, names: list[str]) -> Fault:
    """Add the names of the runs to a fault that several swept values cause together."""
    others = len(names) - 1
    more = f" and {others} other{'s' * (others > 1)}" if others else ""
    message = f"in the run {cut(names[0], 80)}{more}: {fault.message}"
    return replace(fault, message=message)


def _repeated(sweep: Sweep, chosen: dict[str, int], first: dict[str, int]) -> Fault:
    """Make the fault of two equal runs, placed at the value that makes the second equal
    the first.
    """
    path = next(path for path in reversed(chosen) if chosen[path] != first[path])
    value = cut(str(sweep.paths[path][chosen[path]]), 60)
    message = f"two runs of the sweep are the same: {cut(path, 60)} = {value} makes no difference"
    return Fault("CE104", message, ("sweep", path, chosen[path]), help="leave one of them out")


def _unused(name: str, taken: Collection[str]) -> str:
    """Choose a folder name of limited length, numbered if another run has it."""
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{crc32(name.encode()):08x}"
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    lower = {each.lower() for each in taken}  # one folder, on many systems
    return next(each for each in itertools.chain([name], numbered) if each.lower() not in lower)


def _size(tree: Any) -> int:
    """Count the values in a tree."""
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return 1 + sum(map(_size, items))


def _variant(
    document: "Document", base: dict[str, Any], chosen: dict[str, int]
) -> tuple[str, "Document"]:
    from ceflow.spec.reading import validate  # which reads whole documents, sweeps and all

    assert document.sweep is not None
    tree = copy.deepcopy(base)
    values = _values(document.sweep, chosen)
    missing = [fault for path, value in values.items() if (fault := _set(tree, path, value))]
    name = _run_name(document, chosen)
    tree["name"] = f"{document.name[:60]}-{re.sub('[^A-Za-z0-9_-]', '_', name)[:39]}"
    try:
        variant = validate(tree)
    except SpecError as error:
        raise SpecError(*missing, *error.faults) from None
    variant._origin = document.origin
    if faults := [*missing, *variant.faults()]:
        raise SpecError(*faults)
    return name, variant


def _values(sweep: Sweep, chosen: dict[str, int]) -> dict[str, Any]:
    return {path: sweep.paths[path][index] for path, index in chosen.items()}


def _run_name(document: "Document", chosen: dict[str, int]) -> str:
    """Write the chosen values as the name of a run."""
    assert document.sweep is not None
    values = _values(document.sweep, chosen)
    return ",".join(f"{short}={_slug(values[path])}" for path, short in _short(values).items())


def _set(tree: dict[str, Any], path: str, value: Any) -> Fault | None:
    """Set the value at a dotted path of a tree, where numbers are indices of an array's entries,
    from 0; return a fault if there is no such table or entry.
    """
    *parents, last = path.split(".")
    here: Any = tree
    for step in parents:
        below = child(here, step)
        if not isinstance(below, dict | list):
            return _nowhere(path, step, here)
        here = below
    place: Any = index_of(here, last) if isinstance(here, list) else last
    if place is None:
        return _nowhere(path, last, here)
    here[place] = value
    return None


def _nowhere(path: str, step: str, here: Any) -> Fault:
    """Make the fault of a swept path that the document does not have."""
    what, help = f"no table {step!r}", ""
    if isinstance(here, list):
        what, help = f"no entry {step}", numbering(here, step)
        if (entry := index_of(here, step)) is not None:
            what = f"no table, but {cut(repr(here[entry]), 40)}, at {step}"
            help = "sweep over the whole entry"
    message = f"a sweep over a path that does not exist: {what} in {path}"
    return Fault("CE206", message, ("sweep", path), "key", help)


def _blamed(fault: Fault, chosen: dict[str, int]) -> Fault:
    """Move a variant's fault to the sweep if a swept value causes it."""
    for path, index in chosen.items():
        steps = tuple(path.split("."))
        if tuple(map(str, fault.path[: len(steps)])) == steps:
            rest = fault.path[len(steps) :]
            here: KeyPath = (
                ("sweep", path) if fault.code == "CE101" else ("sweep", path, index, *rest)
            )
            return Fault(fault.code, fault.message, here, fault.part, fault.help)
    return fault


def _short(values: dict[str, Any]) -> dict[str, str]:
    """Shorten each path to its last key, or keep the whole path if two end alike."""
    lasts = Counter(path.rpartition(".")[2] for path in values)
    return {path: last if lasts[last := path.rpartition(".")[2]] == 1 else path for path in values}


def _slug(value: Any) -> str:
    """Write a value as part of a folder name."""
    if isinstance(value, list):
        return "-".join(map(_slug, value))
    if isinstance(value, dict):
        return "-".join(map(_slug, value.values()))
    if isinstance(value, int) and abs(value) > 10**50:
        return "huge"
    return re.sub(r"[^A-Za-z0-9._+-]", "_", str(value)[:100])
