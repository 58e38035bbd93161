"""The `search` stage: the optimally smooth and compact ensembles (CE Algorithm 2)."""

from ceflow import search
from ceflow.compiler import Plan, ensemble_with, fan_in_sum, multiplicity_of
from ceflow.search import Candidate, Optimum
from ceflow.spec import Document, Kernel, Model, Search, Stage, member_of, tree_of
from ceflow.stages.stage import TYPICAL_ALPHA, Forecast, Job, Kind, Outcome, Values, Work
from ceflow.stages.summary import Block, Cell, Curve, Note, Series, Table, number, widths_text


def forecast(stage: Search, plan: Plan, model: Model) -> Forecast:
    candidates = min(1000, max(member_of(model).widths))
    return Forecast(memory=2e4 * candidates, work=Work(seconds=1e-4 * candidates))


def expect(stage: Search, plan: Plan, model: Model) -> dict[str, Model]:
    """The networks that the search will find, or near them."""
    cost = _cost(plan, stage)
    try:
        best = search.optimise(model, stage.alpha or TYPICAL_ALPHA, cost).best
    except ValueError:
        return dict.fromkeys(stage.offers, model)
    multiplicities = (best.primal_multiplicity, best.dual_multiplicity)
    return {
        part: ensemble_with(model, best.widths, max(1, round(multiplicity)))
        for part, multiplicity in zip(stage.offers, multiplicities, strict=True)
    }


def run(job: Job) -> Outcome:
    alpha = job.stage.alpha or job.results[job.stage.variance]["alpha"]
    optimum = search.optimise(job.model, alpha, _cost(job.plan, job.stage))
    best = optimum.best
    primal = _answer(job, optimum, best.primal_multiplicity)
    dual = _answer(job, optimum, best.dual_multiplicity)
    values: Values = {
        "alpha": alpha,
        "cost": job.stage.cost,
        "baseline": _baseline(job, optimum),
        "primal": primal,
        "dual": dual,
        "near_optimal": [
            _near(job, optimum, near) for near in optimum.near_optimal(job.stage.tolerance)
        ],
        "curve": [_point(candidate) for candidate in optimum.curve],
    }
    documents = {part: _document(job, part, values[part]["model"]) for part in job.stage.offers}
    return Outcome(values, documents=documents)


def _cost(plan: Plan, stage: Search) -> search.Cost:
    return lambda model: getattr(plan.expand(model), stage.cost)


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
    cost, best = _cost(job.plan, job.stage), optimum.best
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
    cost = _cost(job.plan, job.stage)
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
    """A document for the network found, with the stages that acted on it."""
    given = job.plan.resolved()
    stages = _stages_of(given, f"{job.name}.{part}")
    tree = tree_of(given.model_copy(update={"stages": {}}))
    found = Document.model_validate(tree | {"name": f"{given.name}-{part}", "model": model})
    return found.model_copy(update={"stages": stages})


def _stages_of(document: Document, answer: str) -> dict[str, Stage]:
    """The stages that act on an answer, now on the [model], and the references that stay true.

    Those are other such stages, and analytic kernels: they are the same for every width. Any other
    reference is to something drawn or fitted for another network, and is left out, and so is a
    stage that cannot be without it.
    """
    kept: dict[str, Stage] = {}
    acting = {name for name, stage in document.stages.items() if stage.model == answer}
    for name, stage in reversed(document.stages.items()):
        needed = any(name in _references(other).values() for other in kept.values())
        if name in acting or (needed and _is_limit(stage)):
            true = acting | {other for other, spec in document.stages.items() if _is_limit(spec)}
            lost = [key for key, other in _references(stage).items() if other not in true]
            kept[name] = stage.model_copy(update=dict.fromkeys(["model", *lost]))
    return {name: kept[name] for name in reversed(kept) if not kept[name].faults()}


def _references(stage: Stage) -> dict[str, str]:
    names = {key: getattr(stage, key) for key in stage.references()}
    return {key: name for key, name in names.items() if name is not None}


def _is_limit(stage: Stage) -> bool:
    return isinstance(stage, Kernel) and stage.method == "analytic"


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


KIND = Kind(forecast, run, describe, expect)
