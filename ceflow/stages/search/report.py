"""The report of a search: the networks compared, the near-optimal set, CE figure 3."""

from ceflow.blocks import AXES, Cell, Curve, Note, ReportBlock, Series, Table, counted, widths_text
from ceflow.search import limit_text
from ceflow.search.costs import whole_members
from ceflow.spec import flops_text, network_name
from ceflow.stages.search.result import (
    Answer,
    CurvePoint,
    Duality,
    NearOptimal,
    SearchResult,
    Shown,
    Timed,
)

SAME = 0.05
"""Relative difference up to which a cost or a variance is called the same: that of whole members.
The table beside the sentence has the numbers."""
MOST_SHOWN = 9
"""Maximum number of near-optimal candidates in the table; the results hold all."""
GROUPED = ("block", "resnext")
"""Types of models whose members are groups of convolutions."""
UNKNOWN = "unknown"
"""Text in place of a cost or variance outside the measured range."""


def describe(result: SearchResult) -> list[ReportBlock]:
    """Describe the networks found, their costs, and how flat the optimum is."""
    return [
        Note(answer(result)),
        Note(_asked(result)),
        _networks(result),
        *_beyond(result),
        _on_the_curve(result),
        *(Note(text, warning=True) for text in result.warnings),
        *_near_optimal(result),
        Note(_duality(result.duality, whole=bool(result.budget))),
        *_latencies(result),
        *_figures(result),
    ]


def answer(result: SearchResult) -> str:
    """Answer the question of the search in a sentence."""
    cost = {"parameters": "parameters", "flops": "FLOPs"}.get(result.cost, result.cost)
    smooth, compact = map(_counted, (result.primal, result.dual))
    less = result.primal.rounded.variance / result.baseline.variance
    has = "has" if result.primal.multiplicity == 1 else "have"
    kernel = "kernel"
    if result.primal.model["type"] == "resnext":  # of any depth the same
        kernel = "kernel of a block"
    elif result.primal.model["type"] == "network":
        kernel = "ensemble's kernel"
    if result.budget:
        return (
            f"within the budget, {smooth} {has} the least variance: {_part(less)} of that of your"
            f" network's {kernel}"
        )
    if result.widths is None and _is_baseline(result, result.primal):
        first = f"no ensemble with the {cost} of your network varies less"
    else:
        spent = _share(result.primal.rounded.efficiency, cost)
        first = f"{smooth} {has} {spent} of your network, and {_part(less)} of the variance of its"
        first += f" {kernel}"
    if result.widths is None and _is_baseline(result, result.dual):
        return f"{first}; none of its variance has fewer {cost}"
    varies = result.dual.rounded.variance / result.baseline.variance
    kept = "its variance" if abs(varies - 1) <= SAME else f"{varies:.3g} of its variance"
    has, cheaper = (
        "has" if result.dual.multiplicity == 1 else "have",
        result.dual.rounded.efficiency,
    )
    return f"{first}; {compact} {has} {kept}, and {1 / cheaper:.3g} of its {cost}"


def _is_baseline(result: SearchResult, answer: Answer) -> bool:
    own = result.baseline
    return (answer.widths, answer.multiplicity) == (own.widths, own.multiplicity)


def _share(efficiency: float, cost: str) -> str:
    """Write the share of a cost in words."""
    return (
        f"the {cost}" if abs(1 / efficiency - 1) <= SAME else f"{1 / efficiency:.3g} of the {cost}"
    )


def _part(share: float) -> str:
    return "all" if share == 1 else f"{share:.3g}"


def _counted(answer: Answer) -> str:
    """Write the number of members or groups, and their widths."""
    noun = "group" if answer.model["type"] in GROUPED else "member"
    widths = set(answer.widths)
    which = f"width {answer.widths[0]}" if len(widths) == 1 else widths_text(answer.widths)
    return f"{counted(answer.multiplicity, noun)} of {which}"


def _asked(result: SearchResult) -> str:
    by = {"exact": "variance by exact moments", "curve": "variance as measured"}.get(
        result.using, f"alpha = {result.alpha or 0:.4f}"
    )
    within = " and ".join(limit_text(*limit) for limit in (result.budget or {}).items())
    parts = [by, f"cost = {result.cost}"] + ([f"within {within}"] if within else [])
    if result.widths is not None:
        parts.append(f"at the widths asked for, {widths_text(result.widths)}")
    if result.widths_interval:
        low, high = map(widths_text, result.widths_interval)
        best = low if low == high else f"{low} to {high}"
        parts.append(f"over the interval of alpha the best widths are {best}")
    return ", ".join(parts)


def _networks(result: SearchResult) -> Table:
    """Tabulate the networks with whole numbers of members."""
    columns = ("", "network", "parameters", "FLOPs", "ρ", "Var/E²")
    return Table(columns, tuple(_row(name, network) for name, network in result.shown))


def _row(name: str, network: Shown) -> tuple[Cell, ...]:
    emitted = network.rounded if isinstance(network, Answer) else network
    efficiency, variance = emitted.efficiency, emitted.variance
    return (
        name,
        network_name(network.multiplicity, network.widths),
        network.parameters,
        flops_text(network.flops),
        UNKNOWN if efficiency is None else f"{efficiency:.2f}",
        UNKNOWN if variance is None else variance,
    )


def _beyond(result: SearchResult) -> list[Note]:
    """Name the networks that cost more than the budget allows, and the limits they exceed."""
    dear = []
    for part, network in result.shown:
        over = [
            limit_text(name, spent)
            for name, most in (result.budget or {}).items()
            if (spent := network.spent(name)) is not None and spent > most
        ]
        if over:
            name = network_name(network.multiplicity, network.widths)
            dear.append(f"{part} {name} ({' and '.join(over)})")
    return [Note(f"beyond the budget: {', '.join(dear)}")] if dear else []


