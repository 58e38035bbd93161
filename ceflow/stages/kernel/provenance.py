"""What a kept kernel is of: facts that are stored with its array, and compared when it is read."""

import json
import math
from typing import TYPE_CHECKING, Any

from ceflow.data import Dataset
from ceflow.spec import Model, tree_of
from ceflow.stages.stage import Job
from ceflow.store.arrays import About
from ceflow.store.digests import fingerprint

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def provenance(job: Job, dataset: Dataset) -> About:
    """Return what the kernel of a stage is of: its kind and method, the network, the precision and
    a digest of the training inputs.
    """
    stage, document = job.stage, job.plan.document
    return {
        "kind": stage.kind,
        "method": stage.method,
        "model": model_text(job.model, stage.method),
        "precision": document.precision,
        "train": inputs_digest(dataset.train.x),
    }


def model_text(model: Model, method: str) -> str:
    """Write the network on which the kernel of a method depends, as JSON with sorted keys: at
    infinite width that of all widths, for a mean one member.
    """
    by_method = {"analytic": model.limit, "mean": model.single}
    tree = tree_of(by_method.get(method, model), defaults=True)
    return json.dumps(_without_infinity(tree), sort_keys=True)


def _without_infinity(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinity(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_infinity(each) for each in value]
    return "inf" if value == math.inf else value


def inputs_digest(x: "Float[np.ndarray, 'n ...']") -> str:
    """Hash examples as rows of numbers, whatever the shape in which a network takes them."""
    return fingerprint(x.reshape(len(x), -1))
