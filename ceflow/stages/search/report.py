"""What a search has to show: the networks side by side, the near-optimal set, CE figure 3."""

from ceflow.search import LimitName, limit_text
from ceflow.spec import flops_text, network_name
from ceflow.stages.stage import Values
from ceflow.stages.summary import Block, Cell, Curve, Note, Series, Table, widths_text

SHOWN = 9
"""Near-optimal candidates in the table; results hold all."""


UNKNOWN = "unknown"
"""In the place of a cost or variance beyond what was measured."""


def describe(values: Values) -> list[Block]:
    return [
        Note(_asked(values)),
        _networks(values),
        *_beyond(values),
        _on_the_curve(values),
        *(Note(text, warning=True) for text in values["warnings"]),
        *_near_optimal(values),
        Note(_duality(values["duality"])),
        *_latencies(values),
        *_figures(values),
    ]


def _asked(values: Values) -> str:
    by = {"exact": "variance by exact moments", "curve": "variance as measured"}.get(
        values["using"], f"alpha = {values['alpha'] or 0:.4f}"
    )
    budget = values["budget"] or {}
    within = " and ".join(limit_text(name, most) for name, most in budget.items())
    parts = [by, f"cost = {values['cost']}"] + ([f"within {within}"] if within else [])
    if values["widths_interval"]:
        low, high = map(widths_text, values["widths_interval"])
        parts.append(f"over the interval of alpha the best widths are {low} to {high}")
    return ", ".join(parts)


def _networks(values: Values) -> Table:
    """The networks as they are emitted, in whole members."""
    columns = ("", "network", "parameters", "FLOPs", "ρ", "Var/E²")
    return Table(columns, tuple(_row(name, network) for name, network in _shown(values)))


def _shown(values: Values) -> list[tuple[str, Values]]:
    """All networks that the search is about, each with its part."""
    answers = [(part, values[part]) for part in ("baseline", "primal", "dual")]
    return answers + [("compare", network) for network in values["compare"]]


def _beyond(values: Values) -> list[Note]:
    """Which of the networks cost more than the budget allows, and what."""
    found = []
    for part, network in _shown(values):
        over = [
            limit_text(name, spent)
            for name, most in (values["budget"] or {}).items()
            if (spent := _spent(network, name)) is not None and spent > most
        ]
        if over:
            name = network_name(network["multiplicity"], network["widths"])
            found.append(f"{part} {name} ({' and '.join(over)})")
    return [Note(f"beyond the budget: {', '.join(found)}")] if found else []


def _spent(network: Values, name: LimitName) -> float | None:
    """What a network costs, in the unit of a limit; None where that is not known."""
    if name == "latency":
        return network["seconds"]
    return network["flops"] / 2 if name == "macs" else network[name]


def _row(name: str, network: Values) -> tuple[Cell, ...]:
    emitted = network.get("rounded", network)
    efficiency, variance = emitted["efficiency"], emitted["variance"]
    return (
        name,
        network_name(network["multiplicity"], network["widths"]),
        network["parameters"],
        flops_text(network["flops"]),
        UNKNOWN if efficiency is None else f"{efficiency:.2f}",
        UNKNOWN if variance is None else variance,
    )


def _on_the_curve(values: Values) -> Table:
    """The answers with the real numbers of members at which the theory has them."""
    names = {"primal": "primal: optimally smooth", "dual": "dual: optimally compact"}
    rows = tuple(
        (
            name,
            widths_text(values[part]["widths"]),
            f"{values[part]['multiplicity_exact']:.1f}",
            f"{values[part]['efficiency']:.2f}",
            values[part]["variance"],
        )
        for part, name in names.items()
    )
    return Table(("on the curve, real m", "widths", "m", "ρ of members", "Var/E²"), rows)


def _near_optimal(values: Values) -> list[Block]:
    points = values["near_optimal"]
    objective = "over the best" if values["budget"] else "ratio on curve"
    columns = ("near-optimal", objective, "parameters", "FLOPs", "dual")
    rows = tuple(
        (
            network_name(point["primal_multiplicity"], point["widths"]),
            f"{point['objective_ratio']:.4f}",
            point["parameters"],
            flops_text(point["flops"]),
            network_name(point["dual_multiplicity"], point["widths"]),
        )
        for point in _thinned(points)
    )
    left = len(points) - len(rows)
    rest = [Note(f"{left} more near-optimal candidates are in results.json")] if left else []
    return [Table(columns, rows), *rest]


def _thinned(points: list[Values]) -> list[Values]:
    """Some of the points, evenly spaced, both ends and the best among them."""
    if len(points) <= SHOWN:
        return points
    last, best = len(points) - 1, min(points, key=lambda point: point["objective_ratio"])
    kept = {round(i * last / (SHOWN - 2)) for i in range(SHOWN - 1)} | {points.index(best)}
    return [points[index] for index in sorted(kept)]


def _duality(found: Values) -> str:
    widths = [widths_text(found[f"{part}_widths"]) for part in ("primal", "dual")]
    if found["holds"]:
        return f"strong duality holds on the curve: both problems, solved apart, end at {widths[0]}"
    return (
        f"strong duality fails on the curve by {found['gap']:.2%}: the primal ends at {widths[0]},"
        f" the dual at {widths[1]}"
    )


def _latencies(values: Values) -> list[Table]:
    """Seconds of the networks shown, then of those between which costs were interpolated."""
    if "latency" not in values:
        return []
    measured = values["latency"]
    by = f"by {measured['file']}" if "file" in measured else f"of {measured['batch']}, float32"
    points = sorted(measured["points"], key=lambda point: max(point["widths"]))
    rows = (
        _time(name, timed) for name, timed in [*_shown(values), *(("measured", p) for p in points)]
    )
    return [Table((f"forward pass {by}", "", "seconds", "spread", "repeats"), tuple(rows))]


def _time(name: str, timed: Values) -> tuple[Cell, ...]:
    spread, seconds = timed.get("spread"), timed["seconds"]
    return (
        name,
        network_name(timed["multiplicity"], timed["widths"]),
        UNKNOWN if seconds is None else seconds,
        "" if spread is None else f"{spread:.1%}",
        timed.get("repeats", ""),
    )


def _figures(values: Values) -> list[Curve]:
    """CE figure 3: the objectives over the largest width, and the optimum on each."""
    smooth = _figure(values, "primal", "variance", "primal: variance at the baseline's cost")
    compact = _figure(values, "dual", "efficiency", "dual: efficiency at the baseline's variance")
    return [smooth, compact]


def _figure(values: Values, part: str, key: str, title: str) -> Curve:
    budget, primal = values["budget"], part == "primal"
    if budget and primal:
        title = "primal: variance within the budget"
    points = [point for point in values["curve"] if not primal or point["primal_multiplicity"] >= 1]
    x, y = ([pick(point) for point in points] for pick in (_width, lambda point: point[key]))
    optimum = values[part][key]
    best = Series("optimum", (_width(values[part]),), (optimum,), "points")
    grouped = values["primal"]["model"]["type"] in ("block", "resnext")
    x_label, y_label = "width n of a group" if grouped else "width n", "Var/E²" if primal else "ρ"
    series = (Series("objective", tuple(x), tuple(y)), best)
    return Curve(part, title, x_label, y_label, series, log_x=True, log_y=primal)


def _width(network: Values) -> float:
    return float(max(network["widths"]))
