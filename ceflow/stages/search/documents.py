"""A search's answers as documents, which `ceflow run` takes."""

from ceflow.spec import Document, Kernel, Stage, tree_of
from ceflow.stages.stage import Job, Values


def document_of(job: Job, part: str, model: Values) -> Document:
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
