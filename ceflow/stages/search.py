"""The `search` stage: the optimally smooth and compact ensembles (CE Algorithm 2)."""

from collections.abc import Callable

from ceflow import search
from ceflow.compiler import Plan, ensemble_with, fan_in_sum, multiplicity_of
from ceflow.search import Candidate, Optimum
from ceflow.spec import Document, Model, Search, member_of, tree_of
from ceflow.stages.stage import Forecast, Job, Kind, Outcome, Values
from ceflow.stages.summary import Block, Cell, Curve, Note, Series, Table, number, widths_text


def forecast(stage: Search, plan: Plan, model: Model) -> Forecast:
    return Forecast(memory=1e6)


def run(job: Job) -> Outcome:
    alpha = job.spec.alpha or job.results[job.spec.variance]["alpha"]
    optimum = search.optimise(job.model, alpha, _cost(job))
    best = optimum.best
    primal = _answer(job, optimum, best.primal_multiplicity)
    dual = _answer(job, optimum, best.dual_multiplicity)
    values: Values = {
        "alpha": alpha,
        "cost": job.spec.cost,
        "baseline": _baseline(job, optimum),
        "primal": primal,
        "dual": dual,
        "near_optimal": [
            _near(job, optimum, near) for near in optimum.near_optimal(job.spec.tolerance)
        ],
        "curve": [_point(candidate) for candidate in optimum.curve],
    }
    documents = {part: _document(job, part, values[part]["model"]) for part in job.spec.offers}
    return Outcome(values, documents=documents)


def _cost(job: Job) -> Callable[[Model], float]:
    return lambda model: getattr(job.plan.expand(model), job.spec.cost)


def _baseline(job: Job, optimum: Optimum) -> Values:
    root = job.plan.expand(job.model)
    return {
        "widths": list(member_of(job.model).widths),
        "multiplicity": multiplicity_of(job.model),
        "parameters": root.parameters,
        "flops": root.flops,
        "fan_in_sum": fan_in_sum(job.model),
        "efficiency": 1.0,
        "variance": optimum.baseline_variance,
    }


def _answer(job: Job, optimum: Optimum, multiplicity: float) -> Values:
    """The network at the best width: on the curve with a real multiplicity, then in whole members.

    `efficiency` and `variance` are of the curve (CE eq. 8 and 11); `rounded` holds those of the
    network as emitted, whose multiplicity, parameters and FLOPs are given.
    """
    cost, best = _cost(job), optimum.best
    budget = cost(job.model)
    single = search.relative_variance(optimum.alpha, best.fan_in_sum)
    whole = _whole(job, best, multiplicity)
    model = ensemble_with(job.model, best.widths, whole)
    root = job.plan.expand(model)
    return {
        "widths": list(best.widths),
        "multiplicity": whole,
        "multiplicity_exact": multiplicity,
        "parameters": root.parameters,
        "flops": root.flops,
        "efficiency": best.primal_multiplicity / multiplicity,
        "variance": single / multiplicity,
        "rounded": {"efficiency": budget / cost(model), "variance": single / whole},
        "model": tree_of(model),
    }


def _whole(job: Job, candidate: Candidate, multiplicity: float) -> int:
    cost = _cost(job)
    return search.nearest_multiplicity(
        multiplicity, lambda m: cost(ensemble_with(job.model, candidate.widths, m))
    )


def _near(job: Job, optimum: Optimum, candidate: Candidate) -> Values:
    return {
        "widths": list(candidate.widths),
        "primal_multiplicity": _whole(job, candidate, candidate.primal_multiplicity),
        "dual_multiplicity": _whole(job, candidate, candidate.dual_multiplicity),
        "objective_ratio": candidate.variance / optimum.best.variance,
    }


def _point(candidate: Candidate) -> Values:
    return {
        "widths": list(candidate.widths),
        "primal_multiplicity": candidate.primal_multiplicity,
        "dual_multiplicity": candidate.dual_multiplicity,
        "variance": candidate.variance,
        "efficiency": candidate.efficiency,
    }


def _document(job: Job, part: str, model: Values) -> Document:
    """A document for the network found, with the stages that acted on it and what they refer to."""
    given = job.plan.resolved()
    answer = f"{job.name}.{part}"
    wanted = {name for name, stage in given.stages.items() if stage.model == answer}
    for name in list(wanted):
        stage = given.stages[name]
        wanted |= {getattr(stage, key) for key in stage.references()} - {None}
    stages = {
        name: stage.model_copy(update={"model": None})
        for name, stage in given.stages.items()
        if name in wanted and stage.model in (None, answer)
    }
    tree = tree_of(given.model_copy(update={"stages": {}}))
    found = Document.model_validate(tree | {"name": f"{given.name}-{part}", "model": model})
    return found.model_copy(update={"stages": stages})


def describe(values: Values) -> list[Block]:
    columns = ("", "m", "widths", "parameters", "FLOPs", "ρ", "Var/E²")
    rows = (
        _row("baseline", values["baseline"]),
        _row("primal: optimally smooth", values["primal"]),
        _row("dual: optimally compact", values["dual"]),
    )
    near = [widths_text(point["widths"]) for point in values["near_optimal"]]
    span = near[0] if len(near) == 1 else f"{len(near)} candidates, {near[0]} to {near[-1]}"
    return [
        Note(f"alpha = {values['alpha']:.4f}, cost = {values['cost']}"),
        Table(columns, rows),
        Note(f"near-optimal: {span}"),
        *_figures(values),
    ]


def _row(name: str, network: Values) -> tuple[Cell, ...]:
    """A network: whole members, with the real number that the curve gives behind them."""
    exact = f" ({network['multiplicity_exact']:.1f})" if "multiplicity_exact" in network else ""
    return (
        name,
        f"{number(network['multiplicity'])}{exact}",
        widths_text(network["widths"]),
        network["parameters"],
        network["flops"],
        f"{network['efficiency']:.2f}",
        network["variance"],
    )


def _figures(values: Values) -> list[Curve]:
    """CE figure 3: the objectives over the largest width, and the optimum on each."""
    x = tuple(max(point["widths"]) for point in values["curve"])
    curves = []
    for part, key, title in (
        ("primal", "variance", "primal: variance at the baseline's cost"),
        ("dual", "efficiency", "dual: efficiency at the baseline's variance"),
    ):
        y = tuple(point[key] for point in values["curve"])
        best = (float(max(values[part]["widths"])),)
        optimum = Series("optimum", best, (values[part][key],), "points")
        objective = Series("objective", x, y)
        label = "Var/E²" if part == "primal" else "ρ"
        curves.append(
            Curve(
                part,
                title,
                "width n",
                label,
                (objective, optimum),
                log_x=True,
                log_y=part == "primal",
            )
        )
    return curves


KIND = Kind(forecast, run, describe)