def _on_the_curve(result: SearchResult) -> Table:
    """Tabulate the answers with the real numbers of members of the theory."""
    answers = {
        "primal: optimally smooth": result.primal,
        "dual: optimally compact": result.dual,
    }
    rows = tuple(
        (
            name,
            widths_text(answer.widths),
            f"{answer.multiplicity_exact:.1f}",
            f"{answer.efficiency:.2f}",
            answer.variance,
        )
        for name, answer in answers.items()
    )
    return Table(("on the curve, real m", "widths", "m", "ρ of members", "Var/E²"), rows)


def _near_optimal(result: SearchResult) -> list[ReportBlock]:
    points = result.near_optimal
    objective = "over the best" if result.budget else "ratio on curve"
    columns = ("near-optimal", objective, "parameters", "FLOPs", "Var/E²", "dual")
    rows = tuple(
        (
            network_name(point.primal_multiplicity, point.widths),
            f"{point.objective_ratio:.4f}",
            point.parameters,
            flops_text(point.flops),
            point.variance,
            network_name(point.dual_multiplicity, point.widths),
        )
        for point in _thinned(points)
    )
    left = len(points) - len(rows)
    rest = [Note(f"{left} more near-optimal candidates are in results.json")] if left else []
    if result.left_out:
        rest.append(Note(_left_out(result.left_out)))
    return [*([Table(columns, rows)] if rows else []), *rest]


def _left_out(count: int) -> str:
    more = counted(count, "near-optimal candidate")
    return f"{more} on the curve are left out: no whole number of members comes near to theirs"


def _thinned(points: list[NearOptimal]) -> list[NearOptimal]:
    """Choose some of the points, evenly spaced, including both ends and the best."""
    if len(points) <= MOST_SHOWN:
        return points
    last, best = len(points) - 1, min(points, key=lambda point: point.objective_ratio)
    kept = {round(i * last / (MOST_SHOWN - 2)) for i in range(MOST_SHOWN - 1)} | {
        points.index(best)
    }
    return [points[index] for index in sorted(kept)]


def _duality(duality: Duality, *, whole: bool) -> str:
    """Say whether both problems have the same solution on the curve; `whole`: the answer has whole
    members.
    """
    primal, dual = widths_text(duality.primal_widths), widths_text(duality.dual_widths)
    if duality.holds:
        said = "strong duality holds on the curve: both problems, solved apart, end at"
        also = ", where members need not be whole and no budget counts" if whole else ""
        return f"{said} {primal}{also}"
    return (
        f"strong duality fails on the curve by {duality.gap:.2%}: the primal ends at {primal},"
        f" the dual at {dual}"
    )


def _latencies(result: SearchResult) -> list[Table]:
    """Tabulate the seconds of the networks shown, then the latencies used for interpolation."""
    measured = result.latency
    if measured is None:
        return []
    by = f"by {measured.file}" if measured.file else f"of {measured.batch}, float32"
    points = sorted(measured.points, key=_width)
    rows = [_time(*each) for each in [*result.shown, *(("measured", p) for p in points)]]
    return [Table((f"forward pass {by}", "", "seconds", "spread", "repeats"), tuple(rows))]


def _time(name: str, timed: Timed | Shown) -> tuple[Cell, ...]:
    repeats = timed.repeats if isinstance(timed, Timed) else None
    return (
        name,
        network_name(timed.multiplicity, timed.widths),
        UNKNOWN if timed.seconds is None else timed.seconds,
        "" if timed.spread is None else f"{timed.spread:.1%}",
        "" if repeats is None else repeats,
    )


def _figures(result: SearchResult) -> list[Curve]:
    """Draw CE figure 3: the objectives over the largest width, and the optimum of each.

    With a budget, the best is the minimum over whole numbers of members.
    """
    held = "within the budget, in whole members" if result.budget else "at the baseline's cost"

    def drawn(variance: float, members: float) -> float:
        return variance * (members / max(1, whole_members(members)) if result.budget else 1)

    smooth = [
        (_width(point), drawn(point.variance, point.primal_multiplicity))
        for point in result.curve
        if point.primal_multiplicity >= 1 and point.variance is not None
    ]
    primal, best = result.primal, result.duality
    compact = [(_width(point), point.efficiency) for point in result.curve]
    grouped = result.primal.model["type"] in GROUPED
    x_label = "width n of a group" if grouped else "width n"
    return [
        Curve(
            "primal",
            f"primal: variance {held}",
            x_label,
            AXES["variance"],
            _series(
                smooth,
                (_width(primal), drawn(primal.variance, primal.multiplicity_exact)),
                _marked(result, primal.widths == best.primal_widths or bool(result.budget)),
            ),
            log_x=True,
            log_y=True,
        ),
        Curve(
            "dual",
            "dual: efficiency at the baseline's variance",
            x_label,
            AXES["efficiency"],
            _series(
                compact,
                (_width(result.dual), result.dual.efficiency),
                _marked(result, result.dual.widths == best.dual_widths),
            ),
            log_x=True,
        ),
    ]


def _marked(result: SearchResult, is_optimum: bool) -> str:
    """Label the marked point of a curve."""
    if result.widths is not None:
        return "the widths asked for"
    return "optimum" if is_optimum else "best in whole members"


def _series(
    points: list[tuple[float, float]], optimum: tuple[float, float], label: str
) -> tuple[Series, ...]:
    objective = Series("objective", tuple(x for x, _ in points), tuple(y for _, y in points))
    x, y = optimum
    return objective, Series(label, (x,), (y,), "points")


def _width(network: Timed | Answer | CurvePoint) -> float:
    return float(max(network.widths))
