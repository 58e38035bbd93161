"""The networks that a search reports, as results and as documents to run."""

import math
from typing import Any, TypeVar

from ceflow.search import Candidate, Optimum
from ceflow.search.whole import Whole, dual_at, whole_dual, whole_primal
from ceflow.spec import (
    Document,
    Model,
    Stage,
    network_name,
    read_network,
    tree_of,
)
from ceflow.spec.base import LARGEST_COUNT
from ceflow.spec.sweep import LONGEST_NAME
from ceflow.stages.result import Values
from ceflow.stages.search.result import (
    Answer,
    Baseline,
    Compared,
    CurvePoint,
    FoundNetwork,
    NearOptimal,
    Rounded,
)
from ceflow.stages.stage import Job, finite

AnyNetwork = TypeVar("AnyNetwork", bound=FoundNetwork)


def oversized(optimum: Optimum) -> tuple[str, str] | None:
    """Say what is wrong, and what to do, if an answer is larger than the largest allowed
    network.
    """
    narrow = "give the [model] smaller widths or fewer members"
    lower = "lower the budget" if optimum.problem.limits else narrow
    for part, found, help in (
        ("primal", whole_primal(optimum), lower),
        ("dual", whole_dual(optimum), narrow),
    ):
        members, widths = found.members, found.candidate.widths
        if max(members, *widths) > LARGEST_COUNT:
            message = (
                f"the {part} would be {members:,} members of widths up to {max(widths):,}, and a"
                " network has at most 10^12 members and widths up to 10^12"
            )
            return message, help
    return None


def _network(kind: type[AnyNetwork], job: Job, model: Model, /, **fields: Any) -> AnyNetwork:
    """Build the record of a network, with its counts."""
    root = job.plan.expand(model)
    return kind(
        widths=[int(width) for width in model.widths],
        multiplicity=model.multiplicity,
        parameters=int(root.parameters),
        flops=int(root.flops),
        **fields,
    )


def baseline(job: Job, optimum: Optimum) -> Baseline:
    """Describe the network from which the search starts."""
    total, variance = job.model.fan_in_sum, optimum.problem.variance
    return _network(Baseline, job, job.model, fan_in_sum=total, efficiency=1.0, variance=variance)


def primal(job: Job, optimum: Optimum) -> Answer:
    """Describe the optimally smooth network."""
    return _answer(job, optimum, whole_primal(optimum))


def dual(job: Job, optimum: Optimum) -> Answer:
    """Describe the optimally compact network."""
    return _answer(job, optimum, whole_dual(optimum))


def _answer(job: Job, optimum: Optimum, found: Whole) -> Answer:
    """Describe a network of whole members, and its point on the curve."""
    best, members, exact = found
    model, cost = job.model.with_members(best.widths, members), optimum.problem.costs.whole
    return _network(
        Answer,
        job,
        model,
        multiplicity_exact=exact,
        efficiency=best.share / exact,
        variance=best.single / exact,
        rounded=Rounded(efficiency=cost(job.model) / cost(model), variance=best.single / members),
        model=tree_of(model.whole),
    )


def near(job: Job, optimum: Optimum, found: Whole) -> NearOptimal:
    """Describe a candidate of the near-optimal set, with the costs of its primal."""
    objective, candidate, members = optimum.problem.primal_objective, *found[:2]
    root = job.plan.expand(job.model.with_members(candidate.widths, members))
    return NearOptimal(
        widths=list(candidate.widths),
        primal_multiplicity=members,
        dual_multiplicity=dual_at(optimum, candidate).members,
        objective_ratio=objective(candidate) / objective(optimum.primal),
        parameters=int(root.parameters),
        flops=int(root.flops),
        variance=candidate.single / members,
    )


def point(candidate: Candidate) -> CurvePoint:
    """Describe a candidate on the curve."""
    return CurvePoint(
        widths=list(candidate.widths),
        primal_multiplicity=candidate.primal_multiplicity,
        dual_multiplicity=candidate.dual_multiplicity,
        variance=finite(candidate.variance),
        efficiency=candidate.efficiency,
    )


def compared(job: Job, optimum: Optimum, name: str) -> Compared:
    """Describe a network listed in `compare`, with its own cost and variance."""
    members, given = read_network(name)
    layers = len(optimum.problem.baseline_widths)
    widths = given if len(given) == layers else given * layers
    model, problem = job.model.with_members(widths, members), optimum.problem
    variance = problem.law(job.model.member.with_widths(widths)) / members
    cost = problem.costs.whole(model)
    return _network(
        Compared,
        job,
        model,
        name=network_name(members, widths),
        efficiency=problem.costs.whole(job.model) / cost if math.isfinite(cost) else None,
        variance=finite(variance),
    )


def file_of(job: Job, part: str) -> str:
    """Return the file name of an answer's document: `optimal.toml` or `optimal-dual.toml` for the
    first search; those of later searches contain the name of the stage.
    """
    first, *_ = (name for name, s in job.plan.document.stages.items() if type(s) is type(job.stage))
    if job.name != first:
        return f"optimal-{job.name}-{part}.toml"
    return "optimal.toml" if part == "primal" else f"optimal-{part}.toml"


def document_of(job: Job, part: str, model: Values) -> Document:
    """Build a document of an answer's network, with the stages that acted on that answer."""
    given = job.plan.resolved()
    stages = _stages_of(given, f"{job.name}.{part}")
    tree = tree_of(given.replaced({"stages": {}}))
    document = Document.model_validate(
        tree | {"name": f"{given.name[: LONGEST_NAME - len(part) - 1]}-{part}", "model": model}
    )
    return document.replaced({"stages": stages})


def _stages_of(document: Document, answer: str) -> dict[str, Stage]:
    """Keep the stages that act on an answer, now on the [model], and the references that remain
    valid.

    References to other such stages, and to analytic kernels, remain valid, since these are the same
    for every width. Any other reference is to something drawn or fitted for another network; it is
    dropped, and so is a stage that needs it.
    """
    kept: dict[str, Stage] = {}
    acting = {name for name, stage in document.stages.items() if stage.model == answer}
    for name, stage in reversed(document.stages.items()):
        needed = any(name in _references(other).values() for other in kept.values())
        if name in acting or (needed and stage.is_limit):
            true = acting | {other for other, spec in document.stages.items() if spec.is_limit}
            lost = [key for key, other in _references(stage).items() if other not in true]
            kept[name] = stage.replaced(dict.fromkeys(["model", *lost]))
    return {name: kept[name] for name in reversed(kept) if not kept[name].faults()}


def _references(stage: Stage) -> dict[str, str]:
    names = {key: getattr(stage, key) for key in stage.references()}
    return {key: name for key, name in names.items() if name is not None}
