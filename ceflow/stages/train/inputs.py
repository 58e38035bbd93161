"""What was done to the inputs of a training, for whoever uses its network elsewhere."""

import json
from typing import TYPE_CHECKING

from ceflow import data
from ceflow.stages.result import Values
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    from ceflow.data import Dataset, Stream


def inputs_text(job: Job, examples: "Dataset | Stream") -> str:
    """Write as JSON how stored numbers became inputs, and the names of the classes.

    Numbers were divided by `unit`; then, by `normalise = "standard"`, `mean` was subtracted from
    each and the rest divided by `deviation`; at last they were multiplied by `scale`. What other
    keys ask for follows from an example alone, but for `zca`, whose matrix is not kept.
    """
    source, extent = job.plan.document.data, job.plan.data
    assert source is not None
    assert extent is not None
    found: Values = {
        "source": source.source,
        "shape": extent.image or [extent.inputs],
        "unit": examples.unit,
        **source.preparation,
        "classes": data.class_names(source, job.plan.folder),
    }
    if examples.standardiser is not None:
        found["mean"] = examples.standardiser.mean.tolist()
        found["deviation"] = examples.standardiser.deviation.tolist()
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"
