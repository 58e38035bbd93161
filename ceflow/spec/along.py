"""Sweeps along a curve that a search finds: one run for each width of its candidates."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.stages import Search, Stage
from ceflow.spec.stages.stage import MemberStageSpec
from ceflow.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from ceflow.spec.document import Document


def candidate_widths(baseline: Model) -> Iterator[tuple[int, ...]]:
    """Yield the baseline's widths times k/max(widths), without repetitions and without end.

    k runs over all integers up to 1000, then grows by half a percent per step; the baseline's own
    widths are included.

    >>> from itertools import islice
    >>> from ceflow.spec import Mlp
    >>> list(islice(candidate_widths(Mlp(widths=[4, 2])), 4))
    [(1, 1), (2, 1), (3, 2), (4, 2)]
    """
    largest = int(max(baseline.widths))
    last, k = None, 1
    while True:
        widths = baseline.ratio_widths(k / largest)
        if widths != last:
            yield widths
        following = k + max(1, k // 200 if k >= 1000 else 1)
        last, k = widths, largest if k < largest < following else following


def spread_along(document: "Document") -> "Document":
    """Write out a sweep along a curve: its widths as a swept path, and the answer as the model of
    the stages below the search that name none.

    The widths are those of the candidates up to the baseline's, unless the sweep has them already.
    A document whose sweep runs along no curve is returned as it is.
    """
    sweep = document.sweep
    if sweep is None or sweep.along is None or any(_faults(document)):
        return document
    name, path = sweep.along.partition(".")[0], swept_path(sweep.along)
    search = Search.expect(document.stages[name])
    if path not in sweep.paths:
        sweep = sweep.with_path(path, _values(document.model.focused(search.at)))
    changed = {
        each: stage.replaced({"model": sweep.along})
        for each, stage in _below(document, name).items()
        if stage.model is None and not isinstance(stage, MemberStageSpec)
    }
    return document.replaced({"sweep": sweep, "stages": document.stages | changed})


def along_faults(document: "Document") -> list[Fault]:
    """List what is wrong with the curve along which a sweep is to run."""
    return [fault.below("sweep", "along") for fault in _faults(document)]


def swept_path(answer: str) -> str:
    """Return the path whose values are the widths along a curve.

    >>> swept_path("best.primal")
    'stages.best.widths'
    """
    return f"stages.{answer.partition('.')[0]}.widths"


def _values(model: Model) -> list[int | list[int]]:
    """List the widths of the candidates, up to the baseline's; equal ones as one number."""
    values: list[int | list[int]] = []
    for widths in candidate_widths(model):
        values.append(widths[0] if len(set(widths)) == 1 else list(widths))
        if widths == tuple(model.widths):
            return values
    return values


def _faults(document: "Document") -> Iterator[Fault]:
    assert document.sweep is not None
    along = document.sweep.along or ""
    name, _, part = along.partition(".")
    searches = {key: each for key, each in document.stages.items() if each.offers}
    offered = [f"{key}.{each}" for key, stage in searches.items() for each in stage.offers]
    if along not in offered:
        known = name in searches
        message = f"{name!r} has no curve {part!r}" if known else f"{name!r} is not a search stage"
        help = f'as along = "{offered[0]}"' if offered else "there is no search in [stages]"
        yield Fault("CE201", message, help=did_you_mean(along, offered) or help)
    elif Search.expect(searches[name]).space == "free":
        message = "a free search has no curve: each width varies by itself"
        yield Fault("CE202", message, help='use space = "ratio"')


def _below(document: "Document", name: str) -> dict[str, Stage]:
    """Return the stages below one."""
    names = list(document.stages)
    return {each: document.stages[each] for each in names[names.index(name) + 1 :]}
